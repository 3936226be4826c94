"""Labels that do not fit the task: what is taken all the same and counted, and which task an error names."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataset_writers import WRITERS, make_truth, write_images
from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

BOX = "0 0.5 0.5 0.2 0.2"
POLYGON = "0 0.1 0.1 0.3 0.1 0.3 0.5"
ORIENTED = "0 0.1 0.1 0.3 0.1 0.3 0.5 0.1 0.5"
POSE = "0 0.5 0.5 0.2 0.2 0.5 0.5 2 0.4 0.4 1"
KEYPOINTS = "kpt_shape: [2, 3]\n"


def prepare(world: Any, task: Task, **data: object) -> PreparedSet:
    given = Data.model_validate({"train": "datasets/demo", **data})
    return prepare_dataset(world.volume, given, task, world.report)


def rows(world: Any, row: str, yaml: str = "") -> None:
    """A YOLO folder of two images with that one row each."""
    for i, split in enumerate(("train", "val")):
        world.image(f"datasets/demo/images/{split}/a.jpg", shade=i * 40)
        world.text(f"datasets/demo/labels/{split}/a.txt", f"{row}\n")
    world.text("datasets/demo/data.yaml", f"train: images/train\nval: images/val\nnames: [a]\n{yaml}")


@pytest.mark.parametrize(
    ("task", "row", "yaml", "skipped"),
    [
        ("detect", POLYGON, "", {}),
        ("detect", ORIENTED, "", {}),
        ("detect", POSE, KEYPOINTS, {}),
        ("segment", ORIENTED, "", {}),
        ("segment", f"{BOX}\n{POLYGON}", "", {"boxAsPolygon": 2}),
        ("segment", f"{BOX}\n{BOX}\n{POLYGON}", "", {"boxAsPolygon": 2, "duplicateBox": 2}),
        ("semantic", BOX, "", {"boxAsPolygon": 2}),
        ("obb", BOX, "", {"boxAsPolygon": 2}),
        ("obb", POLYGON, "", {"polygonAsBox": 2}),
    ],
)
def test_labels_of_another_task_are_taken_where_they_mean_something(
    world: Any, task: Task, row: str, yaml: str, skipped: dict[str, int]
) -> None:
    rows(world, row, yaml)
    dataset = prepare(world, task).details.dataset
    assert (dataset.boxes, dataset.skipped) == (2 * len(set(row.splitlines())), skipped)


@pytest.mark.parametrize(
    ("task", "row", "yaml", "want", "hint"),
    [
        ("pose", BOX, KEYPOINTS, r"a\.txt, line 1: 5 columns; .*\[2, 3\] takes 11", "they fit detect"),
        ("pose", POLYGON, KEYPOINTS, "line 1: 7 columns; kpt_shape", "they fit segment or obb"),
        ("pose", POSE, "", "pose needs `kpt_shape:` .* the data fit detect", "write `kpt_shape:"),
        ("pose", POSE, "kpt_shape: [3, 3]\n", r"11 columns; .*\[3, 3\] takes 14", "segment or obb, or pose"),
        ("detect", f"{BOX} 0.87", "", "6 columns; detect takes 5", r"confidence \(save_conf\).* take it off"),
        ("detect", f"{BOX} 0.4 0.4 2", "", "8 columns; detect takes 5", "fit pose and need `kpt_shape:`"),
        ("segment", f"{POLYGON} 0.5", "", "8 columns; segment takes an odd number", "a confidence"),
        ("obb", f"{ORIENTED} 0.5", "", "10 columns; obb takes 9", "a confidence"),
        ("segment", BOX, "", r"all 1 labels .* are boxes, .*a\.txt, line 1\); they fit detect", "-seg"),
        ("segment", POSE, KEYPOINTS, "all 1 labels .* are boxes, and none is an outline", "task to detect"),
        ("depth", BOX, "", "data sets for depth are not prepared here", "here: detect, segment"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_say_what_they_would_fit(
    world: Any, task: Task, row: str, yaml: str, want: str, hint: str
) -> None:
    rows(world, row, yaml)
    with pytest.raises(InvalidDataError, match=want) as error:
        prepare(world, task)
    assert re.search(hint, error.value.hint or "")


def of_kind(name: str) -> Callable[[Any, Path], None]:
    """A data set of a format, as its tool exports it."""

    def write(world: Any, folder: Path) -> None:
        truth = make_truth(4)
        WRITERS[name][1](folder, write_images(world.data / "pictures", truth), truth)

    return write


def class_folders(world: Any, folder: Path) -> None:
    for i, name in enumerate(("train/cat/1", "train/dog/2", "val/cat/3")):
        world.image(f"datasets/demo/{name}.jpg", shade=i * 40)


def masks(world: Any, folder: Path) -> None:
    world.image("datasets/demo/images/train/a.jpg", (20, 10))
    (folder / "masks/train").mkdir(parents=True)
    Image.new("L", (20, 10)).save(folder / "masks/train/a.png")


def flat(world: Any, folder: Path) -> None:
    """Images and rows side by side, as Darknet has them."""
    for i, split in enumerate(("train", "valid")):
        world.image(f"datasets/demo/{split}/a.jpg", shade=i * 40)
        world.text(f"datasets/demo/{split}/a.txt", ORIENTED)


def described(world: Any, folder: Path) -> None:
    """A data.yaml over folders of other names."""
    world.image("datasets/demo/pictures/a.jpg")
    world.image("datasets/demo/more/b.jpg", shade=40)
    world.text("datasets/demo/pictures/a.txt", POLYGON)
    world.text("datasets/demo/data.yaml", "train: [pictures, more]\nnames: [a]\n")


def described_classes(world: Any, folder: Path) -> None:
    class_folders(world, folder)
    world.text("datasets/demo/data.yaml", "train: train\nval: val\nnames: [cat, dog]\n")


def other_names(world: Any, folder: Path) -> None:
    """As Label Studio names labels whose images it does not export."""
    world.image("datasets/demo/images/a.jpg")
    world.text("datasets/demo/labels/5b1f0c3e-a.txt", BOX)


@pytest.mark.parametrize(
    ("task", "write", "want", "hint"),
    [
        ("classify", of_kind("yolo"), "no folder for each class, .*; it fits detect", "train/<class>"),
        ("classify", of_kind("roboflow-yolo"), "images and labels and rows .* it fits detect", "train/<"),
        ("classify", flat, r"class, but rows of YOLO \(train/a.txt, 9 col.* fits obb or segment", "task"),
        ("classify", described, r"more and pictures and rows .*7 columns\); it fits segment", "task"),
        ("detect", described_classes, "none of the 2 images", "cat and dog .* fit classify"),
        ("classify", of_kind("coco"), "a COCO data set, .* no labels for classify; it fits detect", ""),
        ("classify", of_kind("voc"), "a Pascal VOC data set, .* classify; it fits detect", ""),
        ("classify", of_kind("labelme"), "a LabelMe data set, .* classify; it fits detect", ""),
        ("classify", of_kind("ucd"), "a UCD data set, .* classify; it fits detect", ""),
        ("pose", of_kind("coco"), "no category has `keypoints`, .* the data fit detect or segment", ""),
        ("pose", of_kind("voc"), "a Pascal VOC data set, .* pose; it fits detect", ""),
        ("pose", of_kind("labelme"), "a LabelMe data set, .* pose; it fits detect", ""),
        ("pose", of_kind("ucd"), "a UCD data set, .* pose; it fits detect", ""),
        ("segment", of_kind("coco"), "the data fit detect", ""),
        ("segment", of_kind("voc"), "all .* labels of datasets/demo are boxes, .* fit detect", "polygons"),
        ("segment", of_kind("labelme"), "all .* of datasets/demo are boxes, .* fit detect", "polygons"),
        ("segment", of_kind("ucd"), "all .* are boxes, .* they fit detect", "polygons"),
        ("detect", class_folders, "none of the 2 images .* has a label file", "cat and dog .* fit classify"),
        ("segment", class_folders, "none of the 2 images .* has a label file", "fit classify"),
        ("detect", masks, "none of the 1 images .* has a label file", "fit semantic"),
        ("detect", other_names, r"looked for .*/labels/a\.txt first", r"there are 5b1f0c3e-a\.txt"),
    ],
)  # fmt: skip
def test_data_sets_that_do_not_fit_say_what_they_would_fit(
    world: Any, task: Task, write: Callable[[Any, Path], None], want: str, hint: str
) -> None:
    folder = world.data / "datasets/demo"
    folder.mkdir()
    write(world, folder)
    with pytest.raises(InvalidDataError, match=want) as error:
        prepare(world, task, labels=["helmet", "person"])
    assert re.search(hint, error.value.hint or "")


def test_data_yaml_given_to_classification_names_the_task(world: Any) -> None:
    rows(world, BOX)
    with pytest.raises(InvalidDataError, match=r"images and labels and rows of YOLO .* it fits detect"):
        prepare(world, "classify", train="datasets/demo/data.yaml")


def test_class_folders_with_a_data_yaml_are_classes(world: Any) -> None:
    described_classes(world, world.data)
    assert prepare(world, "classify").details.dataset.classes == {"cat": 2, "dog": 1}
