"""What is marked as a crowd is no object, nor is its picture a background; unless the user says it is one."""

import json
from typing import Any

import pytest

from dataset_writers import voc_text
from yolo_crds.training import Data
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

BOX = [8, 6, 32, 24]


def prepare(world: Any, **data: object) -> PreparedSet:
    given = Data.model_validate({"train": "demo", **data})
    return prepare_dataset(world.volume, given, "detect", world.report)


def write(world: Any, *annotations: tuple[int, int, object], images: int = 4) -> None:
    """A COCO file of annotations: image, category (1 a, 2 b), `iscrowd`."""
    for i in range(images):
        world.image(f"datasets/demo/{i}.png", shade=i * 40)
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 48} for i in range(images)],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [
            {"image_id": image, "category_id": category, "bbox": BOX, "iscrowd": crowd}
            for image, category, crowd in annotations
        ],
    }
    world.text("datasets/demo/all.json", json.dumps(content))


def rows(found: PreparedSet) -> dict[str, str]:
    """The classes in label files, by image."""
    files = found.folder.glob("labels/*/*.txt")
    return {p.stem: "".join(row[0] for row in p.read_text().splitlines()) for p in files}


OBJECTS = [(0, 1, 0), (1, 2, 0), (1, 1, 0)]


@pytest.mark.parametrize("mark", [1, True, "1", 1.0])
def test_picture_of_a_crowd_is_left_out_and_no_background(world: Any, mark: object) -> None:
    write(world, *OBJECTS, (1, 2, mark), (2, 1, mark))
    found = prepare(world)
    assert rows(found) == {"0": "0", "1": "01", "3": ""}
    assert found.details.dataset.skipped == {"crowd": 2, "markedOnly": 1}
    assert found.details.skipped_names["markedOnly"] == ["datasets/demo/2.png"]


def test_picture_of_a_crowd_that_is_not_asked_for_stays_a_background(world: Any) -> None:
    write(world, *OBJECTS, (2, 2, 1))
    assert rows(prepare(world, labels=["a"])) == {"0": "0", "1": "0", "2": "", "3": ""}


def test_picture_is_left_out_when_only_classes_that_are_not_asked_for_stand_beside_the_crowd(
    world: Any,
) -> None:
    write(world, *OBJECTS, (2, 2, 0), (2, 1, 1))
    assert rows(prepare(world, labels=["a"])) == {"0": "0", "1": "0", "3": ""}


def test_crowds_are_taken_as_objects_where_the_user_says_so(world: Any) -> None:
    write(world, *OBJECTS, (2, 2, 1), (3, 1, 1))
    found = prepare(world, crowd="take")
    assert rows(found) == {"0": "0", "1": "01", "2": "1", "3": "0"}
    assert found.details.dataset.skipped == {"takenCrowd": 2}
    assert not any("supervision" in warning for warning in found.details.warnings)


def test_many_crowds_tell_who_writes_them_and_what_can_be_done(world: Any) -> None:
    write(world, *OBJECTS, (2, 2, 1))
    [warning] = [w for w in prepare(world).details.warnings if "1 of 4 annotations" in w]
    assert warning.startswith("datasets/demo/all.json: ")
    assert all(word in warning for word in ("supervision", "Datumaro", "template.data.crowd to take"))


def test_few_crowds_are_those_of_coco_and_no_matter(world: Any) -> None:
    write(world, *[(i, 1, 0) for i in range(19)], (19, 1, 1), images=21)
    found = prepare(world)
    assert not any("supervision" in warning for warning in found.details.warnings)
    assert found.details.dataset.skipped == {"crowd": 1, "markedOnly": 1}


def test_crowds_alone_are_refused_with_what_can_be_done(world: Any) -> None:
    write(world, (0, 1, 1), (1, 2, 1))
    with pytest.raises(
        InvalidDataError,
        match=r"^template.data.train: datasets/demo/all.json: 2 of 2 annotations mark a crowd",
    ) as error:
        prepare(world)
    assert "template.data.crowd to take" in str(error.value.hint)


def test_crowds_of_the_validation_file_are_told_too(world: Any) -> None:
    write(world, (2, 1, 0), (3, 1, 1))
    (world.data / "datasets/demo/all.json").rename(world.data / "datasets/demo/val.json")
    write(world, (0, 1, 0))
    (world.data / "datasets/demo/all.json").rename(world.data / "datasets/demo/train.json")
    assert any("val.json: 1 of 2 annotations" in warning for warning in prepare(world).details.warnings)


def test_validation_part_of_crowds_alone_is_told_and_does_not_end_the_training(world: Any) -> None:
    write(world, (2, 1, 1), images=4)
    (world.data / "datasets/demo/all.json").rename(world.data / "datasets/demo/val.json")
    write(world, (0, 1, 0), images=4)
    (world.data / "datasets/demo/all.json").rename(world.data / "datasets/demo/train.json")
    found = prepare(world)
    assert any("val.json: 1 of 1 annotations mark a crowd" in warning for warning in found.details.warnings)
    assert found.details.dataset.skipped["markedOnly"] == 1


def test_picture_of_difficult_objects_alone_is_no_background_either(world: Any) -> None:
    for i, difficult in enumerate((0, 1, 0)):
        world.image(f"datasets/demo/{i}.png", shade=i * 40)
        text = voc_text(f"{i}.png", [("a", 8, 6, 40, 30)])
        text = text.replace("</name>", f"</name><difficult>{difficult}</difficult>")
        world.text(f"datasets/demo/{i}.xml", text)
    found = prepare(world, labels=["a"])
    assert rows(found) == {"0": "0", "2": "0"}
    assert found.details.dataset.skipped == {"difficult": 1, "markedOnly": 1}
