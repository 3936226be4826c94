"""Rows with a number too many: ids of tracks are taken off and counted, all else is refused."""

import re
from typing import Any

import pytest

from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

BOX = "0 0.5 0.5 0.2 0.2"
SMALL = "0.7 0.2 0.3 0.1"
TRIANGLE = "0.2 0.2 0.6 0.2 0.4 0.5"
CORNERS = "0.2 0.2 0.6 0.2 0.6 0.5 0.2 0.5"


def prepare(world: Any, task: Task = "detect", **data: object) -> PreparedSet:
    given = Data.model_validate({"train": "datasets/lane", **data})
    return prepare_dataset(world.volume, given, task, world.report)


def write(world: Any, *texts: str, yaml: str = "") -> None:
    """Pictures of 64 x 48 with these label files; the last validates."""
    for i, text in enumerate(texts):
        split = "val" if i == len(texts) - 1 else "train"
        world.image(f"datasets/lane/images/{split}/t{i}.png", shade=i * 9)
        world.text(f"datasets/lane/labels/{split}/t{i}.txt", text)
    world.text("datasets/lane/data.yaml", f"train: images/train\nval: images/val\nnames: [bike, van]\n{yaml}")


def rows(found: PreparedSet) -> list[str]:
    """The label lines of the training pictures."""
    return [line for p in sorted(found.folder.glob("labels/train/*")) for line in p.read_text().splitlines()]


@pytest.mark.parametrize(
    ("task", "text", "want", "yaml"),
    [
        ("detect", "1 0.3 0.6 0.1 0.3 1\n0 0.7 0.2 0.3 0.1\n", ["1 0.3 0.6 0.1 0.3", f"0 {SMALL}"], ""),
        ("detect", "1 0.3 0.6 0.1 0.3 0", ["1 0.3 0.6 0.1 0.3"], ""),
        ("detect", "1 0.3 0.6 0.1 0.3 1\n1 0.3 0.6 0.1 0.3 1", ["1 0.3 0.6 0.1 0.3"], ""),
        ("detect", f"0 {CORNERS} 7", ["0 0.4 0.35 0.4 0.3"], ""),
        ("obb", f"0 {CORNERS} 7", [f"0 {CORNERS}"], ""),
        ("segment", f"0 {TRIANGLE} 7\n1 {CORNERS} 1", [f"0 {TRIANGLE}", f"1 {CORNERS}"], ""),
        ("pose", f"{BOX} 0.5 0.5 2 12", [f"{BOX} 0.5 0.5 2"], "kpt_shape: [1, 3]\n"),
        ("pose", f"{BOX} 0.5 0.5 0.4 0.4 2", [f"{BOX} 0.5 0.5 0.4 0.4"], "kpt_shape: [2, 2]"),
        ("detect", f"{BOX} 0.5 0.5 0.4 0.4 3", [BOX], "kpt_shape: [2, 2]"),
        ("detect", f"{BOX} 0.5 0.5 2 3", [BOX], "kpt_shape: [1, 3]"),
    ],
)  # fmt: skip
def test_ids_of_tracks_are_taken_off_and_counted(
    world: Any, task: Task, text: str, want: list[str], yaml: str
) -> None:
    write(world, text, text, yaml=yaml)
    found = prepare(world, task)
    assert [[float(v) for v in row.split()] for row in rows(found)] == [
        [float(v) for v in row.split()] for row in sorted(want)
    ]
    ids = len(text.splitlines()) - text.endswith("0.3 0.1\n")
    assert found.details.dataset.skipped["trackId"] == 2 * ids
    told = f"rows whose last number was taken off, the id of a track (CVAT's Track exports): {2 * ids}"
    assert any(
        w.startswith(f"{told} (datasets/lane/labels/train/t0.txt, line 1") for w in found.details.warnings
    )


@pytest.mark.parametrize(
    ("task", "texts", "want", "hint"),
    [
        ("detect", [f"{BOX} 0.87"], "last is 0.87, .* 0.87 to 0.87", f"confidence .* `{BOX}`"),
        ("detect", [f"{BOX} 0.87", f"{BOX} -1.2"], "from -1.2 to 0.87", "a box and its angle"),
        ("detect", [f"{BOX} 30", f"{BOX} 12.5"], "t1.*from 12.5 to 30", "in degrees, line 1"),
        ("detect", [f"{BOX} -90"], "last is -90", "a box and its angle"),
        ("detect", [f"{BOX} 90\n0 0.2 0.5 0.2 0.2 90"], "last is 90", "its angle.*; only if it is a flag"),
        ("obb", [f"{BOX} 0.3"], "6 columns; obb takes 9; the last is 0.3", "in radians, line 1"),
        ("obb", [f"{BOX} 4"], "6 columns; obb takes 9; the last is 4", "a box and its angle"),
        ("segment", [f"0 {TRIANGLE} 0.5"], "8 columns; segment takes", f"confidence .* `0 {TRIANGLE}`"),
        ("segment", [f"0 {TRIANGLE} -3"], "last is -3", "no track's id .* `0 0.2"),
        ("detect", [f"0 {TRIANGLE} 2"], "8 columns; detect takes 5", "fit pose .* the id of a track behind"),
        ("pose", [f"{BOX} 0.5 0.5 2 0.8"], "9 columns; pose takes 8", "confidence"),
    ],
)  # fmt: skip
def test_other_numbers_are_refused_for_what_they_are(
    world: Any, task: Task, texts: list[str], want: str, hint: str
) -> None:
    write(world, *texts, texts[-1], yaml="kpt_shape: [1, 3]" if task == "pose" else "")
    with pytest.raises(InvalidDataError, match=want) as error:
        prepare(world, task)
    assert re.search(hint, error.value.hint or "")
    if "angle" in hint or "in degrees" in hint:
        assert not re.search("confidence|take it off", error.value.hint or "")


@pytest.mark.parametrize(
    ("task", "text", "want", "hint"),
    [
        ("detect", f"{BOX} 0.5 0.5 2 0.4 0.4 1", "11 columns.* with 2 keypoints", r"kpt_shape: \[2, 3\]"),
        ("segment", f"{BOX} 0.5 0.5 2 0 0 0\n{BOX} 0.1 0.1 2 0.4 0.4 2", "no outline", "keypoints pose"),
        ("detect", f"{BOX} 0.87 1\n0 0.7 0.2 0.3 0.1 0.5 2", "line 2: 7 columns.* 0.5 and 2", f"`0 {SMALL}`"),
        ("segment", f"0 {TRIANGLE} 0.91 14", "9 columns.* 0.91 and 14.* track's id", f"`0 {TRIANGLE}`"),
        ("segment", f"0 {TRIANGLE} 300 0.5", r"pixels \(300\)", "by the width of the image"),
        ("detect", f"{BOX} 7 8", r"pixels \(7\)", "by the width of the image"),
    ],
)  # fmt: skip
def test_what_would_pass_as_an_outline_is_refused(
    world: Any, task: Task, text: str, want: str, hint: str
) -> None:
    write(world, text, f"0 {TRIANGLE}")
    with pytest.raises(InvalidDataError, match=f"^template.data.train: datasets/lane.*{want}") as error:
        prepare(world, task)
    assert re.search(hint, error.value.hint or "")


def test_outline_that_ends_at_the_edge_stays_one(world: Any) -> None:
    write(world, f"0 0.2 0.2 0.6 0.2 0.4 1\n0 {TRIANGLE} 0.5 1", f"0 {TRIANGLE}")
    assert len(rows(prepare(world, "segment"))) == 2


def test_visibility_of_a_single_keypoint_is_no_track(world: Any) -> None:
    write(world, f"{BOX} 0.5 0.5 2", "", yaml="kpt_shape: [1, 2]")
    with pytest.raises(InvalidDataError, match=r"8 columns; kpt_shape \[1, 2\] takes 7"):
        prepare(world, "pose")


def test_corners_of_an_angle_count_in_pixels(world: Any) -> None:
    """A box of 32 x 24 pixels turned by 90 degrees: 24 x 32 of a picture of 64 x 48."""
    write(world, "1 0.5 0.5 0.5 0.5 -90", "")
    with pytest.raises(InvalidDataError) as error:
        prepare(world)
    corners = "0.3125 0.8333 0.3125 0.1667 0.6875 0.1667 0.6875 0.8333"
    assert f"in degrees, line 1 would be `1 {corners}`" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("points", "want"),
    [
        ("0.5 0.5 2 30 20 1", r"line 1: coordinates are pixels \(30\)"),
        ("0.5 0.5 2 0.4 0.4 -1", "line 1: -1 is no visibility of a keypoint"),
    ],
)
def test_keypoints_that_are_none_are_refused(world: Any, points: str, want: str) -> None:
    write(world, f"{BOX} {points}", "", yaml="kpt_shape: [2, 3]")
    with pytest.raises(InvalidDataError, match=want):
        prepare(world, "pose")


def test_keypoints_outside_of_the_image_are_drawn_to_its_edge_and_counted(world: Any) -> None:
    write(world, f"{BOX} 1.2 0.5 2 -1 -1 0\n{BOX} 1.0004 0.5 2 0.4 0.4 1", "", yaml="kpt_shape: [2, 3]")
    found = prepare(world, "pose")
    assert [row.split()[5:7] for row in rows(found)] == [["1.000000", "0.500000"]] * 2
    assert found.details.dataset.skipped == {"keypointOutside": 1}
    told = "keypoints outside of the image, drawn to its edge: 1 (datasets/lane/labels/train/t0.txt, line 1)"
    assert told in found.details.warnings
