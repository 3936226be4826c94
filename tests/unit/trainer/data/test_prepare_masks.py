"""Semantic segmentation by class masks: what is taken, what is counted, what is refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from yolo_crds.training import Data
from yolo_trainer.data.contact_sheet import draw_contact_sheet
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.data.masks import IGNORED, mask_png
from yolo_trainer.errors import InvalidDataError
from yolo_trainer.keeping.check import check_set

SIZE = (20, 10)
YAML = "train: images/train\nval: images/val\nmasks_dir: masks\nnames: [road, car, sky]\n"


def ids(*left_to_right: int, mode: str = "L", size: tuple[int, int] = SIZE) -> Image.Image:
    """A mask of upright stripes."""
    mask = Image.new(mode, size)
    for i, value in enumerate(left_to_right):
        mask.paste(value, (i * size[0] // len(left_to_right), 0, *size))
    return mask


def sixteen_bits(mask: Image.Image, add: int = 0) -> Image.Image:
    """The ids of a mask, more by `add`, in two bytes each."""
    return Image.frombytes(
        "I;16", mask.size, b"".join((i + add).to_bytes(2, "little") for i in mask.tobytes())
    )


def colour_palette(mask: Image.Image) -> Image.Image:
    """The ids of a mask as indices of colours."""
    found = Image.frombytes("P", mask.size, mask.tobytes())
    found.putpalette([v for i in range(256) for v in (i, 255 - i, 7)])
    return found


def grey_palette(mask: Image.Image) -> Image.Image:
    """The ids of a mask as greys, in a palette that holds them upside down."""
    found = Image.frombytes("P", mask.size, bytes(255 - i for i in mask.tobytes()))
    found.putpalette([255 - i for i in range(256) for _ in "rgb"])
    return found


def mask(world: Any, path: str, image: Image.Image) -> Path:
    file: Path = world.data / "datasets/demo/masks" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)
    return file


def demo(world: Any, first: Image.Image, yaml: str = YAML) -> None:
    """Two training images, of which `first` is the mask of one, and a validation image."""
    for i, name in enumerate(("train/a", "train/b", "val/c")):
        world.image(f"datasets/demo/images/{name}.jpg", SIZE, 40 * i)
        mask(world, f"{name}.png", first if name == "train/a" else ids(0))
    world.text("datasets/demo/data.yaml", yaml)


def prepare(world: Any, **data: object) -> PreparedSet:
    given = Data.model_validate({"train": "demo", **data})
    return prepare_dataset(world.volume, given, "semantic", world.report)


def prepared(found: PreparedSet, name: str = "train/a") -> list[int]:
    """The ids in the upper row of a prepared mask, one of each stripe."""
    with Image.open(found.folder / f"masks/{name}.png") as image:
        assert (image.mode, image.size) == ("L", SIZE)
        row = [image.getpixel((x, 0)) for x in range(SIZE[0])]
    return [int(v) for i, v in enumerate(row) if i == 0 or v != row[i - 1]]  # type: ignore[arg-type]


def test_masks_are_laid_where_ultralytics_looks(world: Any) -> None:
    demo(world, ids(0, 2, IGNORED))
    found = prepare(world)
    assert prepared(found) == [0, 2, IGNORED]
    assert not (found.folder / "labels").exists()
    assert found.data_path.read_text().splitlines()[:3] == [
        "train: images/train",
        "val: images/val",
        "masks_dir: masks",
    ]
    dataset = found.details.dataset
    assert dataset.classes == {"road": 3, "car": 0, "sky": 1}
    assert (dataset.images, dataset.backgrounds, dataset.boxes) == (3, 0, 4)
    assert found.details.taken_for["train"].endswith("and class masks in `masks`")


@pytest.mark.parametrize(
    "first",
    [colour_palette(ids(0, 1, 2)), grey_palette(ids(0, 1, 2)), sixteen_bits(ids(0, 1, 2))],
    ids=["palette", "greys", "16 bits"],
)
def test_masks_of_every_kind_are_the_same_set(world: Any, first: Image.Image) -> None:
    demo(world, ids(0, 1, 2))
    want = prepare(world).folder
    mask(world, "train/a.png", first)
    found = prepare(world)
    assert prepared(found) == [0, 1, 2]
    assert found.folder == want


def test_hash_is_of_what_masks_show(world: Any) -> None:
    demo(world, ids(0, 1))
    want = prepare(world).folder
    file = mask(world, "train/a.png", ids(1, 0))
    assert prepare(world).folder != want
    file.unlink()
    ids(0, 1).save(file.with_suffix(".bmp"))  # another ending is looked for as well
    assert prepare(world).folder == want


def test_masks_are_found_without_masks_dir(world: Any) -> None:
    demo(world, ids(0, 1))
    want = prepare(world).folder
    world.text("datasets/demo/data.yaml", YAML.replace("masks_dir: masks\n", ""))
    assert prepare(world).folder == want
    (world.data / "datasets/demo/data.yaml").unlink()
    assert prepare(world, labels=["road", "car", "sky"]).folder == want


def test_label_mapping_is_applied(world: Any) -> None:
    mapping = "label_mapping: {-1: ignore_label, 7: 0, 8: 1, 9: ignore_label, 0: 2, 3: 255}\n"
    demo(world, ids(7, 8, 9, 3), YAML + mapping)
    found = prepare(world)
    assert prepared(found) == [0, 1, IGNORED]
    assert prepared(found, "train/b") == [2]
    assert "label_mapping" not in found.data_path.read_text()


def test_listed_labels_choose_classes_and_their_order(world: Any) -> None:
    demo(world, ids(0, 1, 2))
    found = prepare(world, labels=["sky", "road"])
    assert prepared(found) == [1, IGNORED, 0]
    assert found.details.dataset.skipped == {"ignoredClass": 1}
    assert found.details.skipped_names == {"ignoredClass": ["car in a"]}


def test_one_listed_label_is_told_from_all_others(world: Any) -> None:
    demo(world, ids(0, 1, 2, IGNORED))
    found = prepare(world, labels=["car"])
    assert prepared(found) == [0, 1, 0, IGNORED]
    assert prepared(found, "train/b") == [0]
    assert (found.details.dataset.classes, found.details.dataset.backgrounds) == ({"car": 1}, 2)


@pytest.mark.parametrize("first", [ids(0, 1), ids(0, 1, mode="1")], ids=["8 bits", "1 bit"])
def test_data_set_of_one_class_has_a_background(world: Any, first: Image.Image) -> None:
    demo(world, first, YAML.replace("road, car, sky", "crack"))
    found = prepare(world)
    assert prepared(found) == [0, 1]
    assert found.details.dataset.classes == {"crack": 1}


def test_image_without_a_mask_is_left_out_and_counted(world: Any) -> None:
    demo(world, ids(0, 1))
    (world.data / "datasets/demo/masks/train/b.png").unlink()
    mask(world, "val/c.png", ids(2)).write_bytes(b"\x89PNG\r\n\x1a\ntorn")
    world.image("datasets/demo/images/val/d.jpg", SIZE, 999)
    mask(world, "val/d.png", ids(2))
    dataset = prepare(world).details.dataset
    assert dataset.skipped == {"missingMask": 1, "corruptMask": 1}
    assert dataset.images == 2


@pytest.mark.parametrize(
    ("first", "yaml", "want"),
    [
        (ids(0, 3), YAML, r"train: datasets/demo/masks/train/a\.png: id 3 stands for none of the 3"),
        (ids(0, 2), YAML.replace("road, car, sky", "crack"), "id 2 stands for none of the 1 classes"),
        (ids(0, 1, size=(10, 20)), YAML, "10 x 20 pixels, but its image has 20 x 10"),
        (ids(0, 1).convert("RGB"), YAML, "a mask of kind PNG RGB; want class ids in one channel"),
        (sixteen_bits(ids(0, 9), 291), YAML, "ids from 291 to 300; masks tell classes by 0 to 254"),
        (ids(0), YAML.replace("masks_dir: masks", "masks_dir: ../x"), "`masks_dir: ../x` is no name"),
        (ids(0), YAML + "label_mapping: {0: road}\n", "`label_mapping:` takes whole numbers"),
        (ids(0), YAML + "label_mapping: [0]\n", "`label_mapping:` is no mapping"),
        (ids(IGNORED), YAML.replace("[road, car, sky]", str([f"c{i}" for i in range(256)])), "256 classes"),
    ],
)  # fmt: skip
def test_mask_that_cannot_be_meant_is_refused(world: Any, first: Image.Image, yaml: str, want: str) -> None:
    demo(world, first, yaml)
    with pytest.raises(InvalidDataError, match=want):
        prepare(world)


def test_jpeg_is_no_mask(world: Any) -> None:
    demo(world, ids(0))
    (world.data / "datasets/demo/masks/train/a.png").unlink()
    mask(world, "train/a.jpg", ids(0))
    with pytest.raises(InvalidDataError, match=r"a\.jpg is a mask of kind JPEG L"):
        prepare(world)


def test_masks_and_polygons_do_not_mix(world: Any) -> None:
    demo(world, ids(0, 1))
    shutil.move(world.data / "datasets/demo/images/val", world.data / "datasets/other/images")
    world.text("datasets/other/labels/c.txt", "0 0.1 0.1 0.9 0.1 0.9 0.9\n")
    world.text("datasets/demo/data.yaml", YAML.replace("val: images/val\n", ""))
    with pytest.raises(InvalidDataError, match="one has class masks and the other has not"):
        prepare(world, val="other")


def test_second_prepare_reads_no_mask(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    demo(world, ids(0, 1))
    first = prepare(world)
    monkeypatch.setattr("yolo_trainer.data.readings.read_mask", None)
    assert prepare(world).details == first.details


def test_mask_that_changes_meanwhile_is_told(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    demo(world, ids(0, 1))

    def late(found: Any) -> bytes:
        mask(world, "train/a.png", ids(1, 0))
        return mask_png(found)

    monkeypatch.setattr("yolo_trainer.data.prepared_set.mask_png", late)
    with pytest.raises(InvalidDataError, match=r"a\.png changed while the data set was prepared"):
        prepare(world)
    assert list(world.volume.prepared.glob("*")) == []


def test_contact_sheet_shows_masks(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    demo(world, ids(0, 1))
    found = prepare(world)
    target = world.runs / "prepare.jpg"
    target.write_bytes(draw_contact_sheet(found.folder, found.details))
    assert caplog.records == []
    with Image.open(target) as sheet:
        left, right = (sheet.getpixel((x, 20)) for x in (20, 300))
    assert left[0] > left[1]  # type: ignore[index]  # half of the first class's red
    assert right[1] > right[0]  # type: ignore[index]  # half of the second's green


def test_missing_mask_of_a_prepared_set_is_found(world: Any) -> None:
    demo(world, ids(0, 1))
    folder = prepare(world).folder
    assert check_set(folder, world.volume, content=True, report=world.report).faults == []
    (folder / "masks/train/a.png").unlink()
    faults = check_set(folder, world.volume, content=False, report=world.report).faults
    assert faults == ["masks/train/a.png: missing"]


def test_masks_are_read_from_an_image_volume(world: Any, tmp_path: Path) -> None:
    demo(world, ids(0, 1))
    want = prepare(world).folder
    shutil.move(world.data / "datasets/demo", tmp_path / "image")
    data = Data.model_validate({"train": ".", "image": "registry.example.org/sets/roads:v1"})
    found = prepare_dataset(world.volume, data, "semantic", world.report, tmp_path / "image")
    assert found.folder == want


@pytest.mark.parametrize(
    ("first", "yaml", "want"),
    [
        (ids(255), YAML, "in the masks 255 means 'not counted'"),
        (ids(0, 255), "train: images/train\nval: images/val\nnames: [road]\n",
         "in the masks 0 means background and 1 road, 255 means 'not counted'"),
    ],
)  # fmt: skip
def test_masks_that_show_no_class_are_refused_with_what_the_ids_mean(
    world: Any, first: Image.Image, yaml: str, want: str
) -> None:
    demo(world, first, yaml)
    mask(world, "train/b.png", first)
    with pytest.raises(InvalidDataError, match=want) as caught:
        prepare(world)
    assert "write class ids" in str(caught.value.hint)
