"""The same images in every format give the same boxes and content hash; each broken twin is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataset_writers import (
    NAMES,
    SPLIT_WRITERS,
    WRITERS,
    Truth,
    coco_content,
    labelme_content,
    make_truth,
    pack_tar,
    pack_zip,
    ucd_content,
    voc_text,
    write_images,
    write_label_studio,
    write_roboflow_split,
)
from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError, TrainerError

EXPORTS = {**WRITERS, **{f"{name} split": writer for name, writer in SPLIT_WRITERS.items()}}
COUNT = 50
CLASSES = ["person", "helmet"]


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make_truth(COUNT)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, truth: Truth) -> Path:
    return write_images(tmp_path_factory.mktemp("images"), truth)


def prepare(world: Any, train: str = "datasets/demo", task: Task = "detect", **data: object) -> PreparedSet:
    given = {"train": train, "labels": CLASSES, **data}
    return prepare_dataset(world.volume, Data.model_validate(given), task, world.report)


def write(world: Any, name: str, images: Path, truth: Truth) -> Path:
    folder: Path = world.data / "datasets/demo"
    folder.mkdir()
    EXPORTS[name][1](folder, images, truth)
    return folder


WANT_HASH = "4ce433a07cb90e2450f06d5d8a209970"


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_boxes_and_hash(
    world: Any, images: Path, truth: Truth, name: str
) -> None:
    write(world, name, images, truth)
    found = prepare(world)
    dataset = found.details.dataset
    assert dataset.hash == WANT_HASH
    assert dataset.kind == WRITERS[name][0]
    assert found.details.taken_for["train"].startswith(f"{dataset.kind}: ")
    assert (dataset.images, dataset.backgrounds) == (COUNT, COUNT // 5)
    boxes = [box for boxes in truth.values() for box in boxes]
    assert dataset.classes == {n: sum(b[0] == n for b in boxes) for n in CLASSES}
    assert dataset.skipped.keys() <= {"noLabelFile", "emptyLabelFile"}


WANT_SPLIT_HASH = "01b4c233cb20039450a219b7cdbf652b"


@pytest.mark.parametrize("name", SPLIT_WRITERS)
def test_every_split_export_gives_the_same_boxes_and_hash(
    world: Any, images: Path, truth: Truth, name: str
) -> None:
    write(world, f"{name} split", images, truth)
    dataset = prepare(world).details.dataset
    assert dataset.hash == WANT_SPLIT_HASH
    assert dataset.kind == SPLIT_WRITERS[name][0]
    assert (dataset.train_images, dataset.val_images) == (COUNT * 4 // 5, COUNT // 5)


@pytest.mark.parametrize("pack", ["demo.zip", "demo.tar.gz"])
@pytest.mark.parametrize("name", EXPORTS)
def test_every_format_is_read_from_an_archive(
    world: Any, images: Path, truth: Truth, tmp_path: Path, name: str, pack: str
) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    EXPORTS[name][1](folder, images, truth)
    if pack.endswith("zip"):
        pack_zip(folder, world.data / "datasets" / pack, "my export/")
    else:
        pack_tar(folder, world.data / "datasets" / pack)
    found = prepare(world, pack)
    assert found.details.dataset.hash == (WANT_SPLIT_HASH if name.endswith(" split") else WANT_HASH)
    assert f"in the archive {pack}" in found.details.taken_for["train"]


@pytest.mark.parametrize("write", [write_roboflow_split, write_label_studio])
def test_names_that_tools_lengthen_change_no_box(
    world: Any, images: Path, truth: Truth, tmp_path: Path, write: Callable[[Path, Path, Truth], None]
) -> None:
    """Roboflow: `img_001_png.rf.0a1b….png`; Label Studio: `5b1f0c3e-img_001.png`; images and labels alike."""
    longer = {
        f"5b1f0c3e-{Path(name).stem}_png.rf.0a1b2c3d4e5f60718293a4b5c6d7e8f9.png": boxes
        for name, boxes in truth.items()
    }
    (world.data / "datasets/demo").mkdir()
    write(world.data / "datasets/demo", write_images(tmp_path / "longer", longer), longer)
    dataset = prepare(world).details.dataset
    assert (dataset.images, dataset.backgrounds) == (COUNT, COUNT // 5)
    assert sum(dataset.classes.values()) == sum(map(len, truth.values()))


@pytest.mark.parametrize(
    "name",
    [
        "yolo",
        "cvat-yolo-1.1",
        "label-studio-yolo",
        "labelimg-yolo",
        "labelimg-yolo-beside",
        "coco",
        "roboflow-coco",
    ],
)
def test_formats_that_order_their_classes_need_no_labels(
    world: Any, images: Path, truth: Truth, name: str
) -> None:
    write(world, name, images, truth)
    assert list(prepare(world, labels=[]).details.dataset.classes) == NAMES


@pytest.mark.parametrize("name", ["ucd", "voc", "labelme"])
def test_formats_without_an_order_ask_for_labels(world: Any, images: Path, truth: Truth, name: str) -> None:
    write(world, name, images, truth)
    with pytest.raises(InvalidDataError, match=r"labels is empty .* labels in it: (helmet|person), "):
        prepare(world, labels=[])


@pytest.mark.parametrize("name", ["ucd-split", "coco", "voc", "labelme"])
def test_second_prepare_reads_neither_images_nor_label_files(
    world: Any, images: Path, truth: Truth, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(world, name, images, truth)
    first = prepare(world)
    monkeypatch.setattr("yolo_trainer.data.inspection.verify_image", None)
    monkeypatch.setattr("yolo_trainer.data.inspection._with_labels", None)
    assert prepare(world).details == first.details


@pytest.mark.parametrize("kind", ["voc", "labelme", "coco", "ucd"])
def test_tasks_that_a_format_cannot_hold_are_refused(
    world: Any, images: Path, truth: Truth, kind: str
) -> None:
    write(world, kind, images, truth)
    with pytest.raises(InvalidDataError, match=r"pose.*fit.* detect"):
        prepare(world, task="pose")


def coco(change: Callable[[Any], None]) -> Callable[[Path, Truth], None]:
    def write(folder: Path, truth: Truth) -> None:
        content = coco_content(truth)
        change(content)
        (folder / "annotations/instances_default.json").write_text(json.dumps(content))

    return write


def text(path: str, content: Callable[[str], str] | str) -> Callable[[Path, Truth], None]:
    def write(folder: Path, truth: Truth) -> None:
        file = folder / path
        file.write_text(content if isinstance(content, str) else content(file.read_text()))

    return write


@pytest.mark.parametrize(
    ("name", "damage", "want"),
    [
        ("ucd", text("demo.json", '{"uc_list": [1,}'), r"demo\.json is not JSON: .*line 1 column"),
        ("ucd", text("demo.json", "[]"), "not an object"),
        ("ucd-split", text("demo.o2", "{"), r"demo\.o2 is not JSON: .*line 1"),
        ("ucd-split", lambda f, t: [f.joinpath(f"demo.{k}2").unlink() for k in "uos"],
         r"demo\.uci: its volume demo\.u2 is missing"),
        ("yolo", text("labels/train/img_001.txt", "0 0.5 0.5 0.1\n"), r"img_001\.txt, line 1: 4 columns"),
        ("roboflow-yolo", text("train/labels/img_003.txt", lambda s: s + "9 .5 .5 .1 .1\n"),
         r"train/labels/img_003\.txt, line 2: class 9"),
        ("label-studio-yolo", text("classes.txt", "helmet\n\nperson"), r"classes\.txt: want one class name"),
        ("roboflow-yolo split", text("valid/labels/img_004.txt", "0 .5 .5 .1 .1\n1 .5 .5\n"),
         r"valid/labels/img_004\.txt, line 2: 3 columns"),
        ("roboflow-yolo split", text("data.yaml", lambda s: s.replace("nc: 2", "nc: 3")),
         r"data\.yaml: `nc: 3` but 2 names"),
        ("fiftyone-yolov5 split", text("dataset.yaml", lambda s: s.replace("images/val", "images/test")),
         r"dataset\.yaml: `val:` '\./images/test/' is not there; looked for .*/demo/images/test"),
        ("labelimg-yolo", text("labels/classes.txt", "helmet\n"), r"img_001\.txt, line 1: class 1 is not"),
        ("labelimg-yolo-beside", text("classes.txt", ""), r"classes\.txt: want one class name"),
        ("cvat-yolo-1.1 split", lambda f, t: f.joinpath("Validation.txt").unlink(),
         r"obj\.data: .*'data/Validation\.txt' is not there"),
        ("roboflow-coco split", text("valid/_annotations.coco.json", '{"images": ['),
         r"_annotations\.coco\.json is not JSON.*line 1"),
        ("x-anylabeling", text("img_004.json", lambda s: s.replace('"points": [[', '"points": [[null, ')),
         r"img_004\.json, shapes\[0\]: points are not all"),
        ("cvat-yolo-1.1", text("obj.data", "classes = 2"), r"obj\.data is no description"),
        ("cvat-yolo-1.1", text("obj.data", "train = a.txt\nnames = obj.names"), "'a.txt' is not there"),
        ("coco", text("annotations/instances_default.json", "{"), r"_default\.json is not JSON.*line 1"),
        ("coco", coco(lambda c: c["annotations"][3].update(category_id=9)),
         r"annotations\[3\]: category_id 9 .*1 helmet, 2 person"),
        ("coco", coco(lambda c: c["annotations"][3].update(bbox=[1, 2, "x", 4])), r"ations\[3\]: `bbox`"),
        ("coco", coco(lambda c: c["annotations"][3].pop("image_id")), r"annotations\[3\]: needs `image_id`"),
        ("coco", coco(lambda c: c["images"][2].pop("file_name")), r"images\[2\]: needs `file_name`"),
        ("coco", coco(lambda c: c["images"][2].update(id=1)), r"images\[2\]: needs .* an `id` of its own"),
        ("coco", coco(lambda c: c.update(categories=[])), "`categories` is empty"),
        ("coco", coco(lambda c: c["categories"][1].update(id=1)), r"categories\[1\]: needs"),
        ("coco", coco(lambda c: c.update(images=[{"id": 0, "file_name": "/"}], annotations=[])), "no images"),
        ("voc", text("Annotations/img_001.xml", lambda s: s.replace("</size>", "")),
         r"img_001\.xml is not XML: mismatched tag: line \d+"),
        ("voc", text("Annotations/img_001.xml", lambda s: s.replace("<xmin>", "<xmin>a")),
         r"img_001\.xml, line 6: <bndbox> of .*xmin, ymin"),
        ("voc", text("Annotations/img_001.xml", lambda s: s.replace("name>", "title>")),
         r"img_001\.xml, line 4: an <object> without <name>"),
        ("voc", text("Annotations/img_001.xml", "<html/>"), r"img_001\.xml, line 1: <html>"),
        ("roboflow-voc", lambda f, t: [p.write_text("<annot") for p in (f / "train").glob("*.xml")],
         r"img_000\.xml is not XML: .*line 1"),
        ("labelme", text("img_001.json", "{"), r"img_001\.json is not JSON: .*line 1"),
        ("labelme", text("img_002.json", lambda s: s.replace('"label"', '"lable"')),
         r"img_002\.json, shapes\[0\]: a shape needs `label`"),
        ("labelme", text("img_002.json", lambda s: s.replace('"points": [[', '"points": [["x", ')),
         r"img_002\.json, shapes\[0\]: points"),
        ("labelme", text("img_002.json", "{}"), r"img_002\.json is no file of LabelMe"),
    ],
)  # fmt: skip
def test_broken_twin_is_named_by_file_and_place(
    world: Any, images: Path, truth: Truth, name: str, damage: Callable[[Path, Truth], None], want: str
) -> None:
    folder = write(world, name, images, truth)
    damage(folder, truth)
    with pytest.raises(InvalidDataError, match=want):
        prepare(world, str(folder / "demo.json") if name == "ucd" else "datasets/demo")


def test_folder_with_two_kinds_is_not_guessed(world: Any, images: Path, truth: Truth) -> None:
    folder = write(world, "voc", images, truth)
    named = {f"JPEGImages/{name}": boxes for name, boxes in truth.items()}
    (folder / "all.json").write_text(json.dumps(coco_content(named)))
    with pytest.raises(InvalidDataError, match=r"holds Pascal VOC \(img_000\.xml\) and COCO \(all\.json\)"):
        prepare(world)
    assert prepare(world, "datasets/demo/all.json").details.dataset.kind == "coco"


def test_several_coco_files_are_told_apart_by_name(world: Any, images: Path, truth: Truth) -> None:
    folder = write(world, "coco", images, truth)
    whole = folder / "annotations/instances_default.json"
    (folder / "images/default").rename(folder / "train2017")
    names = list(truth)
    for part, split in ((names[:30], "train2017"), (names[30:], "val2017")):
        content = coco_content({name: truth[name] for name in part})
        for image in content["images"]:  # type: ignore[attr-defined]
            image["file_name"] = f"../train2017/{image['file_name']}"
        (folder / f"annotations/instances_{split}.json").write_text(json.dumps(content))
    (folder / "annotations/captions_train2017.json").write_text(whole.read_text())
    whole.rename(folder / "annotations/instances_train_old.json")
    with pytest.raises(InvalidDataError, match="several COCO files") as error:
        prepare(world)
    assert "name one file in template.data.train" in str(error.value.hint)
    (folder / "annotations/instances_train_old.json").unlink()
    dataset = prepare(world).details.dataset
    assert (dataset.train_images, dataset.val_images) == (30, 20)


def test_voc_image_sets_split(world: Any, images: Path, truth: Truth) -> None:
    folder = write(world, "voc", images, truth)
    (folder / "ImageSets/Main").mkdir(parents=True)
    (folder / "ImageSets/Main/train.txt").write_text("".join(f"img_{i:03} 1\n" for i in range(40)))
    (folder / "ImageSets/Main/val.txt").write_text("".join(f"img_{i:03}\n" for i in range(40, 50)))
    dataset = prepare(world).details.dataset
    assert (dataset.train_images, dataset.val_images) == (40, 10)


def test_label_file_may_name_another_image_than_its_own_name(world: Any) -> None:
    world.image("datasets/demo/photos/one.jpg", shade=1)
    world.image("datasets/demo/photos/two.jpg", shade=2)
    for stem, image in (("a", "one"), ("b", "two")):
        content = labelme_content(f"..\\photos\\{image}.jpg", [("helmet", 1, 1, 20, 20)])
        world.text(f"datasets/demo/labels/{stem}.json", json.dumps(content))
    dataset = prepare(world, labels=["helmet"]).details.dataset
    assert (dataset.images, dataset.boxes, dataset.skipped) == (2, 2, {})


@pytest.mark.parametrize(
    ("path", "content", "want"),
    [
        ("ucd/demo.obi", "{}", r"part of a split UCD data set; name demo\.uci"),
        (
            "datasets/a.json",
            json.dumps(labelme_content("a.jpg", [])),
            "label file of one image; name its folder",
        ),
        ("datasets/a.xml", voc_text("a.jpg", []), "label file of one image; name its folder"),
        ("datasets/a.json", '{"images": []}', "is no UCD data set"),
        ("datasets/a.csv", "x", "is none of"),
    ],
)
def test_files_that_are_no_data_set_are_named(world: Any, path: str, content: str, want: str) -> None:
    world.text(path, content)
    with pytest.raises(InvalidDataError, match=want):
        prepare(world, path)


def test_split_files_merge_shapes_of_one_code(world: Any, truth: Truth, images: Path) -> None:
    folder = write(world, "ucd-split", images, truth)
    extra = {"shape_type": "rectangle", "label": "helmet", "points": [[40, 40], [60, 47]]}
    (folder / "demo.o4").write_text(json.dumps({"shapes": {"img_001": [extra]}}))
    before = sum(map(len, truth.values())) - sum(len(truth[f"img_{i:03}.png"]) for i in range(40, 50))
    assert prepare(world).details.dataset.boxes == before + 1


def test_ucd_by_name_still_uses_the_volumes_images(world: Any, truth: Truth, images: Path) -> None:
    write(world, "ucd", images, truth)
    (world.data / "datasets/demo/img_cache").rename(world.data / "img_cache2")
    (world.data / "img_cache").rmdir()
    (world.data / "img_cache2").rename(world.data / "img_cache")
    world.ucd("demo", ucd_content(truth))
    assert prepare(world, "demo").details.dataset.hash == WANT_HASH


def test_independent_writer_gives_the_same_set(world: Any, images: Path, truth: Truth) -> None:
    globox = pytest.importorskip("globox")
    found = globox.AnnotationSet(
        globox.Annotation(
            name,
            (64, 48),
            [globox.BoundingBox(label=label, xmin=a, ymin=b, xmax=c, ymax=d) for label, a, b, c, d in boxes],
        )
        for name, boxes in truth.items()
    )
    root = world.data / "datasets"
    found.save_coco(root / "coco.json", auto_ids=True)
    found.save_pascal_voc(root / "voc")
    found.save_labelme(root / "labelme")
    write_images(root / "images", truth)
    for kind in ("voc", "labelme"):
        write_images(root / kind, truth)
    hashes = {
        name: prepare(world, f"datasets/{name}").details.dataset.hash
        for name in ("coco.json", "voc", "labelme")
    }
    assert set(hashes.values()) == {WANT_HASH}, hashes


def test_errors_are_for_people(world: Any) -> None:
    with pytest.raises(TrainerError, match=r"template\.data\.train"):
        prepare(world, "nowhere.zip")
