"""Classes that are asked for and occur nowhere, and labels that nobody asked for: refused, or told."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from dataset_writers import labelme_content, voc_text
from yolo_crds.training import Data, Task
from yolo_trainer.data.alike import is_mistyped, nearest
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

Boxes = Mapping[str, int]
"""How many boxes of each label."""
BOX = (8, 8, 40, 40)


def prepare(world: Any, labels: list[str], task: Task = "detect", **data: object) -> PreparedSet:
    given = {"train": "datasets/demo", "labels": labels, **data}
    return prepare_dataset(world.volume, Data.model_validate(given), task, world.report)


def _images(world: Any, boxes: Boxes) -> list[tuple[str, str]]:
    """(stem, label): an image for each box."""
    found = [f"{label}-{i}" for label, count in boxes.items() for i in range(count)]
    stems = [(f"img{number:03}", name.rpartition("-")[0]) for number, name in enumerate(found)]
    for shade, (stem, _) in enumerate(stems):
        world.image(f"datasets/demo/{stem}.jpg", shade=shade)
    return stems


def ucd(world: Any, boxes: Boxes) -> None:
    shapes = {}
    for stem, label in _images(world, boxes):
        (world.data / f"datasets/demo/{stem}.jpg").rename(world.data / f"img_cache/{stem}.jpg")
        shapes[stem] = [{"shape_type": "rectangle", "label": label, "points": [[8, 8], [40, 40]]}]
    world.text("datasets/demo/demo.json", json.dumps({"uc_list": list(shapes), "shapes": shapes}))


def voc(world: Any, boxes: Boxes) -> None:
    for stem, label in _images(world, boxes):
        world.text(f"datasets/demo/{stem}.xml", voc_text(f"{stem}.jpg", [(label, *BOX)]))


def labelme(world: Any, boxes: Boxes) -> None:
    for stem, label in _images(world, boxes):
        content = labelme_content(f"{stem}.jpg", [(label, *BOX)])
        world.text(f"datasets/demo/{stem}.json", json.dumps(content))


def coco(world: Any, boxes: Boxes, more: tuple[str, ...] = ()) -> None:
    ids = {name: i for i, name in enumerate([*boxes, *more], start=1)}
    found = list(enumerate(_images(world, boxes)))
    content = {
        "images": [
            {"id": i, "file_name": f"{stem}.jpg", "width": 64, "height": 48} for i, (stem, _) in found
        ],
        "annotations": [
            {"id": i, "image_id": i, "category_id": ids[label], "bbox": [8, 8, 32, 32]}
            for i, (_, label) in found
        ],
        "categories": [{"id": i, "name": name} for name, i in ids.items()],
    }
    world.text("datasets/demo/instances.json", json.dumps(content))


def yolo(world: Any, boxes: Boxes, more: tuple[str, ...] = ()) -> None:
    names = [*boxes, *more]
    for stem, label in _images(world, boxes):
        world.text(f"datasets/demo/{stem}.txt", f"{names.index(label)} 0.5 0.5 0.2 0.2\n")
    world.text("datasets/demo/data.yaml", json.dumps({"train": ".", "names": names}))


def dota(world: Any, boxes: Boxes) -> None:
    for stem, label in _images(world, boxes):
        image = world.data / f"datasets/demo/{stem}.jpg"
        image.parent.joinpath("images").mkdir(exist_ok=True)
        image.rename(image.parent / "images" / image.name)
        row = f"8 8 40 8 40 40 8 40 {label} 0\n"
        world.text(f"datasets/demo/labelTxt/{stem}.txt", row)


FORMATS = (ucd, voc, labelme, coco, yolo, dota)


@pytest.mark.parametrize("write", FORMATS)
def test_class_that_occurs_nowhere_is_refused_with_what_was_meant(
    world: Any, write: Callable[[Any, Boxes], None]
) -> None:
    write(world, {"helmet": 6, "person": 4})
    with pytest.raises(InvalidDataError) as error:
        prepare(world, ["hemlet", "person"])
    assert error.value.message == (
        "template.data.labels: 'hemlet' (did you mean 'helmet', of which there are 6 boxes?) occurs nowhere "
        "in the data"
    )
    assert error.value.hint == (
        "correct template.data.labels; labels in the data that are not listed: helmet 6; or, where this data "
        "set is meant to lack a class, set template.data.missingClasses: allow"
    )
    assert not list(world.volume.prepared.glob("[0-9a-f]*"))  # and nothing is built


@pytest.mark.parametrize("write", FORMATS)
def test_what_is_refused_by_default_may_be_allowed_and_is_told(
    world: Any, write: Callable[[Any, Boxes], None]
) -> None:
    write(world, {"helmet": 6, "person": 4})
    found = prepare(world, ["hemlet", "person"], missingClasses="allow")
    assert found.details.dataset.classes == {"hemlet": 0, "person": 4}
    told = [
        "listed labels that occur nowhere in the data: 1, 'hemlet' (did you mean 'helmet', of which "
        "there are 6 boxes?)",
        "60% of all boxes are of labels that are not listed, and are left out: helmet 6 (did you mean the "
        "listed 'hemlet'?)",
    ]
    assert [one for one in found.details.warnings if one in told] == told
    again = prepare(world, ["hemlet", "person"], missingClasses="allow")  # by what is remembered
    assert again.details.warnings == found.details.warnings


@pytest.mark.parametrize(
    ("listed", "there", "is_refused"),
    [
        ("hemlet", "helmet", True),
        ("Helmet", "helmet", True),
        ("safety-vest", "Safety Vest", True),
        ("ｈｅｌｍｅｔ", "helmet", True),
        ("cats", "cat", True),
        ("bus", "helmet", False),
        ("cat", "car", False),
        ("digit 3", "digit 8", False),
        ("helmet", "no-helmet", False),
        ("with_mask", "without_mask", False),
    ],
)
def test_old_clients_list_classes_that_a_set_lacks_but_no_typo_passes(
    world: Any, listed: str, there: str, is_refused: bool
) -> None:
    voc(world, {there: 3, "person": 4})
    if is_refused:
        with pytest.raises(InvalidDataError, match="did you mean"):
            prepare(world, [listed, "person"], missingClasses="refuseTypos")
    else:
        found = prepare(world, [listed, "person"], missingClasses="refuseTypos")
        assert any(
            one.startswith("listed labels that occur nowhere in the data: 1")
            for one in found.details.warnings
        )


def test_several_are_named_and_those_without_a_guess_too(world: Any) -> None:
    voc(world, {"helmet": 3, "vest": 2, "person": 4})
    with pytest.raises(InvalidDataError) as error:
        prepare(world, ["helmett", "zebra", "person"])
    assert error.value.message == (
        "template.data.labels: 2 classes occur nowhere in the data: 'helmett' (did you mean 'helmet', of "
        "which there are 3 boxes?), 'zebra'"
    )


@pytest.mark.parametrize("write", [coco, yolo])
def test_class_that_the_set_names_itself_needs_no_box(world: Any, write: Callable[..., None]) -> None:
    write(world, {"helmet": 6, "person": 4}, more=("vest",))
    found = prepare(world, ["helmet", "person", "vest"])
    assert "listed labels without a box: 1, vest" in found.details.warnings


def test_rows_of_a_folder_without_names_count_by_position(world: Any) -> None:
    yolo(world, {"helmet": 6, "person": 4})
    (world.data / "datasets/demo/data.yaml").unlink()
    found = prepare(world, ["helmet", "person", "vest"])
    assert "listed labels without a box: 1, vest" in found.details.warnings


def test_class_whose_boxes_cannot_be_used_does_occur(world: Any) -> None:
    ucd(world, {"helmet": 2, "person": 4})
    inside = '"helmet", "points": [[8, 8], [40, 40]]'
    text = (world.data / "datasets/demo/demo.json").read_text()
    assert inside in text
    text = text.replace(inside, '"helmet", "points": [[90, 90], [99, 99]]')
    world.text("datasets/demo/demo.json", text)
    found = prepare(world, ["helmet", "person"], lostLabels="leaveOut")
    assert "listed labels without a box: 1, helmet" in found.details.warnings


def test_images_that_were_left_out_are_named_for_the_class_may_be_in_them(world: Any) -> None:
    voc(world, {"helmet": 1, "person": 4})
    (world.data / "datasets/demo/img000.jpg").write_bytes(b"torn")
    with pytest.raises(
        InvalidDataError, match=r"occurs nowhere in the data; images left out, file corrupt.*: 1"
    ):
        prepare(world, ["helmet", "person"])


def test_no_box_of_any_listed_label_says_what_was_meant(world: Any) -> None:
    voc(world, {"helmet": 3})
    with pytest.raises(InvalidDataError, match="no box of any listed label") as error:
        prepare(world, ["hemlet"])
    assert error.value.hint == "did you mean 'helmet'?"


def test_classes_of_folders_are_looked_for_too(world: Any) -> None:
    for shade, name in enumerate(("ants/1", "ants/2", "bees/3", "bees/4")):
        world.image(f"datasets/demo/{name}.png", shade=shade)
    with pytest.raises(
        InvalidDataError, match=r"'bee' \(did you mean 'bees', of which there are 2 images\?\)"
    ):
        prepare(world, ["ants", "bee"], "classify")


@pytest.mark.parametrize(
    ("train", "val", "want"),
    [
        (
            {"a": 3},
            {"a": 1, "b": 2},
            "classes without a box in the training set, which are not learnt: 1, b (val 2)",
        ),
        (
            {"a": 3, "b": 2},
            {"a": 1},
            "classes without a box in the validation set, whose metrics leave them out: 1, b",
        ),
    ],
)
def test_class_that_one_part_lacks_is_told(world: Any, train: Boxes, val: Boxes, want: str) -> None:
    voc(world, train)
    (world.data / "datasets/demo").rename(world.data / "datasets/train")
    voc(world, val)
    found = prepare(world, ["a", "b"], train="datasets/train", val="datasets/demo")
    assert want in found.details.warnings


@pytest.mark.parametrize(
    ("boxes", "want"),
    [
        ({"a": 8, "b": 2}, "20% of all boxes are of labels that are not listed, and are left out: b 2"),
        ({"helmet": 18, "Helmet": 1, "a": 1}, "10% of all boxes"),
        ({"a": 9, "b": 1}, None),
    ],
)
def test_many_labels_that_are_not_listed_are_told_first(world: Any, boxes: Boxes, want: str | None) -> None:
    voc(world, boxes)
    labels = ["helmet"] if "helmet" in boxes else ["a"]
    warnings = prepare(world, labels).details.warnings
    if want is None:
        assert not [one for one in warnings if "% of all boxes" in one]
    else:
        assert warnings[0].startswith(want)
    if "Helmet" in boxes:
        assert "Helmet 1 (did you mean the listed 'helmet'?)" in warnings[0]


@pytest.mark.parametrize(
    ("one", "other", "want"),
    [
        ("person", "persom", True),
        ("person", "preson", True),
        ("person", "perso", True),
        ("person", "persson", True),
        ("person", "peosrn", False),
        ("boat", "goat", False),
        ("安全帽", "安全帽 ", True),
        ("安全帽", "安全绳", False),
        ("---", "--", False),
    ],
)
def test_is_mistyped_by_a_letter_of_longer_names(one: str, other: str, want: bool) -> None:
    assert is_mistyped(one, other) is want
    assert is_mistyped(other, one) is want


def test_nearest_sees_through_ways_of_writing() -> None:
    assert nearest("SAFETY_VEST", ["helmet", "safety vest"]) == "safety vest"
    assert nearest("zebra", ["helmet", "safety vest"]) is None
