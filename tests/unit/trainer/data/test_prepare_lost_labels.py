"""Images that had labels of listed classes and have none left: refused, left out, or taken as background."""

import json
from typing import Any

import pytest

from dataset_writers import labelme_content, voc_text
from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

GOOD = "0 0.5 0.5 0.2 0.2\n"


def prepare(world: Any, task: Task = "detect", **data: object) -> PreparedSet:
    given = {"train": "datasets/demo", "val": "datasets/demo", **data}
    return prepare_dataset(world.volume, Data.model_validate(given), task, world.report)


def yolo(world: Any, **rows: str) -> None:
    for shade, (name, text) in enumerate(rows.items()):
        world.image(f"datasets/demo/images/{name}.png", shade=shade)
        world.text(f"datasets/demo/labels/{name}.txt", text)
    world.text("datasets/demo/data.yaml", "train: images\nval: images\nnames: [a, b]\n")


def ucd(world: Any, size: list[int] | None = None, **shapes: list[object]) -> None:
    for shade, name in enumerate(shapes):
        world.image(f"img_cache/{name}.png", shade=shade)
    sizes = {name: size for name in shapes if size}
    content = {"uc_list": list(shapes), "shapes": shapes, "size_info": sizes}
    world.ucd("demo", content)


def rectangle(
    x1: int, y1: int, x2: int, y2: int, label: str = "a", kind: str = "rectangle"
) -> dict[str, object]:
    return {"shape_type": kind, "label": label, "points": [[x1, y1], [x2, y2]]}


def voc(world: Any, *names: str, difficult: bool, box: bool = True) -> None:
    edges = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>20</xmax><ymax>20</ymax></bndbox>" if box else ""
    for shade, name in enumerate(names):
        world.image(f"datasets/demo/{name}.png", shade=100 + shade)
        mark = f"<difficult>{int(difficult)}</difficult>"
        world.text(
            f"datasets/demo/{name}.xml",
            f"<annotation><object><name>a</name>{mark}{edges}</object></annotation>",
        )


@pytest.mark.parametrize(
    ("row", "want"),
    [
        ("0 1.5 0.5 0.2 0.2", "boxes outside of the image: datasets/demo/labels/lost.txt, line 1"),
        ("0 0.5 0.5 0 0.2", "boxes without width or height: datasets/demo/labels/lost.txt, line 1"),
    ],
)
def test_rows_that_are_all_lost_are_refused_with_the_way_out(world: Any, row: str, want: str) -> None:
    yolo(world, good=GOOD, lost=f"{row}\n1 1.5 0.5 0.2 0.2\n")
    with pytest.raises(InvalidDataError) as found:
        prepare(world)
    assert found.value.message.startswith(
        "template.data.train: an image has labels of listed classes, none of"
    )
    assert want in found.value.message
    assert "template.data.val: an image has" in found.value.message
    assert "set template.data.lostLabels: leaveOut" in (found.value.hint or "")


def test_many_are_counted_and_the_first_are_named(world: Any) -> None:
    yolo(world, good=GOOD, **{f"lost{i}": "0 1.5 0.5 0.2 0.2\n" for i in range(5)})
    with pytest.raises(
        InvalidDataError, match=r"train: 5 images have .*lost0.*lost1.*lost2\.txt, line 1 …\)"
    ):
        prepare(world)


def test_left_out_they_are_counted_and_named(world: Any) -> None:
    yolo(world, good=GOOD, empty="", lost="0 1.5 0.5 0.2 0.2\n")
    found = prepare(world, lostLabels="leaveOut")
    assert {p.stem for p in found.folder.glob("images/train/*")} == {"good", "empty"}
    assert found.details.dataset.skipped == {"lostLabels": 2, "outside": 2}
    assert (
        "images left out, none of their labels can be used: 2 (datasets/demo/images/lost.png)"
        in found.details.warnings
    )


def test_as_backgrounds_they_are_counted_and_named(world: Any) -> None:
    yolo(world, good=GOOD, lost="0 1.5 0.5 0.2 0.2\n")
    found = prepare(world, lostLabels="background")
    assert (found.folder / "labels/train/lost.txt").read_text() == ""
    assert found.details.dataset.backgrounds == 2
    assert found.details.dataset.skipped == {"lostAsBackground": 2, "outside": 2}


@pytest.mark.parametrize(
    "rows", ["", "1 0.5 0.5 0.2 0.2\n", "1 1.5 0.5 0.2 0.2\n", GOOD + "0 1.5 0.5 0.2 0.2\n"]
)
def test_no_labels_unlisted_ones_and_some_that_are_lost_are_no_matter(world: Any, rows: str) -> None:
    yolo(world, good=GOOD, other=rows)
    found = prepare(world, labels=["a"])
    assert {p.stem for p in found.folder.glob("images/train/*")} == {"good", "other"}


@pytest.mark.parametrize(
    ("shapes", "want"),
    [
        ([rectangle(70, 5, 90, 20)], "boxes outside of the image: img_cache/Fwe0002.png"),
        ([rectangle(5, 5, 5, 20)], "boxes without width or height: img_cache/Fwe0002.png"),
        (
            [rectangle(5, 5, 9, 20, kind="linestrip")],
            "a kind that the task does not take: img_cache/Fwe0002.png (linestrip)",
        ),
        ([{"label": "a", "points": [["x", 1], [2, 3]]}], "two numbers each: img_cache/Fwe0002.png"),
        ([7], "two numbers each: img_cache/Fwe0002.png"),
        ([7, rectangle(5, 5, 9, 20, label="b")], "two numbers each: img_cache/Fwe0002.png"),
        (7, "two numbers each: img_cache/Fwe0002.png"),
    ],
)
def test_shapes_that_are_all_lost_are_refused(world: Any, shapes: list[object], want: str) -> None:
    ucd(world, Fwe0001=[rectangle(5, 5, 20, 20)], Fwe0002=shapes)
    with pytest.raises(InvalidDataError) as found:
        prepare(world, train="demo", val="demo", labels=["a"])
    assert want in found.value.message


def test_a_broken_shape_of_a_class_that_is_not_listed_is_no_matter(world: Any) -> None:
    broken = {"label": "b", "points": [["x", 1], [2, 3]]}
    ucd(world, Fwe0001=[rectangle(5, 5, 20, 20)], Fwe0002=[broken])
    found = prepare(world, train="demo", val="demo", labels=["a"])
    assert found.details.unknown_labels == {"b": 2}


@pytest.mark.parametrize("kind", ["ucd", "voc", "labelme"])
def test_parts_of_the_image_in_place_of_pixels_are_no_tiny_boxes(world: Any, kind: str) -> None:
    corners = [[0.25, 0.25], [0.75, 1]]
    (x1, y1), (x2, y2) = corners
    drawn = {"shape_type": "rectangle", "label": "a", "points": corners}
    for i, name in enumerate(("one", "two")):
        world.image(f"img_cache/{name}.png", shade=i * 40)
        world.image(f"datasets/demo/{name}.png", shade=i * 40)
        boxes: Any = [("a", x1, y1, x2, y2) if name == "one" else ("a", 4, 4, 20, 20)]
        if kind == "voc":
            world.text(f"datasets/demo/{name}.xml", voc_text(f"{name}.png", boxes))
        elif kind == "labelme":
            world.text(f"datasets/demo/{name}.json", json.dumps(labelme_content(f"{name}.png", boxes)))
    pixels = {**drawn, "points": [[4, 4], [20, 20]]}
    world.ucd("codes", {"uc_list": ["one", "two"], "shapes": {"one": [drawn], "two": [pixels]}})
    train = "codes" if kind == "ucd" else "datasets/demo"
    with pytest.raises(InvalidDataError, match=r"no coordinate of their image is above 1: .*one\.png"):
        prepare(world, train=train, val=None, labels=["a"])
    found = prepare(world, train=train, val=None, labels=["a"], lostLabels="leaveOut")
    assert found.details.dataset.skipped == {"lostLabels": 1, "notPixels": 1}


def test_a_size_of_another_shape_loses_all_labels(world: Any) -> None:
    ucd(world, [64, 64], Fwe0001=[rectangle(5, 5, 20, 20)], Fwe0002=[rectangle(1, 1, 9, 9, label="b")])
    with pytest.raises(
        InvalidDataError, match=r"Fwe0001\.png \(64 x 64 in the labels, 64 x 48 in the file\)"
    ):
        prepare(world, train="demo", val="demo", labels=["a"])
    with pytest.raises(InvalidDataError, match="no box of any listed label"):
        prepare(world, train="demo", val="demo", labels=["a"], lostLabels="leaveOut")


def test_what_is_marked_difficult_is_left_out_and_no_background(world: Any) -> None:
    voc(world, "hard", "hard2", difficult=True)
    voc(world, "easy", difficult=False)
    found = prepare(world, labels=["a"])
    assert {p.stem for p in found.folder.glob("images/train/*")} == {"easy"}
    assert found.details.dataset.skipped == {"difficult": 4, "markedOnly": 4}


def test_what_is_marked_difficult_stays_a_mark_in_a_size_that_is_not_the_images(world: Any) -> None:
    voc(world, "hard", difficult=True)
    voc(world, "easy", difficult=False)
    file = world.data / "datasets/demo/hard.xml"
    size = "<annotation><size><width>64</width><height>64</height></size>"
    file.write_text(file.read_text().replace("<annotation>", size))
    assert prepare(world, labels=["a"]).details.dataset.skipped == {"difficult": 2, "markedOnly": 2}


def test_an_object_without_a_box_is_refused(world: Any) -> None:
    voc(world, "empty", difficult=False, box=False)
    voc(world, "easy", difficult=False)
    with pytest.raises(InvalidDataError, match=r"empty\.png \(object without bndbox\)"):
        prepare(world, labels=["a"])


def test_crowds_alone_are_left_out_and_no_background(world: Any) -> None:
    for i in (1, 2, 3):
        world.image(f"datasets/demo/images/{i}.png", shade=i)
    box = {"category_id": 1, "bbox": [5, 5, 20, 20]}
    content = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in (1, 2, 3)],
        "annotations": [
            {**box, "image_id": 1},
            {**box, "image_id": 1, "iscrowd": 1},
            {**box, "image_id": 2, "iscrowd": 1},
        ],
        "categories": [{"id": 1, "name": "a"}],
    }
    world.text("datasets/demo/all.json", json.dumps(content))
    found = prepare(world)
    assert {p.stem for p in found.folder.glob("images/train/*")} == {"1", "3"}
    assert found.details.dataset.skipped == {"crowd": 4, "markedOnly": 2}


def test_a_part_of_which_nothing_is_left_is_told(world: Any) -> None:
    yolo(world, lost="0 1.5 0.5 0.2 0.2\n")
    with pytest.raises(
        InvalidDataError, match=r"no image whose labels can be used .*: 2 \(datasets/demo/images/lost\.png\)"
    ):
        prepare(world, lostLabels="leaveOut")


def test_another_rule_is_another_question(world: Any) -> None:
    """A set that was prepared by one rule is not found by the other."""
    yolo(world, good=GOOD, lost="0 1.5 0.5 0.2 0.2\n")
    left_out = prepare(world, lostLabels="leaveOut")
    assert prepare(world, lostLabels="background").folder != left_out.folder
    with pytest.raises(InvalidDataError):
        prepare(world)


def stray_set(world: Any, yaml: str = "train: images/train\nval: images/val\nnames: [cat]\n") -> None:
    for i, split in enumerate(("train", "train", "val")):
        world.image(f"datasets/s/images/{split}/a{i}.jpg", shade=i * 40)
        world.text(f"datasets/s/labels/{split}/a{i}.txt", "0 0.5 0.5 0.25 0.5\n")
    world.text("datasets/s/data.yaml", yaml)


def test_label_files_of_yolo_without_an_image_are_counted(world: Any) -> None:
    stray_set(world)
    world.text("datasets/s/labels/train/gone.txt", "0 0.5 0.5 0.25 0.5\n")
    world.text("datasets/s/labels/val/a2 (1).txt", "0 0.5 0.5 0.25 0.5\n")
    world.text("datasets/s/labels/train/classes.txt", "cat\n")
    world.text("datasets/s/labels/train/log.txt", "exported on Monday\n")
    data = Data.model_validate({"train": "datasets/s"})
    found = prepare_dataset(world.volume, data, "detect", world.report).details
    assert found.dataset.skipped == {"strayLabel": 2}
    assert found.skipped_names["strayLabel"] == [
        "datasets/s/labels/train/gone.txt",
        "datasets/s/labels/val/a2 (1).txt",
    ]
    (world.data / "datasets/s/labels/train/gone.txt").unlink()
    assert prepare_dataset(world.volume, data, "detect", world.report).details.dataset.skipped == {
        "strayLabel": 1
    }


def test_labels_of_images_that_a_list_does_not_name_are_no_matter(world: Any) -> None:
    stray_set(world, "train: train.txt\nval: images/val\nnames: [cat]\n")
    world.text("datasets/s/train.txt", "images/train/a0.jpg\n")
    data = Data.model_validate({"train": "datasets/s"})
    assert prepare_dataset(world.volume, data, "detect", world.report).details.dataset.skipped == {}
