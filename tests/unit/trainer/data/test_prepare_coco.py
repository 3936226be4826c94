"""What COCO holds besides boxes: polygons, run-length masks, keypoints, crowds."""

import json
from typing import Any

import pytest

from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.data.readers.rle import decompress, join_parts, mask_polygons
from yolo_trainer.errors import InvalidDataError

# A ring of 3 x 3 pixels and a single one that touches its corner, in 7 x 6; written by pycocotools 2.0.11.
RING = {"size": [6, 7], "counts": "=33NN0223N1"}
RING_RUNS = [13, 3, 3, 1, 1, 1, 3, 3, 6, 1, 7]
RING_OUTLINE = [(2.0, 1.0), (5.0, 1.0), (5.0, 4.0), (2.0, 4.0)]


def prepare(world: Any, task: Task, *annotations: dict[str, object], **category: object) -> PreparedSet:
    """Two images of 100 x 50, annotations on the first."""
    for i in (1, 2):
        world.image(f"datasets/demo/images/{i}.png", (100, 50), i)
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 100, "height": 50} for i in (1, 2)],
        "annotations": [{"image_id": 1, "category_id": 3, **a} for a in annotations],
        "categories": [{"id": 3, "name": "a", **category}],
    }
    world.text("datasets/demo/all.json", json.dumps(content))
    data = Data.model_validate({"train": "demo", "val": "demo"})
    return prepare_dataset(world.volume, data, task, world.report)


def line(found: PreparedSet) -> str:
    return (found.folder / "labels/train/1.txt").read_text().strip()


BOX: dict[str, object] = {"bbox": [10, 10, 20, 30]}
TRIANGLE = [10, 10, 30, 10, 30, 40]
FAR = [60, 10, 80, 10, 80, 40]


@pytest.mark.parametrize(
    ("task", "annotation", "want"),
    [
        ("detect", {**BOX, "segmentation": [TRIANGLE]}, "0 0.200000 0.500000 0.200000 0.600000"),
        ("detect", {"segmentation": [TRIANGLE]}, "0 0.200000 0.500000 0.200000 0.600000"),
        ("segment", {**BOX, "segmentation": [TRIANGLE]},
         "0 0.100000 0.200000 0.300000 0.200000 0.300000 0.800000"),
        ("semantic", {**BOX, "segmentation": [TRIANGLE]},
         "0 0.100000 0.200000 0.300000 0.200000 0.300000 0.800000"),
        ("obb", {**BOX, "segmentation": []},
         "0 0.100000 0.200000 0.300000 0.200000 0.300000 0.800000 0.100000 0.800000"),
        ("obb", {"segmentation": [[*TRIANGLE, 10, 40]]},
         "0 0.100000 0.200000 0.300000 0.200000 0.300000 0.800000 0.100000 0.800000"),
        ("detect", {"segmentation": {"size": [50, 100], "counts": [510, 10, 40, 10, 4430]}},
         "0 0.110000 0.300000 0.020000 0.200000"),
        ("segment", {"segmentation": {"size": [50, 100], "counts": [510, 10, 40, 10, 4430]}},
         "0 0.100000 0.200000 0.120000 0.200000 0.120000 0.400000 0.100000 0.400000"),
        # two parts: over a bridge from (30, 10) to (60, 10) and back
        ("segment", {"segmentation": [TRIANGLE, FAR]},
         "0 0.100000 0.200000 0.300000 0.200000 0.600000 0.200000 0.800000 0.200000 0.800000 0.800000 "
         "0.600000 0.200000 0.300000 0.200000 0.300000 0.800000"),
    ],
)  # fmt: skip
def test_annotation_becomes_what_the_task_takes(
    world: Any, task: Task, annotation: dict[str, object], want: str
) -> None:
    assert line(prepare(world, task, annotation)) == want


def test_crowds_strays_and_flat_boxes_are_counted(world: Any) -> None:
    found = prepare(
        world,
        "detect",
        BOX,
        {**BOX, "iscrowd": 1},
        {**BOX, "image_id": 77},
        {"bbox": [10, 10, 0, 5]},
        {"bbox": [10, 10, -5, 5]},
        {"bbox": [90, 10, 20, 20]},
    )
    # each is read twice, for train and for val
    assert found.details.dataset.skipped == {"clipped": 2, "crowd": 2, "noSize": 4, "strayLabel": 2}
    assert found.details.dataset.boxes == 4


NAMES = ["nose", "left_eye", "right_eye"]


def test_keypoints_for_pose(world: Any) -> None:
    points = [20, 20, 2, 15, 25, 1, 0, 0, 0]
    found = prepare(world, "pose", {**BOX, "keypoints": points}, keypoints=NAMES)
    assert line(found) == (
        "0 0.200000 0.500000 0.200000 0.600000 0.200000 0.400000 2.000000 "
        "0.150000 0.500000 1.000000 0.000000 0.000000 0.000000"
    )
    yaml = found.data_path.read_text()
    assert "kpt_shape:\n- 3\n- 3\n" in yaml
    assert "flip_idx:\n- 0\n- 2\n- 1\n" in yaml


@pytest.mark.parametrize(
    ("names", "want"), [(["a", "b"], None), (["left_eye", "nose"], None), (["Left", "Right"], "- 1\n- 0\n")]
)
def test_flip_idx_is_told_by_names(world: Any, names: list[str], want: str | None) -> None:
    found = prepare(world, "pose", {**BOX, "keypoints": [20, 20, 2, 15, 25, 1]}, keypoints=names)
    assert found.data_path.read_text().partition("flip_idx:\n")[2].startswith(want or "")
    assert ("flip_idx" in found.data_path.read_text()) == (want is not None)


def test_box_without_keypoints_is_counted(world: Any) -> None:
    found = prepare(world, "pose", BOX, keypoints=NAMES)
    assert line(found).split()[5:] == ["0.000000"] * 9
    assert found.details.dataset.skipped == {"noKeypoints": 2}


@pytest.mark.parametrize(
    ("task", "annotation", "want"),
    [
        ("pose", {**BOX, "keypoints": [1, 2, 2]}, r"annotations\[0\]: `keypoints` is not 3 times"),
        ("segment", {"segmentation": [[1, 2, 3]]}, r"annotations\[0\]: `segmentation` is neither"),
        ("segment", {"segmentation": {"size": [50, 100], "counts": [7, 9]}}, "do not add up to 50 x 100"),
        ("segment", {"segmentation": {"size": [50, 100], "counts": "~~"}}, "no compressed"),
        ("segment", {"segmentation": {"size": [50, 100], "counts": [-1, 5001]}}, "do not add up"),
        ("segment", {"segmentation": {"size": [9**9, 9**9], "counts": [1]}}, "`size` of the mask"),
        ("segment", {"segmentation": {"size": [5, 5], "counts": None}}, "`counts` of the mask is neither"),
    ],
)
def test_broken_annotation_is_named_by_entry(
    world: Any, task: Task, annotation: dict[str, object], want: str
) -> None:
    with pytest.raises(InvalidDataError, match=want) as error:
        prepare(world, task, annotation, keypoints=NAMES)
    assert "all.json, annotations[0]: " in error.value.message


def test_pose_without_keypoints_says_what_fits(world: Any) -> None:
    with pytest.raises(InvalidDataError, match=r"no category has `keypoints`.*fit detect or segment"):
        prepare(world, "pose", BOX)


def test_decompress_reads_what_pycocotools_writes() -> None:
    assert decompress(str(RING["counts"])) == RING_RUNS


@pytest.mark.parametrize("text", ["=33NN0223N", "=33NN0223n", "zz zz", "\0", "ooooooooo"])
def test_decompress_refuses_what_is_torn(text: str) -> None:
    with pytest.raises(ValueError, match=r"mask"):
        mask_polygons({**RING, "counts": text})


@pytest.mark.parametrize("counts", [RING["counts"], RING_RUNS])
def test_mask_polygons_fills_holes_and_parts_at_corners(counts: object) -> None:
    assert mask_polygons({**RING, "counts": counts}) == [
        RING_OUTLINE,
        [(5.0, 4.0), (6.0, 4.0), (6.0, 5.0), (5.0, 5.0)],
    ]


def test_mask_polygons_of_an_empty_and_a_full_mask() -> None:
    assert mask_polygons({"size": [2, 3], "counts": [6]}) == []
    assert mask_polygons({"size": [2, 3], "counts": [0, 6]}) == [[(0, 0), (3, 0), (3, 2), (0, 2)]]


def test_join_parts_visits_every_point() -> None:
    joined = join_parts([RING_OUTLINE, [(9.0, 1.0), (9.0, 2.0), (10.0, 2.0)]])
    assert len(joined) == 4 + 3 + 2
    assert {*RING_OUTLINE, (9.0, 1.0), (9.0, 2.0), (10.0, 2.0)} == set(joined)
