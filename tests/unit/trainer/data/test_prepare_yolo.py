"""Data sets in YOLO's own layout."""

from pathlib import Path
from typing import Any

import pytest

from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.data.readers.yolo_folder import label_path
from yolo_trainer.errors import InvalidDataError

ROW = "0 0.500000 0.500000 0.250000 0.250000\n"
CORNERS = "0.000000 0.000000 1.000000 0.000000 1.000000 1.000000 0.000000 1.000000"


def prepare(world: Any, task: Task = "detect", **data: object) -> PreparedSet:
    given = {"train": "datasets/demo", **data}
    return prepare_dataset(world.volume, Data.model_validate(given), task, world.report)


def labels(found: PreparedSet, split: str) -> dict[str, str]:
    return {p.stem: p.read_text() for p in sorted(found.folder.glob(f"labels/{split}/*.txt"))}


def images(world: Any, folder: str, *stems: str) -> None:
    for stem in stems:
        world.image(f"datasets/demo/{folder}/{stem}.jpg", shade=sum(map(ord, folder + stem)))


def standard(world: Any, row: str = ROW, yaml: str = "names: [a, b]\n") -> None:
    """images/train, images/val, a data.yaml; the second training image has no label file."""
    images(world, "images/train", "t1", "t2")
    images(world, "images/val", "v1")
    world.text("datasets/demo/labels/train/t1.txt", row)
    world.text("datasets/demo/labels/val/v1.txt", row)
    world.text("datasets/demo/data.yaml", f"train: images/train\nval: images/val\n{yaml}")


def test_folder_with_data_yaml(world: Any) -> None:
    standard(world)
    found = prepare(world)
    assert labels(found, "train") == {"t1": ROW, "t2": ""}
    assert labels(found, "val") == {"v1": ROW}
    dataset = found.details.dataset
    assert (dataset.kind, dataset.images, dataset.train_images) == ("yolo", 3, 2)
    assert (dataset.backgrounds, dataset.boxes) == (1, 2)
    assert dataset.classes == {"a": 2, "b": 0}


@pytest.mark.parametrize("reference", ["datasets/demo/data.yaml", "demo", "demo/data.yaml", "datasets/demo/"])
def test_references_to_a_yolo_folder(world: Any, reference: str) -> None:
    standard(world)
    assert prepare(world, train=reference).folder == prepare(world).folder


def test_roboflow_layout(world: Any) -> None:
    images(world, "train/images", "t1")
    images(world, "valid/images", "v1")
    world.text("datasets/demo/train/labels/t1.txt", ROW)
    yaml = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\nnames: ['a']\n"
    world.text("datasets/demo/data.yaml", yaml)
    found = prepare(world)
    assert labels(found, "train") == {"t1": ROW}
    assert labels(found, "val") == {"v1": ""}
    (world.data / "datasets/demo/data.yaml").unlink()
    assert prepare(world, labels=["a"]).folder == found.folder


@pytest.mark.parametrize(
    "yaml",
    [
        "path: datasets/demo\ntrain: images/train\nval: images/val",
        "path: demo\ntrain: images/train\nval: [images/val]",
        "path: .\ntrain: [images/train]\nval: images/val",
        "train: train.txt\nval: val.txt",
        "path: {root}/datasets/demo\ntrain: images/train\nval: images/val\ndownload: https://x/y.zip",
    ],
)
def test_paths_of_a_data_yaml(world: Any, yaml: str) -> None:
    standard(world)
    want = prepare(world).folder
    world.text("datasets/demo/train.txt", "./images/train/t1.jpg\nimages/train/t2.jpg\n\n")
    world.text("datasets/demo/val.txt", str(world.data / "datasets/demo/images/val/v1.jpg"))
    world.text("datasets/demo/data.yaml", yaml.format(root=world.data) + "\nnames: {0: a, 1: b}\n")
    assert prepare(world).folder == want


def test_path_of_another_machine_is_not_followed(world: Any) -> None:
    standard(world)
    want = prepare(world).folder
    yaml = "path: /home/me/coco\ntrain: ./images/train/\nval: ./images/val/\nnames: [a, b]\n"
    world.text("datasets/demo/data.yaml", yaml)
    found = prepare(world)
    assert found.folder == want
    assert "`path: /home/me/coco` is not on the data volume" in found.details.warnings[0]


@pytest.mark.parametrize(
    ("yaml", "want"),
    [
        ("val: images/val", "no `train:`"),
        ("train: [1]", "is no path"),
        ("train: images/train\nnames: 3", "neither a list"),
        ("train: images/train\nnames: {1: a}", "keys of `names:`"),
        ("train: images/train\nnames: [a]\nnc: 2", "1 names"),
        ("train: images/train", "labels is empty"),
        ("[1, 2]", "no mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_bad_data_yaml_is_refused(world: Any, yaml: str, want: str) -> None:
    standard(world)
    world.text("datasets/demo/data.yaml", yaml)
    with pytest.raises(InvalidDataError, match=want):
        prepare(world)


def test_labels_remap_by_name_and_drop_others(world: Any) -> None:
    standard(world, ROW + "1 0.5 0.5 0.5 0.5\n2 0.5 0.5 1 1\n", "names: [a, b, c]\n")
    found = prepare(world, labels=["c", "a"])
    assert labels(found, "val")["v1"].splitlines() == [
        "0 0.500000 0.500000 1.000000 1.000000",
        "1 0.500000 0.500000 0.250000 0.250000",
    ]
    assert found.details.unknown_labels == {"b": 2}


@pytest.mark.parametrize(
    ("task", "row", "want"),
    [
        ("detect", "7 0.5 0.5 0.1 0.1", "line 2: class 7 is not among the classes 0 to 1"),
        ("detect", "0.5 0.5 0.5 0.1 0.1", "no label row"),
        ("detect", "0 0.5 0.5 0.1", "at least 5"),
        ("detect", "0 0.5 0.5 0.1 0.1 0.9", "6 columns; detect takes 5"),
        ("detect", "0 a b c d", "numbers only"),
        ("detect", "0 nan 0.5 0.1 0.1", "no label row"),
        ("detect", "0 320 240 10 10", "are pixels"),
        ("segment", "0 0.1 0.1 0.2 0.2 0.3", "segment takes an odd number"),
        ("obb", "0 0.1 0.1 0.2 0.1 0.2 0.2 0.3", "8 columns; obb takes 9"),
        ("pose", "0 0.5 0.5 0.2 0.2 0.5 0.5", r"kpt_shape \[2, 3\] takes 11"),
    ],
)
def test_bad_label_rows_are_named_by_file_and_line(world: Any, task: Task, row: str, want: str) -> None:
    standard(world, f"\n{row}\n", "names: [a, b]\nkpt_shape: [2, 3]\n")
    with pytest.raises(InvalidDataError, match=want) as error:
        prepare(world, task)
    assert "t1.txt" in error.value.message


@pytest.mark.parametrize(
    ("task", "row", "want"),
    [
        ("detect", "0 0.95 0.5 0.2 0.2", "0 0.925000 0.500000 0.150000 0.200000"),
        ("detect", "0 0.1 0.1 0.3 0.1 0.3 0.5", "0 0.200000 0.300000 0.200000 0.400000"),
        ("segment", "0 0.1 0.1 0.3 0.1 0.3 0.5", "0 0.100000 0.100000 0.300000 0.100000 0.300000 0.500000"),
        ("semantic", "0 0.5 0.5 1 1", f"0 {CORNERS}"),
        ("semantic", "1 0.1 0.1 0.3 0.1 0.3 0.5", "1 0.100000 0.100000 0.300000 0.100000 0.300000 0.500000"),
        ("obb", "0 0 0 1 0 1 1 0 1", f"0 {CORNERS}"),
        ("pose", "0 0.5 0.5 0.2 0.2 0.5 0.5 2 1.2 0 0",
         "0 0.500000 0.500000 0.200000 0.200000 0.500000 0.500000 2.000000 1.000000 0.000000 0.000000"),
    ],
)  # fmt: skip
def test_label_rows_of_each_task(world: Any, task: Task, row: str, want: str) -> None:
    pose = "kpt_shape: [2, 3]\nflip_idx: [1, 0]\n" if task == "pose" else ""
    standard(world, row, f"names: [a, b]\n{pose}")
    found = prepare(world, task)
    assert labels(found, "val")["v1"] == want + "\n"
    assert ("kpt_shape" in found.data_path.read_text()) == (task == "pose")


@pytest.mark.parametrize("given", ["[1, 2, 0]", "[0]", "[0, 0]", "[1, 2]", "[-1, 0]"])
def test_flip_idx_names_each_keypoint_once(world: Any, given: str) -> None:
    row = f"{ROW.strip()} 0.5 0.5 2 0.6 0.6 2\n"
    standard(world, row, f"names: [a]\nkpt_shape: [2, 3]\nflip_idx: {given}\n")
    want = r"data\.yaml: `flip_idx: .*` does not name each of the 2 keypoints, 0 to 1, once"
    with pytest.raises(InvalidDataError, match=want):
        prepare(world, "pose")


def test_empty_flip_idx_is_left_to_ultralytics(world: Any) -> None:
    standard(world, f"{ROW.strip()} 0.5 0.5 2\n", "names: [a]\nkpt_shape: [1, 3]\nflip_idx: []\n")
    assert "flip_idx: []" in prepare(world, "pose").data_path.read_text()


@pytest.mark.parametrize("named", ["nosuch", "C:\\data\\s", "/home/me/data"])
def test_path_of_another_machine_is_left_aside_with_a_warning(world: Any, named: str) -> None:
    standard(world, yaml=f"path: '{named}'\nnames: [a, b]\n")
    want = f"data.yaml: `path: {named}` is not on the data volume; the file's own folder is taken"
    assert want in prepare(world).details.warnings


@pytest.mark.parametrize("given", ["/home/me/pictures", "[images/train, ../../../etc]"])
@pytest.mark.parametrize("key", ["train", "valid"])
def test_entry_that_leads_out_is_told_with_its_key(world: Any, key: str, given: str) -> None:
    standard(world)
    other = "" if key == "train" else "train: images/train\n"
    world.text("datasets/demo/data.yaml", f"{other}{key}: {given}\nnames: [a, b]\n")
    with pytest.raises(
        InvalidDataError, match=rf"data\.yaml: `{key}:` '.*(is not below|leads out of) the data volume"
    ) as error:
        prepare(world)
    assert error.value.hint == "write paths relative to the file that they stand in, as images/train"


@pytest.mark.parametrize(
    ("row", "want"),
    [
        (b"0,0.5,0.5,0.2,0.2", "line 2: .*separated by commas or semicolons; want blanks"),
        (b"0 0.5; 0.5; 0.2; 0.2", "line 2: .*separated by commas or semicolons; want blanks"),
        (b"cat 0.5 0.5 0.2 0.2", "line 2: .*begins with the class index, not with its name"),
        (b"0 0.5 0.5 0.2 wide", "line 2: .*a label row is numbers only"),
        (b"0 0.5 0.5 0.2 0.\xff", r"line 2: no text in UTF-8 \(byte 0xff\)"),
    ],
)
def test_rows_that_are_no_numbers_are_told_with_the_remedy(world: Any, row: bytes, want: str) -> None:
    standard(world)
    file = world.data / "datasets/demo/labels/train/t1.txt"
    file.write_bytes(ROW.encode() + row)
    place = "template.data.train: datasets/demo/labels/train/t1.txt"
    with pytest.raises(InvalidDataError, match=f"^{place}, {want}"):
        prepare(world)
    file.write_text(ROW, encoding="utf-16")
    with pytest.raises(InvalidDataError, match=r"t1\.txt is text in UTF-16") as error:
        prepare(world)
    assert error.value.hint == "save the file as UTF-8, then raise spec.run"


def test_names_by_keys_of_text(world: Any) -> None:
    standard(world)
    want = prepare(world).folder
    standard(world, yaml='names: {"1": b, "0": a}\n')
    assert prepare(world).folder == want


@pytest.mark.parametrize(
    ("names", "want"),
    [
        ("{1: a, 2: b}", "the keys of `names:` are not 0 to 1, but 1, 2"),
        ('{0: a, "0": b}', "`0:` is there twice in `names:`"),
        ("{0: a, 00: b}", "`0:` is there twice in `names:`"),
        ("{a: 0, b: 1}", "the keys of `names:` are not 0 to 1, but a, b"),
        ("[a, '']", "name 1 of `names:` is empty"),
        ("{0: a, 1: }", "name 1 of `names:` is empty"),
        ("[1_1, 11, 1_1]", "the class name '1_1' is given twice"),
        ("[a]\nnames: [b]", "`names:` is there twice"),
        ("[a, b]\nnc: many", "`nc: many` is no number of classes"),
        ("[a, b]\nnc: 3.0", "`nc: 3` but 2 names"),
        ("[a, b]\nnc: true", "`nc: True` is no number of classes"),
    ],
)
def test_names_that_are_none_are_refused(world: Any, names: str, want: str) -> None:
    standard(world, yaml=f"names: {names}\n")
    with pytest.raises(InvalidDataError, match=f"data.yaml: {want}"):
        prepare(world)


def test_classification_folders(world: Any) -> None:
    for split, stems in {"train": "abc", "val": "d"}.items():
        for name in ("cat", "dog", "elk"):
            images(world, f"{split}/{name}", *stems)
    found = prepare(world, "classify", labels=["dog", "cat"])
    assert sorted(str(p.relative_to(found.folder)) for p in found.folder.rglob("*.jpg")) == [
        *(f"train/{name}/{stem}.jpg" for name in ("cat", "dog") for stem in "abc"),
        "val/cat/d.jpg",
        "val/dog/d.jpg",
    ]
    assert found.data_path == found.folder
    assert found.details.dataset.classes == {"cat": 4, "dog": 4}
    assert found.details.dataset.skipped == {"unknownLabel": 4}


def test_classification_folders_without_splits(world: Any) -> None:
    images(world, "cat", *"abcde")
    images(world, "dog", *"abcde")
    found = prepare(world, "classify")
    assert (found.details.dataset.train_images, found.details.dataset.val_images) == (8, 2)


def test_same_names_in_two_folders_stay_two_images(world: Any) -> None:
    images(world, "images/train/x", "a")
    images(world, "images/train/y", "a")
    world.text("datasets/demo/labels/train/x/a.txt", ROW)
    images(world, "images/val", "v")
    found = prepare(world, labels=["a"])
    assert found.details.dataset.train_images == 2
    assert sorted(labels(found, "train").values()) == ["", ROW]


@pytest.mark.parametrize(
    ("image", "want"),
    [
        ("/d/images/train/a.jpg", "/d/labels/train/a.txt"),
        ("/images/d/images/a.b.jpg", "/images/d/labels/a.b.txt"),
        ("/d/train/a.jpg", "/d/train/a.txt"),
    ],
)
def test_label_path_follows_ultralytics(image: str, want: str) -> None:
    assert label_path(Path(image)) == Path(want)
