"""UCD data sets to label lines."""

import copy
import json
from typing import Any

import pytest

from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

EXAMPLE_LINES = {
    "Fwe00a1": "0 0.283333 0.177778 0.066667 0.133333\n",
    "Fwe00a2": "1 0.045312 0.114583 0.065625 0.145833\n",
    "Fwe00a3": "",
}


def prepare(world: Any, task: Task = "detect", **data: object) -> PreparedSet:
    given = {"train": "helmet_demo", "labels": ["helmet", "person"], **data}
    return prepare_dataset(world.volume, Data.model_validate(given), task, world.report)


def labels(found: PreparedSet, split: str = "*") -> dict[str, str]:
    return {p.stem: p.read_text() for p in sorted(found.folder.glob(f"labels/{split}/*.txt"))}


def one(world: Any, *shapes: dict[str, object], size: tuple[int, int] = (100, 50)) -> None:
    """A data set of two images, shapes on the first."""
    world.image("img_cache/Fwe0001.png", size, 1)
    world.image("img_cache/Fwe0002.png", size, 2)
    world.ucd("one", {"uc_list": ["Fwe0001", "Fwe0002"], "shapes": {"Fwe0001": list(shapes)}})


def rectangle(*points: list[float], label: str = "a", kind: str = "rectangle") -> dict[str, object]:
    return {"shape_type": kind, "label": label, "points": list(points)}


def test_prepare_dataset_gives_the_lines_of_the_format_description(world: Any) -> None:
    world.example()
    found = prepare(world, val="helmet_demo")
    assert labels(found, "train") == EXAMPLE_LINES
    assert labels(found, "val") == EXAMPLE_LINES
    assert found.details.unknown_labels == {"vest": 2}
    assert found.details.dataset.classes == {"helmet": 2, "person": 2}
    assert (found.data_path).read_text().splitlines() == [
        "train: images/train",
        "val: images/val",
        "nc: 2",
        "names:",
        "  0: helmet",
        "  1: person",
    ]


def test_fault_1_train_and_val_read_their_own_labels(world: Any) -> None:
    world.many("train_set", 4)
    world.image("img_cache/Fwe9999.jpg", shade=999)
    box = {"shape_type": "rectangle", "label": "b", "points": [[0, 0], [32, 24]]}
    world.ucd("val_set", {"uc_list": ["Fwe9999"], "shapes": {"Fwe9999": [box]}})
    found = prepare(world, train="train_set", val="val_set", labels=["a", "b"])
    assert {line.split()[0] for text in labels(found, "train").values() for line in text.splitlines()} == {
        "0"
    }
    assert labels(found, "val") == {"Fwe9999": "1 0.250000 0.250000 0.500000 0.500000\n"}


def test_fault_7_background_images_are_trained_on(world: Any) -> None:
    world.example()
    found = prepare(world, val="helmet_demo")
    assert labels(found, "train")["Fwe00a3"] == ""
    assert (found.folder / "images/train/Fwe00a3.jpg").exists()
    assert found.details.dataset.backgrounds == 2  # once in each split


def test_label_order_is_the_class_index(world: Any) -> None:
    world.example()
    found = prepare(world, labels=["person", "vest", "helmet"], val="helmet_demo")
    want = ["1 0.292187 0.421296 0.134375 0.287037", "2 0.283333 0.177778 0.066667 0.133333"]
    assert labels(found, "train")["Fwe00a1"].splitlines() == want


@pytest.mark.parametrize(
    ("shape", "want", "skipped"),
    [
        (rectangle([40, 40], [10, 10]), "0 0.250000 0.500000 0.300000 0.600000", {}),
        (rectangle([-10, 10], [10, 20]), "0 0.050000 0.300000 0.100000 0.200000", {"clipped": 1}),
        (rectangle([90, 40], [130, 80]), "0 0.950000 0.900000 0.100000 0.200000", {"clipped": 1}),
        (rectangle([120, 10], [130, 20]), None, {"outside": 1}),
        (rectangle([10, 10], [10, 20]), None, {"noSize": 1}),
        (rectangle([10, 10], [20, 10]), None, {"noSize": 1}),
        (rectangle([50, 25], [60, 25], kind="circle"), "0 0.500000 0.500000 0.200000 0.400000", {}),
        (rectangle([10, 10], kind="point"), None, {"otherShape": 1}),
        (rectangle([10, 10], [20, 20], kind="line"), None, {"otherShape": 1}),
        ({"shape_type": "rectangle", "label": "a", "points": None}, None, {"brokenShape": 1}),
        ({"shape_type": "rectangle", "label": "a", "points": [["x", 1]]}, None, {"brokenShape": 1}),
        ({"shape_type": "rectangle", "label": "a", "points": [[1, "x"], [3, 4]]}, None, {"brokenShape": 1}),
        ({"shape_type": None, "label": "a", "points": [[0, 0], [100, 50]], "conf": None},
         "0 0.500000 0.500000 1.000000 1.000000", {}),
    ],
)  # fmt: skip
def test_shape_becomes_a_box(
    world: Any, shape: dict[str, object], want: str | None, skipped: dict[str, int]
) -> None:
    one(world, shape, rectangle([0, 0], [50, 25]))
    found = prepare(world, train="one", val="one", labels=["a"])
    got = labels(found, "train")["Fwe0001"].splitlines()
    assert set(got) == {*([want] if want else []), "0 0.250000 0.250000 0.500000 0.500000"}
    # read twice, once for each split; shapes that are none are counted where the file is read
    assert {k: max(1, v // 2) for k, v in found.details.dataset.skipped.items()} == skipped


def test_duplicate_boxes_and_images_are_taken_once(world: Any) -> None:
    world.many("twice", 3)
    content = {
        "uc_list": ["Fwe0000", "Fwe0001", "Fwe0000"],
        "shapes": {"Fwe0000": [rectangle([1, 1], [9, 9]), rectangle([9, 9], [1, 1])]},
    }
    world.ucd("twice", content)
    found = prepare(world, train="twice", labels=["a"])
    assert found.details.dataset.boxes == 1
    assert found.details.dataset.skipped == {"duplicateImage": 1, "duplicateBox": 1}


@pytest.mark.parametrize("kind", ["rotation", "oriented_rectangle", "quadrilateral"])
def test_turned_rectangle_is_its_four_corners(world: Any, kind: str) -> None:
    """As the tools of LabelMe's kin call them."""
    world.image("img_cache/one.png", (64, 48))
    corners = [[30, 10], [40, 20], [30, 30], [20, 20]]
    drawn = {"shape_type": kind, "label": "a", "points": corners}
    world.ucd("demo", {"uc_list": ["one"], "shapes": {"one": [drawn]}})
    data = Data.model_validate({"train": "demo", "labels": ["a"]})
    found = prepare_dataset(world.volume, data, "obb", world.report)
    line = (found.folder / "labels/train/one.txt").read_text()
    want = [x / s for point in corners for x, s in zip(point, (64, 48), strict=True)]
    assert [float(word) for word in line.split()[1:]] == pytest.approx(want, abs=1e-5)
    assert found.details.dataset.skipped == {}


def test_shapes_of_codes_that_are_not_listed_are_counted(world: Any) -> None:
    world.many(count=2)
    box = rectangle([1, 1], [9, 9])
    world.ucd("stray", {"uc_list": ["Fwe0000"], "shapes": {"Fwe0000": [box], "Fwe0001": [box, box], "x": 5}})
    details = prepare(world, train="stray", labels=["a"]).details
    assert details.dataset.skipped == {"strayLabel": 3}
    assert details.skipped_names == {"strayLabel": ["Fwe0001", "x"]}


def test_turned_box_that_loses_a_corner_at_the_edge_keeps_four(world: Any) -> None:
    diamond = rectangle([10, 5], [30, 25], [10, 45], [-10, 25], kind="polygon")
    pointed = rectangle([60, -10], [80, 10], [60, 30], [40, 10], kind="polygon")
    one(world, diamond, pointed)
    found = prepare(world, "obb", train="one", labels=["a"])
    rows = [[float(word) for word in row.split()] for row in labels(found, "train")["Fwe0001"].splitlines()]
    assert [len(row) for row in rows] == [9, 9]
    assert all(0 <= value <= 1 for row in rows for value in row[1:])
    assert found.details.dataset.skipped["clipped"] == 2


def test_polygons_stay_polygons_for_segment(world: Any) -> None:
    triangle = rectangle([10, 10], [30, 10], [20, 40], kind="polygon")
    one(world, triangle, rectangle([0, 0], [50, 25]), rectangle([-10, 0], [10, 0], [10, 25], kind="polygon"))
    found = prepare(world, "segment", train="one", val="one", labels=["a"])
    assert labels(found, "train")["Fwe0001"].splitlines() == [
        "0 0.000000 0.000000 0.500000 0.000000 0.500000 0.500000 0.000000 0.500000",
        "0 0.000000 0.250000 0.000000 0.000000 0.100000 0.000000 0.100000 0.500000",
        "0 0.100000 0.200000 0.300000 0.200000 0.200000 0.800000",
    ]
    assert found.details.dataset.skipped == {"boxAsPolygon": 2, "clipped": 2}


def test_obb_takes_four_corners_as_they_are(world: Any) -> None:
    one(world, rectangle([50, 0], [100, 25], [50, 50], [0, 25], kind="polygon"))
    found = prepare(world, "obb", train="one", val="one", labels=["a"])
    want = "0 0.500000 0.000000 1.000000 0.500000 0.500000 1.000000 0.000000 0.500000\n"
    assert labels(found, "train")["Fwe0001"] == want
    assert found.details.dataset.skipped == {}


@pytest.mark.parametrize(
    ("shape", "corners", "skipped"),
    [
        (rectangle([10, 10], [30, 10], [30, 20], [20, 20], [10, 20], kind="polygon"),
         {(0.1, 0.2), (0.3, 0.2), (0.3, 0.4), (0.1, 0.4)}, {"polygonAsBox": 2}),
        (rectangle([40, 10], [50, 20], [45, 15], [40, 30], [30, 20], kind="polygon"),  # turned by 45 degrees
         {(0.4, 0.2), (0.5, 0.4), (0.4, 0.6), (0.3, 0.4)}, {"polygonAsBox": 2}),
        (rectangle([50, 25], [60, 25], kind="circle"),
         {(0.4, 0.3), (0.6, 0.3), (0.6, 0.7), (0.4, 0.7)}, {}),
    ],
)  # fmt: skip
def test_obb_takes_the_smallest_rectangle_around_a_shape(
    world: Any, shape: dict[str, object], corners: set[tuple[float, float]], skipped: dict[str, int]
) -> None:
    one(world, shape)
    found = prepare(world, "obb", train="one", val="one", labels=["a"])
    values = [float(v) for v in labels(found, "train")["Fwe0001"].split()[1:]]
    assert {(round(x, 6), round(y, 6)) for x, y in zip(values[::2], values[1::2], strict=True)} == corners
    assert found.details.dataset.skipped == skipped


def test_obb_of_a_line_has_no_size(world: Any) -> None:
    one(world, rectangle([10, 10], [20, 20], [30, 30], kind="polygon"), rectangle([1, 1], [9, 9]))
    found = prepare(world, "obb", train="one", val="one", labels=["a"])
    assert found.details.dataset.skipped == {"polygonAsBox": 2, "noSize": 2, "boxAsPolygon": 2}
    assert found.details.dataset.boxes == 2


def test_missing_and_corrupt_images_are_counted_by_code(world: Any) -> None:
    world.many(count=4)
    (world.data / "img_cache/Fwe0001.jpg").unlink()
    whole = (world.data / "img_cache/Fwe0002.jpg").read_bytes()
    (world.data / "img_cache/Fwe0002.jpg").write_bytes(whole[: len(whole) // 2])
    found = prepare(world, train="many", labels=["a"])
    assert found.details.dataset.images == 2
    assert found.details.dataset.skipped == {"corruptImage": 1, "missingImage": 1}
    assert found.details.skipped_names["missingImage"] == ["Fwe0001 (looked for img_cache/Fwe0001.jpg)"]
    assert found.details.skipped_names["corruptImage"][0].startswith("img_cache/Fwe0002.jpg (")


def test_code_that_carries_an_ending_is_told(world: Any) -> None:
    world.many(count=2)
    world.ucd("ends", {"uc_list": ["Fwe0000.jpg"]})
    want = r"file missing: 1 \(Fwe0000\.jpg \(img_cache/Fwe0000\.jpg is there; a code has no ending\)\)"
    with pytest.raises(InvalidDataError, match=want):
        prepare(world, train="ends", labels=["a"])


def test_image_endings_are_tried_in_order(world: Any) -> None:
    world.image("img_cache/Fwe0001.PNG", shade=1)
    world.image("img_cache/Fwe0002.png", shade=2)
    world.image("img_cache/Fwe0002.JPG", shade=3)
    shapes = {"Fwe0001": [rectangle([1, 1], [9, 9])], "Fwe0002": [rectangle([1, 1], [9, 9])]}
    world.ucd("ends", {"uc_list": list(shapes), "shapes": shapes})
    found = prepare(world, train="ends", val="ends", labels=["a"])
    assert sorted(p.name for p in found.folder.glob("images/train/*")) == ["Fwe0001.PNG", "Fwe0002.JPG"]


def test_size_info_is_what_pixels_count_in(world: Any) -> None:
    world.image("img_cache/Fwe0001.jpg", (320, 240), 1)  # a scaled copy of a 640 x 480 image
    world.image("img_cache/Fwe0002.jpg", (640, 480), 2)
    content: dict[str, Any] = {
        "uc_list": ["Fwe0001", "Fwe0002"],
        "shapes": {uc: [rectangle([0, 0], [320, 240])] for uc in ("Fwe0001", "Fwe0002")},
        "size_info": {"Fwe0001": [640, 480], "Fwe0002": [-1, -1]},
    }
    world.ucd("sizes", content)
    found = prepare(world, train="sizes", val="sizes", labels=["a"])
    assert set(labels(found, "train").values()) == {"0 0.250000 0.250000 0.500000 0.500000\n"}
    assert found.details.dataset.skipped == {"sizeMismatch": 2}


def test_xml_info_is_read(world: Any) -> None:
    world.many(count=2)
    row = ["8", "12", "40", "36", "0.9", "a"]
    world.ucd(
        "old", {"uc_list": ["Fwe0000", "Fwe0001"], "xml_info": {"Fwe0000": [row, ["x"]]}, "shapes": None}
    )
    found = prepare(world, train="old", val="old", labels=["a"])
    assert labels(found, "train")["Fwe0000"] == "0 0.375000 0.500000 0.500000 0.500000\n"


def test_split_files_are_read(world: Any) -> None:
    world.many(count=3)
    box = rectangle([8, 12], [40, 36])
    world.text("ucd/old.uci", '{"uc_list": ["Fwe0000"], "volume_size": 1}')
    world.text("ucd/old.obi", json.dumps({"shapes": {"Fwe0000": [box]}}))
    world.text("ucd/old.u1", '{"uc_list": ["Fwe0001", "Fwe0002"]}')
    found = prepare(world, train="old", val="old", labels=["a"])
    assert labels(found, "train") == {
        "Fwe0000": "0 0.375000 0.500000 0.500000 0.500000\n",
        "Fwe0001": "",
        "Fwe0002": "",
    }


def test_names_may_hold_folders_of_either_slash(world: Any) -> None:
    world.many("team/many", 2)
    hashes = {
        prepare(world, train=name, labels=["a"]).folder.name
        for name in ("team/many", "team\\many", "ucd/team/many.json", str(world.data / "ucd/team/many.json"))
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("content", "labels_", "want"),
    [
        ({"uc_list": []}, ["a"], "lists no image"),
        ({"other": 1}, ["a"], "is no UCD data set"),
        ([1, 2], ["a"], "not an object"),
        ({"uc_list": ["Fwe0000"]}, ["a"], "no box of any listed label .*: none; all labels are empty"),
        ({"uc_list": ["Fwe0000"], "shapes": None}, ["a"], "all labels are empty"),
        ({"uc_list": ["Fwe0000"], "shapes": [1]}, ["a"], "`shapes` is a list, not an object"),
        (
            {"uc_list": ["Fwe0000"], "shapes": {"Fwe0000": [rectangle([1, 1], [9, 9], kind="linestrip")]}},
            ["a"],
            r"none of which can be used \(shapes .* not take: img_cache/Fwe0000\.jpg \(linestrip\)\)",
        ),
        ({"uc_list": ["Fwe7777"]}, ["a"], "no usable image"),
        ({"uc_list": ["Fwe0000"], "shapes": {"Fwe0000": [rectangle([1, 1], [9, 9])]}}, [], "labels in it: a"),
        (
            {"uc_list": ["Fwe0000"], "shapes": {"Fwe0000": [rectangle([1, 1], [9, 9])]}},
            ["a", "a"],
            "given twice",
        ),
        (
            {"uc_list": ["Fwe0000"], "shapes": {"Fwe0000": [rectangle([1, 1], [9, 9], label="b")]}},
            ["a"],
            "other labels in the data: b",
        ),
    ],
)
def test_prepare_dataset_refuses_clearly(world: Any, content: object, labels_: list[str], want: str) -> None:
    world.many(count=1)
    world.ucd("bad", content)
    with pytest.raises(InvalidDataError, match=want):
        prepare(world, train="bad", labels=labels_)


def test_prepare_dataset_refuses_what_is_not_json(world: Any) -> None:
    world.text("ucd/bad.json", "{")
    with pytest.raises(InvalidDataError, match="is not JSON"):
        prepare(world, train="bad")


@pytest.mark.parametrize("task", ["pose", "classify", "depth"])
def test_prepare_dataset_refuses_tasks_that_ucd_cannot_hold(world: Any, task: Task) -> None:
    world.example()
    with pytest.raises(InvalidDataError):
        prepare(world, task)


def test_val_none_splits_with_a_fixed_seed(world: Any) -> None:
    world.many(count=10)
    first = prepare(world, train="many", labels=["a"])
    assert (first.details.dataset.train_images, first.details.dataset.val_images) == (8, 2)
    assert prepare(world, train="many", labels=["a"], val="None").folder == first.folder
    assert prepare(world, train="many", labels=["a"], seed=3).folder != first.folder
    half = prepare(world, train="many", labels=["a"], valFraction=0.5)
    assert half.details.dataset.val_images == 5


def test_user_data_is_never_written(world: Any) -> None:
    world.example()

    def state() -> list[tuple[str, int, int]]:
        return [
            (str(p), p.stat().st_mtime_ns, p.stat().st_size)
            for p in sorted(world.data.rglob("*"))
            if "prepared" not in p.parts and p != world.data
        ]

    before = copy.deepcopy(state())
    prepare(world, val="helmet_demo")
    assert state() == before
