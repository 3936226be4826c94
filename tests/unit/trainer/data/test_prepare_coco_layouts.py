"""Where the tools that export COCO put images and annotation files."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from yolo_crds.training import Data
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset

LAYOUTS = {
    "FiftyOne": {"labels.json": ["data/a.png", "data/b.png"]},
    "FiftyOne's zoo": {
        "train/labels.json": ["train/data/a.png"],
        "validation/labels.json": ["validation/data/a.png"],
    },
    "FiftyOne, both parts in one": {
        "labels/train.json": ["data/train/a.png"],
        "labels/val.json": ["data/val/a.png"],
    },
    "files beside folders of a year": {
        "instances_train.json": ["train2017/a.png"],
        "instances_val.json": ["val2017/a.png"],
    },
    "COCO": {
        "annotations/instances_train2017.json": ["train2017/a.png"],
        "annotations/instances_val2017.json": ["val2017/a.png"],
    },
    "a year in the folders alone": {
        "annotations/instances_train.json": ["images/train2017/a.png"],
        "annotations/instances_val.json": ["images/val2017/a.png"],
    },
    "a year in the files alone": {
        "annotations/instances_train2017.json": ["train/a.png"],
        "annotations/instances_val2017.json": ["valid/a.png"],
    },
    "Datumaro": {
        "annotations/instances_train.json": ["images/train/a.png"],
        "annotations/instances_val.json": ["images/val/a.png"],
    },
    "CVAT": {
        "annotations/instances_Train.json": ["images/Train/a.png"],
        "annotations/instances_Validation.json": ["images/Validation/a.png"],
    },
    "Roboflow": {
        "train/_annotations.coco.json": ["train/a.png"],
        "valid/_annotations.coco.json": ["valid/a.png"],
    },
    "MMDetection's example": {
        "train/annotation_coco.json": ["train/images/a.png"],
        "val/annotation_coco.json": ["val/images/a.png"],
    },
    "supervision": {"annotations.json": ["images/a.png", "images/b.png"]},
}


def write(world: Any, files: dict[str, list[tuple[str, str]]]) -> None:
    """COCO files of images, each with its place and its `file_name`; each image has another shade, and a box
    as wide as its number."""
    number = 0
    for file, images in files.items():
        content: dict[str, list[object]] = {
            "images": [],
            "annotations": [],
            "categories": [{"id": 1, "name": "a"}],
        }
        for place, name in images:
            number += 1
            world.image(f"datasets/demo/{place}", (100, 100), shade=number)
            content["images"].append({"id": number, "file_name": name, "width": 100, "height": 100})
            box = {"image_id": number, "category_id": 1, "bbox": [0, 0, number, 10]}
            content["annotations"].append(box)
        world.text(f"datasets/demo/{file}", json.dumps(content))


def prepare(world: Any, train: str = "datasets/demo") -> PreparedSet:
    return prepare_dataset(world.volume, Data.model_validate({"train": train}), "detect", world.report)


def taken(found: PreparedSet) -> dict[Path, int]:
    """The images that were taken, each with the width of its box."""
    widths = {}
    for image in found.folder.glob("images/*/*.png"):
        label = found.folder / "labels" / image.parent.name / f"{image.stem}.txt"
        widths[image.resolve()] = round(100 * float(label.read_text().split()[3]))
    return widths


@pytest.mark.parametrize("name", LAYOUTS)
def test_images_are_found_where_tools_put_them(world: Any, name: str) -> None:
    layout = LAYOUTS[name]
    write(world, {f: [(p, PurePosixPath(p).name) for p in places] for f, places in layout.items()})
    found = prepare(world)
    places = [place for places in layout.values() for place in places]
    dataset = found.details.dataset
    assert (dataset.images, dataset.boxes, dataset.skipped) == (2, 2, {})
    assert dataset.train_images == dataset.val_images == 1
    folder = world.data.resolve() / "datasets/demo"
    assert taken(found) == {folder / place: i for i, place in enumerate(places, 1)}


@pytest.mark.parametrize(
    "name", ["sub/a.png", "./sub/a.png", "images/sub/a.png", "sub\\a.png", "../images/sub/a.png"]
)
def test_file_name_may_have_folders(world: Any, name: str) -> None:
    write(world, {"annotations/all.json": [("images/sub/a.png", name), ("images/b.png", "b.png")]})
    found = prepare(world)
    folder = world.data.resolve() / "datasets/demo/images"
    assert taken(found) == {folder / "sub/a.png": 1, folder / "b.png": 2}


def test_folders_beside_the_data_set_are_not_searched(world: Any) -> None:
    write(
        world,
        {"train.json": [("images/a.png", "a.png"), ("images/b.png", "b.png"), ("images/c.png", "c.png")]},
    )
    (world.data / "datasets/training").mkdir()
    (world.data / "datasets/demo/images/c.png").rename(world.data / "datasets/training/c.png")
    found = prepare(world)
    assert found.details.dataset.skipped == {"missingImage": 1}
