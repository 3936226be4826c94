"""Class names in files beside images and label files, as Label Studio, LabelImg and Roboflow write them."""

import json
from typing import Any

import pytest

from dataset_writers import pack_zip
from yolo_crds.training import Data
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError


def prepare(world: Any, train: str = "datasets/s", **data: object) -> PreparedSet:
    given = Data.model_validate({"train": train, **data})
    return prepare_dataset(world.volume, given, "detect", world.report)


def labelled(world: Any, folder: str, labels: str, rows: dict[str, int]) -> None:
    """An image for each name, with one row of that class."""
    for name, class_id in rows.items():
        world.image(f"datasets/s/{folder}/{name}.png", shade=sum(map(ord, name)))
        world.text(f"datasets/s/{labels}/{name}.txt", f"{class_id} 0.2 0.2 0.2 0.2\n")


def notes(world: Any, *categories: object) -> None:
    content = {"categories": categories, "info": {"contributor": "Label Studio"}}
    world.text("datasets/s/notes.json", json.dumps(content))


def of(id_: object, name: object) -> dict[str, object]:
    return {"id": id_, "name": name}


def class_of(found: PreparedSet) -> dict[str, str]:
    """The class of each image's only box."""
    names = list(found.details.dataset.classes)
    return {p.stem: names[int(p.read_text().split()[0])] for p in found.folder.glob("labels/*/*.txt")}


def test_label_studios_names_are_by_the_ids_of_its_notes(world: Any) -> None:
    labelled(world, "images", "labels", {"a": 1, "b": 0})
    world.text("datasets/s/classes.txt", "Zebra\nApple\n")
    notes(world, of(1, "Zebra"), of(0, "Apple"))
    found = prepare(world)
    assert class_of(found) == {"a": "Zebra", "b": "Apple"}
    assert list(found.details.dataset.classes) == ["Apple", "Zebra"]
    (warning,) = found.details.warnings[:1]
    assert "classes.txt and notes.json number the classes differently (0 Zebra, 1 Apple; 0 Apple," in warning
    pack_zip(world.data / "datasets/s", world.data / "datasets/z.zip", "project-1/")
    assert prepare(world, "datasets/z.zip").folder == found.folder
    assert class_of(prepare(world, labels=["Zebra", "Apple"])) == {"a": "Zebra", "b": "Apple"}


def test_label_studios_ids_may_have_gaps(world: Any) -> None:
    labelled(world, "images", "labels", {"a": 7, "b": 3, "c": 3})
    world.text("datasets/s/classes.txt", "late\nearly\n")
    notes(world, of(7, "late"), of(3, "early"))
    found = prepare(world)
    assert class_of(found) == {"a": "late", "b": "early", "c": "early"}
    assert list(found.details.dataset.classes) == ["early", "late"]
    world.text("datasets/s/labels/b.txt", "0 0.2 0.2 0.2 0.2\n")
    with pytest.raises(InvalidDataError, match=r"labels/b\.txt, line 1: class 0 is not among .* 3, 7"):
        prepare(world)


def test_notes_that_agree_are_not_warned_of(world: Any) -> None:
    labelled(world, "images", "labels", {"a": 1, "b": 0})
    notes(world, of(0, "x"), of(1, "y"))
    without = prepare(world)
    world.text("datasets/s/classes.txt", "x\ny\n")
    assert prepare(world).folder == without.folder
    assert not [w for w in prepare(world).details.warnings if "notes" in w]


@pytest.mark.parametrize(
    ("categories", "want"),
    [
        ([of(0, "x"), of(1, "z")], r"s/classes\.txt names the classes x, y, but .*s/notes\.json names x, z"),
        ([of(0, "x")], r"classes\.txt names the classes x, y, but .*notes\.json names x"),
        ([of(0, "x"), of(0, "y")], r"notes\.json: id 0 is given to 'x' and to 'y'"),
        ([of(0, "x"), of(1, "x")], r"notes\.json: the class name 'x' is given twice"),
        ([of("0", "x"), of(1, "y")], r"notes\.json: categories\[0\] is not"),
        ([of(0, "x"), of(1, " ")], r"notes\.json: categories\[1\] is not"),
    ],
)
def test_notes_that_cannot_be_right_are_refused(world: Any, categories: list[object], want: str) -> None:
    labelled(world, "images", "labels", {"a": 1, "b": 0})
    world.text("datasets/s/classes.txt", "x\ny\n")
    notes(world, *categories)
    with pytest.raises(InvalidDataError, match=want):
        prepare(world)


def test_other_files_called_notes_are_left_alone(world: Any) -> None:
    labelled(world, "images", "labels", {"a": 1, "b": 0})
    world.text("datasets/s/classes.txt", "x\ny\n")
    world.text("datasets/s/notes.json", '{"author": "ann"}')
    assert class_of(prepare(world)) == {"a": "y", "b": "x"}


def roboflow(world: Any) -> None:
    labelled(world, "train", "train", {"a": 0, "b": 1, "c": 0})
    labelled(world, "valid", "valid", {"d": 1})
    labelled(world, "test", "test", {"e": 1})
    for split in ("train", "valid", "test"):
        world.text(f"datasets/s/{split}/_darknet.labels", "yield\nstop")
    world.text("datasets/s/README.roboflow.txt", "s")


def test_roboflows_darknet_export_brings_classes_and_splits(world: Any) -> None:
    roboflow(world)
    found = prepare(world)
    assert class_of(found) == {"a": "yield", "b": "stop", "c": "yield", "d": "stop"}
    assert list(found.details.dataset.classes) == ["yield", "stop"]
    assert (found.details.dataset.train_images, found.details.dataset.val_images) == (3, 1)
    parts = prepare(world, "datasets/s/train", val="datasets/s/valid")
    assert parts.folder == found.folder


@pytest.mark.parametrize("place", ["", "labels/", "images/", "labels/train/", "images/train/"])
def test_classes_are_found_wherever_labelimg_saved_them(world: Any, place: str) -> None:
    labelled(world, "images/train", "labels/train", {"a": 0, "b": 1})
    labelled(world, "images/val", "labels/val", {"c": 1})
    world.text(f"datasets/s/{place}classes.txt", "x\ny\n")
    assert class_of(prepare(world)) == {"a": "x", "b": "y", "c": "y"}


def test_lists_of_one_set_that_differ_are_refused(world: Any) -> None:
    roboflow(world)
    world.text("datasets/s/valid/_darknet.labels", "stop\nyield")
    want = r"train/_darknet\.labels names the classes yield, stop, but .*valid/_darknet\.labels names stop, y"
    with pytest.raises(InvalidDataError, match=want) as error:
        prepare(world)
    assert "_darknet.labels in train/ or _darknet.labels in valid/" in (error.value.hint or "")


@pytest.mark.parametrize("path", ["", "path: s\n"])
def test_data_yaml_after_the_lines_of_classes_is_refused(world: Any, path: str) -> None:
    labelled(world, "images", "labels", {"a": 1, "b": 0})
    world.text("datasets/s/classes.txt", "Zebra\nApple\n")
    notes(world, of(1, "Zebra"), of(0, "Apple"))
    world.text("datasets/s/data.yaml", f"{path}train: images\nnames: [Zebra, Apple]\n")
    want = r"data\.yaml numbers the classes 0: Zebra, 1: Apple, but .*s/notes\.json, .* 0: Apple, 1: Zebra"
    with pytest.raises(InvalidDataError, match=want) as error:
        prepare(world)
    assert "write `names: {0: Apple, 1: Zebra}` into data.yaml" in (error.value.hint or "")
    world.text("datasets/s/data.yaml", f"{path}train: images\nnames: [Apple, Zebra]\n")
    assert class_of(prepare(world)) == {"a": "Zebra", "b": "Apple"}
    world.text("datasets/s/data.yaml", f"{path}train: images\nnames: [apple, zebra]\n")
    assert class_of(prepare(world)) == {"a": "zebra", "b": "apple"}


def test_classes_of_a_list_and_of_the_images_alone_are_those_beside(world: Any) -> None:
    labelled(world, "images", "labels", {"a": 1, "b": 0})
    world.text("datasets/s/train.txt", "images/a.png\nimages/b.png\n")
    world.text("datasets/s/any.names", "x\ny\n")
    want = {"a": "y", "b": "x"}
    for train in ("datasets/s", "datasets/s/train.txt", "datasets/s/images"):
        assert class_of(prepare(world, train)) == want
        assert class_of(prepare(world, train, labels=["y", "x"])) == want


def test_list_that_numbers_the_classes_otherwise_than_the_data_yaml_is_told(world: Any) -> None:
    labelled(world, "images", "labels", {"a": 1, "b": 0})
    world.text("datasets/s/data.yaml", "train: images\nnames: [Zebra, Apple]\n")
    world.text("datasets/s/classes.txt", "Apple\nZebra\n")
    found = prepare(world)
    assert class_of(found) == {"a": "Apple", "b": "Zebra"}
    want = "data.yaml and classes.txt number the classes differently (0 Zebra, 1 Apple; 0 Apple, 1 Zebra): "
    assert f"{want}those of data.yaml are taken" in found.details.warnings
    world.text("datasets/s/classes.txt", "Zebra\nApple\n")
    assert not [w for w in prepare(world).details.warnings if "differently" in w]
