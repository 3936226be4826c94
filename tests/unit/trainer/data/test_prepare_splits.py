"""Training and validation images: which part an image belongs to, and parts that come out empty."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError


def prepare(world: Any, task: Task = "detect", **data: object) -> PreparedSet:
    given = Data.model_validate({"train": "datasets/s", **data})
    return prepare_dataset(world.volume, given, task, world.report)


@pytest.fixture
def base(world: Any) -> Any:
    """A set of four training and two validation images, with its data.yaml."""
    for i in range(6):
        split = "train" if i < 4 else "val"
        world.image(f"datasets/s/images/{split}/a{i}.jpg", shade=i * 9)
        world.text(f"datasets/s/labels/{split}/a{i}.txt", f"{i % 2} 0.5 0.5 0.25 0.5\n")
    world.text("datasets/s/data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n")
    return world


def break_images(world: Any, folder: str) -> None:
    for image in (world.data / folder).rglob("*.jpg"):
        image.write_bytes(b"x")


def empty_folder(world: Any) -> dict[str, Any]:
    (world.data / "datasets/none").mkdir()
    return {"val": "datasets/none"}


def broken_copy(world: Any) -> dict[str, Any]:
    shutil.copytree(world.data / "datasets/s", world.data / "datasets/v")
    break_images(world, "datasets/v")
    return {"val": "datasets/v"}


def emptied_own(world: Any) -> dict[str, Any]:
    for image in (world.data / "datasets/s/images/val").iterdir():
        image.unlink()
    return {}


def emptied_own_without_yaml(world: Any) -> dict[str, Any]:
    (world.data / "datasets/s/data.yaml").unlink()
    return {**emptied_own(world), "labels": ["cat", "dog"]}


def broken_own(world: Any) -> dict[str, Any]:
    break_images(world, "datasets/s/images/val")
    return {}


@pytest.mark.parametrize(
    ("damage", "want"),
    [
        (empty_folder, r"template\.data\.val: no images in 'datasets/none'"),
        (
            broken_copy,
            r"template\.data\.val: no usable image in 'datasets/v'; images left out, .*: 2 \(\S+/a4\.jpg ",
        ),
        (emptied_own, r"template\.data\.train: no images in `val:` of .*/data\.yaml"),
        (emptied_own_without_yaml, r"no images in the validation part of datasets/s$"),
        (
            broken_own,
            r"no usable image in `val:` of .*/data\.yaml; images left out, file corrupt .*: 2 \(\S+/a4\.jpg ",
        ),
    ],
)
def test_named_validation_images_are_never_replaced_by_a_split(
    base: Any, damage: Callable[[Any], dict[str, Any]], want: str
) -> None:
    data = damage(base)
    with pytest.raises(InvalidDataError, match=want) as caught:
        prepare(base, **data)
    assert "or name none" in str(caught.value.hint)


def test_a_part_is_split_off_where_no_validation_images_are_named(base: Any) -> None:
    base.text("datasets/s/data.yaml", "train: images/train\nnames: [cat, dog]\n")
    dataset = prepare(base, val_fraction=0.25).details.dataset
    assert (dataset.train_images, dataset.val_images) == (3, 1)


def test_validation_images_of_other_classes_only_are_refused(world: Any) -> None:
    for i, path in enumerate(("train/a/1", "train/b/2", "v/c/3")):
        world.image(f"datasets/s/{path}.jpg", shade=i)
    shutil.move(world.data / "datasets/s/v", world.data / "datasets/v")
    with pytest.raises(InvalidDataError, match=r"template\.data\.val: no image of a listed label in .*c 1"):
        prepare(world, "classify", val="datasets/v")


def test_images_without_a_label_file_are_counted_by_path(base: Any) -> None:
    shutil.rmtree(base.data / "datasets/s/labels/val")
    details = prepare(base).details
    assert details.dataset.skipped == {"noLabelFile": 2}
    paths = "datasets/s/images/val/a4.jpg, datasets/s/images/val/a5.jpg"
    assert f"images without a label file, taken as background: 2 ({paths})" in details.warnings


def test_images_that_are_there_twice_with_different_labels_are_told(base: Any) -> None:
    for folder, row in (
        ("x", "0 0.5 0.5 0.25 0.5\n"),
        ("y", "1 0.5 0.5 0.25 0.5\n"),
        ("z", "0 0.5 0.5 0.25 0.5\n"),
    ):
        base.image(f"datasets/s/images/train/{folder}/0.jpg", shade=99)
        base.text(f"datasets/s/labels/train/{folder}/0.txt", row)
    details = prepare(base).details
    assert details.dataset.skipped == {"differingTwin": 1, "duplicateImage": 1}
    assert details.skipped_names["differingTwin"][0].endswith(".jpg in x and y")


@pytest.mark.parametrize(("broken", "field"), [("t", "train"), ("v", "val")])
def test_fault_in_a_label_file_is_told_with_the_field_that_named_its_images(
    world: Any, broken: str, field: str
) -> None:
    for name in "tv":
        world.image(f"datasets/{name}/a.png", shade=ord(name))
        row = "0 0.5 0.5\n" if name == broken else "0 0.5 0.5 0.2 0.2\n"
        world.text(f"datasets/{name}/a.txt", row)
    data = Data.model_validate({"train": "t", "val": "v", "labels": ["a"]})
    with pytest.raises(
        InvalidDataError, match=rf"^template\.data\.{field}: datasets/{broken}/a\.txt, line 1"
    ):
        prepare_dataset(world.volume, data, "detect", world.report)
