"""The classes of a data set: names given twice, folders that stand for none."""

import json
from typing import Any

import pytest

from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

TWICE = "the class name 'cat' is given twice"


def prepare(world: Any, task: Task = "detect", **data: object) -> PreparedSet:
    given = Data.model_validate({"train": "datasets/s", **data})
    return prepare_dataset(world.volume, given, task, world.report)


def images(world: Any, folder: str) -> None:
    for i in range(3):
        world.image(f"datasets/s/{folder}/a{i}.jpg", shade=i * 9)
        world.text(f"datasets/s/{folder.replace('images', 'labels')}/a{i}.txt", f"{i % 2} 0.5 0.5 0.25 0.5\n")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("data.yaml", "train: images\nnames: [cat, cat]\n"),
        ("data.yaml", "train: images\nnames: {0: cat, 1: dog, 2: cat}\n"),
        ("classes.txt", "cat\ncat\n"),
        ("obj.names", "cat\ncat \n"),
    ],
)
def test_class_names_given_twice_are_refused(world: Any, file: str, text: str) -> None:
    images(world, "images")
    world.text(f"datasets/s/{file}", text)
    if file == "obj.names":
        world.text("datasets/s/obj.data", "train = train.txt\nnames = obj.names\n")
        world.text("datasets/s/train.txt", "images/a0.jpg\nimages/a1.jpg\n")
    with pytest.raises(InvalidDataError, match=rf"{file}: {TWICE}"):
        prepare(world)


def coco(world: Any, *categories: dict[str, object], used: tuple[int, ...]) -> None:
    images(world, "images")
    content = {
        "images": [{"id": i, "file_name": f"a{i}.jpg", "width": 64, "height": 48} for i in range(3)],
        "annotations": [
            {"image_id": i % 3, "category_id": category, "bbox": [8, 8, 16, 24]}
            for category in used
            for i in range(3)
        ],
        "categories": categories,
    }
    world.text("datasets/s/all.json", json.dumps(content))


def test_coco_categories_of_one_name_are_refused(world: Any) -> None:
    coco(world, {"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}, used=(1, 2))
    with pytest.raises(InvalidDataError, match=rf"all\.json: {TWICE}"):
        prepare(world)


def test_roboflows_group_may_have_the_name_of_its_only_class(world: Any) -> None:
    head = {"id": 0, "name": "cat", "supercategory": "none"}
    coco(world, head, {"id": 1, "name": "cat", "supercategory": "cat"}, used=(1,))
    assert prepare(world).details.dataset.classes == {"cat": 3}


def test_images_of_class_folders_are_named_with_their_class(world: Any) -> None:
    for i, name in enumerate(("train/a/0", "val/a/1", "val/b/0", "train/b/1", "train/b/2")):
        world.image(f"datasets/s/{name}.jpg", shade=40 * (i % 4))
    (world.data / "datasets/s/train/b/1.jpg").write_bytes(b"x")
    details = prepare(world, "classify").details
    (corrupt,) = details.skipped_names["corruptImage"]
    assert corrupt.startswith("datasets/s/train/b/1.jpg (")
    twins = "datasets/s/train/a/0.jpg = datasets/s/train/b/2.jpg"
    assert f"images of the same content under different names: 1 ({twins})" in details.warnings


def test_class_folder_that_only_validation_has_is_told(world: Any) -> None:
    for i, name in enumerate(("train/a/0", "train/b/1", "val/A/2", "val/b/3")):
        world.image(f"datasets/s/{name}.jpg", shade=40 * i)
    details = prepare(world, "classify").details
    assert "no class of train, images in it left out: 1 (val/A)" in details.warnings
    assert (details.dataset.train_images, details.dataset.val_images) == (2, 1)


def test_single_class_folder_is_told(world: Any) -> None:
    for i in range(3):
        world.image(f"datasets/s/a/{i}.jpg", shade=40 * i)
    assert (
        "a is the only class: there is nothing to tell it from" in prepare(world, "classify").details.warnings
    )


def test_class_folders_of_which_none_is_listed_are_told(world: Any) -> None:
    for i, name in enumerate("ab"):
        world.image(f"datasets/s/{name}/{i}.jpg", shade=40 * i)
    with pytest.raises(
        InvalidDataError, match=r"no box of any listed label .* other labels in the data: a, b"
    ):
        prepare(world, "classify", labels=["cat"])


def test_images_in_no_folder_of_a_class_are_told_in_a_sentence(world: Any) -> None:
    for i, folder in enumerate(
        ("train/cat", "train/dog", "val/cat", "val/dog", *(f"val/x{n}" for n in range(5)))
    ):
        world.image(f"datasets/s/{folder}/a.jpg", shade=i * 20)
    for i in range(2):
        world.image(f"datasets/s/train/b{i}.jpg", shade=200 + i * 9)
    found = prepare(world, "classify").details
    assert found.dataset.images == 4
    assert [w for w in found.warnings if "left out" in w] == [
        "no class of train, images in it left out: 5 (val/x0, val/x1, val/x2 …)",
        "images in no folder of a class left out: 2 (train/b0.jpg, train/b1.jpg)",
    ]


def test_labels_that_are_not_listed_are_all_named_without_dots(world: Any) -> None:
    for i in range(8):
        world.image(f"datasets/s/{'cat' if i < 4 else 'dog'}/a{i}.jpg", shade=i * 20)
    assert (
        "boxes left out, label not listed: 4 (dog 4)"
        in prepare(world, "classify", labels=["cat"]).details.warnings
    )
