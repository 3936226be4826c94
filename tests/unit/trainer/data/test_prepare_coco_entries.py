"""What annotations of COCO files refer to, and whether a file holds what the task takes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

Content = dict[str, list[dict[str, Any]]]
BOX = [8, 6, 32, 24]
ROW = "0.375000 0.375000 0.500000 0.500000"
OUTLINE = [[8, 6, 40, 6, 40, 30, 8, 30]]


def example() -> Content:
    """Two images with a box of each class each."""
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 48} for i in (1, 2)],
        "categories": [{"id": 3, "name": "a"}, {"id": 11, "name": "b"}],
        "annotations": [
            {"id": 10 * i + c, "image_id": i, "category_id": c, "bbox": [*BOX[:2], BOX[2], BOX[3] - c // 11]}
            for i in (1, 2)
            for c in (3, 11)
        ],
    }


def prepare(world: Any, content: Content, task: Task = "detect", **data: object) -> PreparedSet:
    for i in (1, 2):
        world.image(f"datasets/demo/{i}.png", shade=i)
    world.text("datasets/demo/all.json", json.dumps(content))
    given = Data.model_validate({"train": "demo", **data})
    return prepare_dataset(world.volume, given, task, world.report)


def ids_as(form: Callable[[int], object], *keys: str) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        for entries in content.values():
            for entry in entries:
                entry.update({key: form(entry[key]) for key in keys if key in entry})

    return change


def words(number: int) -> str:
    return f"id-{number:04}"


ALL = ("id", "image_id", "category_id")


@pytest.mark.parametrize(
    ("form", "keys"),
    [
        (words, ALL),
        *((form, keys) for form in (str, float, " {} ".format) for keys in (ALL, ALL[:1], ALL[1:2], ALL[2:])),
    ],
)
def test_ids_are_the_same_however_they_are_written(
    world: Any, form: Callable[[int], object], keys: tuple[str, ...]
) -> None:
    want = prepare(world, example())
    content = example()
    ids_as(form, *keys)(content)
    found = prepare(world, content)
    assert found.details.dataset == want.details.dataset
    assert found.folder == want.folder


def first(key: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Content], None]:
    def apply(content: Content) -> None:
        change(content[key][0])

    return apply


@pytest.mark.parametrize(
    ("change", "want"),
    [
        (first("categories", lambda c: c.pop("id")), r"s\[0\]: needs an `id`, by .*'a' \(`category_id`"),
        (first("categories", lambda c: c.update(id=True)), r"categories\[0\]: needs an `id`"),
        (first("categories", lambda c: c.update(id=11)), r"s\[1\]: needs an `id` of its own; 11 means 'a'"),
        (first("categories", lambda c: c.update(name="b ")), r"'b' is given twice, to the ids 3 and 11$"),
        (first("categories", lambda c: c.update(name=" ")), r"categories\[0\]: needs a name"),
        (lambda c: c.update(categories=["a", "b"]), r"categories\[0\]: needs a name and an `id` .* it is a$"),
        (first("images", lambda i: i.pop("id")), r"images\[0\]: needs an `id`, by .*'1.png' \(`image_id`"),
        (first("images", lambda i: i.update(id=2)), r"images\[1\]: .* 2 means '1.png' already, not '2.png'"),
        (first("images", lambda i: i.pop("file_name")), r"images\[0\]: needs `file_name`"),
        (first("annotations", lambda a: a.pop("image_id")), r"annotations\[0\]: needs `image_id` and"),
        (first("annotations", lambda a: a.update(category_id=None)), r"annotations\[0\]: needs `image_id`"),
        (first("annotations", lambda a: a.update(category_id="x")), r"_id x is not among .*\(3 a, 11 b\)"),
        (lambda c: c["annotations"].insert(0, [1]), r"annotations\[0\]: needs `image_id` and"),
    ],
)  # fmt: skip
def test_entries_that_mean_nothing_are_named(
    world: Any, change: Callable[[Content], None], want: str
) -> None:
    content = example()
    change(content)
    with pytest.raises(InvalidDataError, match=rf"^template\.data\.train: datasets/demo/all\.json.*{want}"):
        prepare(world, content)


def test_entries_given_twice_are_taken_once(world: Any) -> None:
    want = prepare(world, example())
    content = example()
    for key in ("categories", "images"):
        content[key].append(dict(content[key][0]))
    found = prepare(world, content)
    assert found.folder == want.folder
    assert found.details.dataset.skipped == {"duplicateImage": 1}


def test_annotations_of_missing_images_are_counted(world: Any) -> None:
    content = example()
    content["annotations"][0]["image_id"] = 7
    found = prepare(world, content)
    assert found.details.dataset.skipped == {"strayLabel": 1}
    assert found.details.skipped_names["strayLabel"] == ["annotations[0], image_id 7"]


def test_annotations_of_nothing_but_missing_images_are_refused(world: Any) -> None:
    content = example()
    for annotation in content["annotations"]:
        annotation["image_id"] = f"{annotation['image_id']}.png"
    with pytest.raises(
        InvalidDataError, match=r"annotations\[0\], image_id 1\.png; ids in `images`: 1, 2\)"
    ) as error:
        prepare(world, content)
    assert "`image_id` is the `id` of an entry" in str(error.value.hint)


@pytest.mark.parametrize("task", ["segment", "semantic"])
@pytest.mark.parametrize("segmentation", [[], None, [[]], [[1, 2, 3, 4]]])
def test_boxes_alone_are_refused_for_outlines_with_what_fits(
    world: Any, task: Task, segmentation: object
) -> None:
    content = example()
    for annotation in content["annotations"]:
        annotation["segmentation"] = segmentation
    want = rf"datasets/demo/all\.json: none of its 4 .* {task} needs; the data fit detect$"
    with pytest.raises(InvalidDataError, match=rf"^template\.data\.train: {want}"):
        prepare(world, content, task)
    assert prepare(world, content, "detect").details.dataset.boxes == 4


def test_boxes_among_outlines_are_taken_as_such_and_counted(world: Any) -> None:
    content = example()
    content["annotations"][0]["segmentation"] = OUTLINE
    found = prepare(world, content, "segment")
    assert found.details.dataset.boxes == 4
    assert found.details.dataset.skipped == {"boxAsPolygon": 3}


def test_validation_file_of_boxes_alone_is_named(world: Any) -> None:
    content = example()
    world.text("datasets/boxes.json", json.dumps(content))
    for annotation in content["annotations"]:
        annotation["segmentation"] = OUTLINE
    with pytest.raises(InvalidDataError, match=r"^template\.data\.val: datasets/boxes\.json: none of its 4"):
        prepare(world, content, "segment", val="datasets/boxes.json")


def test_parts_of_the_image_in_place_of_pixels_are_refused(world: Any) -> None:
    content = example()
    for annotation in content["annotations"]:
        annotation["bbox"] = [0.1, 0.2, 0.5, 0.25]
    with pytest.raises(
        InvalidDataError, match=r"all\.json: no coordinate is larger than 1; COCO's are pixels"
    ):
        prepare(world, content)
    content["annotations"][0]["bbox"] = BOX
    with pytest.raises(InvalidDataError, match="no coordinate of their image is above 1"):
        prepare(world, content)
    found = prepare(world, content, lostLabels="leaveOut").details.dataset
    assert found.boxes > 0
    assert found.skipped["notPixels"] > 0


def test_box_with_an_angle_says_how_turned_boxes_are_written(world: Any) -> None:
    content = example()
    content["annotations"][0]["bbox"] = [20, 20, 10, 10, 45]
    with pytest.raises(InvalidDataError, match=r"annotations\[0\]: `bbox` is .*, not \[x, y") as error:
        prepare(world, content)
    assert "`attributes.rotation` (degrees, clockwise)" in str(error.value.hint)


@pytest.mark.parametrize("names", [["train.json", "val.json"], ["one.json", "two.json"]])
def test_validation_with_another_number_of_keypoints_is_refused(world: Any, names: list[str]) -> None:
    for name, count in zip(names, (2, 3), strict=True):
        content = example()
        for entry in content["categories"]:
            entry["keypoints"] = ["nose", "chin", "ear"][:count]
        for entry in content["annotations"]:
            entry["keypoints"] = [9, 9, 2] * count
        world.text(f"datasets/demo/{name}", json.dumps(content))
    for i in (1, 2):
        world.image(f"datasets/demo/{i}.png", shade=i)
    data = (
        {"train": "demo"} if names[0] == "train.json" else {"train": "demo/one.json", "val": "demo/two.json"}
    )
    with pytest.raises(InvalidDataError, match=rf"{names[1]} has 3 keypoints .*, {names[0]} for training 2"):
        prepare_dataset(world.volume, Data.model_validate(data), "pose", world.report)


def test_validation_part_of_boxes_alone_beside_outlines_is_a_mixture(world: Any) -> None:
    content = example()
    world.text("datasets/demo/val.json", json.dumps(content))
    for annotation in content["annotations"]:
        annotation["segmentation"] = OUTLINE
    world.text("datasets/demo/train.json", json.dumps(content))
    for i in (1, 2):
        world.image(f"datasets/demo/{i}.png", shade=i)
    found = prepare_dataset(world.volume, Data.model_validate({"train": "demo"}), "segment", world.report)
    assert found.details.dataset.skipped == {"boxAsPolygon": 4}
