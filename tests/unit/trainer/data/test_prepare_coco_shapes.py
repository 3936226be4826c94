"""Annotations of COCO files that are not as COCO has them: turned boxes, masks of other sizes, flat lists."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from PIL import Image

from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

WIDTH, HEIGHT = 80, 60
BOX = [20, 12, 24, 20]
OUTLINE = "0 0.250000 0.200000 0.550000 0.200000 0.550000 0.533333 0.250000 0.533333"
"""Of `BOX`."""
UPRIGHT = "0 0.400000 0.366667 0.300000 0.333333"


def prepare(
    world: Any, task: Task, *annotations: Mapping[str, object], size: tuple[int, int] | None = (WIDTH, HEIGHT)
) -> PreparedSet:
    """Two images of 80 x 60, annotations on the first; `size` is what the file says of them."""
    for i in (1, 2):
        world.image(f"datasets/demo/images/{i}.png", (WIDTH, HEIGHT), i)
    said = {"width": size[0], "height": size[1]} if size else {}
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", **said} for i in (1, 2)],
        "annotations": [{"image_id": 1, "category_id": 3, **a} for a in annotations],
        "categories": [{"id": 3, "name": "a"}],
    }
    world.text("datasets/demo/all.json", json.dumps(content))
    data = Data.model_validate({"train": "demo", "val": "demo"})
    return prepare_dataset(world.volume, data, task, world.report)


def lines(found: PreparedSet) -> list[str]:
    return (found.folder / "labels/train/1.txt").read_text().splitlines()


def runs(box: list[int], height: int, width: int) -> list[int]:
    """An uncompressed mask of one rectangle."""
    x, y, w, h = box
    counts = [x * height + y, *[h, height - h] * (w - 1), h]
    return [*counts, height * width - sum(counts)]


def compressed(counts: list[int]) -> str:
    """What pycocotools writes, after its description in `rle.py`."""
    text = ""
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            bits, value = value & 0x1F, value >> 5
            more = value != (-1 if bits & 0x10 else 0)
            text += chr(48 + (bits | 0x20 if more else bits))
            if not more:
                break
    return text


def mask(box: list[int], height: int, width: int, *, pack: bool = False) -> dict[str, object]:
    counts = runs(box, height, width)
    return {"size": [height, width], "counts": compressed(counts) if pack else counts}


HALF = [10, 6, 12, 10]
DOUBLE = [40, 24, 48, 40]


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), None])
@pytest.mark.parametrize(
    ("box", "height", "width", "scaled"), [(BOX, 60, 80, 0), (HALF, 30, 40, 2), (DOUBLE, 120, 160, 2)]
)
@pytest.mark.parametrize("bbox", [{"bbox": BOX}, {}])
def test_mask_of_another_size_is_scaled_and_counted(
    world: Any,
    pack: bool,
    size: tuple[int, int] | None,
    box: list[int],
    height: int,
    width: int,
    scaled: int,
    bbox: dict[str, object],
) -> None:
    found = prepare(
        world, "segment", {"segmentation": mask(box, height, width, pack=pack), **bbox}, size=size
    )
    assert lines(found) == [OUTLINE]
    assert found.details.dataset.skipped == ({"scaledMask": scaled} if scaled else {})  # for train and val


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), None])
@pytest.mark.parametrize(
    ("height", "width", "why"),
    [(80, 60, "height and width are the other way round"), (60, 60, "they do not fit")],
)
def test_mask_that_is_not_of_the_images_shape_is_refused(
    world: Any, pack: bool, size: tuple[int, int] | None, height: int, width: int, why: str
) -> None:
    annotation = {"bbox": BOX, "segmentation": mask(BOX, height, width, pack=pack)}
    sizes = rf"a mask of {height} x {width}, an image of 60 x 80 \(height x width\); {why}"
    with pytest.raises(
        InvalidDataError, match=rf"datasets/demo/all\.json, annotations\[0\]: {sizes}"
    ) as error:
        prepare(world, "segment", annotation, size=size)
    assert "`size` of a run-length mask is [height, width]" in str(error.value.hint)
    assert str(world.data) not in error.value.message


@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), None])
def test_scaled_mask_must_lie_where_the_box_is(world: Any, size: tuple[int, int] | None) -> None:
    annotation = {"bbox": BOX, "segmentation": mask(BOX, 30 * 2, 40 * 2)}
    assert lines(prepare(world, "segment", annotation, size=size)) == [OUTLINE]
    annotation = {"bbox": BOX, "segmentation": mask([20, 12, 18, 14], 30, 40)}
    with pytest.raises(
        InvalidDataError, match=r"box is \[40, 24, 36, 28\], but `bbox` says \[20, 12, 24, 20\]"
    ):
        prepare(world, "segment", annotation, size=size)


def test_box_in_pixels_of_a_smaller_mask_is_refused_for_every_task(world: Any) -> None:
    annotation = {"bbox": HALF, "segmentation": mask(HALF, 30, 40)}
    for task in ("detect", "segment"):
        with pytest.raises(InvalidDataError, match=r"annotations\[0\]: a mask of 30 x 40, .* `bbox` says"):
            prepare(world, task, annotation)


def test_mask_of_another_size_does_not_matter_where_the_box_is_taken(world: Any) -> None:
    for segmentation in (mask(HALF, 30, 40), mask(BOX, 80, 60), {"size": [30, 40], "counts": [1]}):
        found = prepare(world, "detect", {"bbox": BOX, "segmentation": segmentation})
        assert (lines(found), found.details.dataset.skipped) == ([UPRIGHT], {})


TURNED = "0 0.475000 0.166667 0.475000 0.566667 0.325000 0.566667 0.325000 0.166667"
"""The corners of [20, 16, 24, 12] after a quarter turn about (32, 22), first what was the top left one."""


def turn(rotation: object, **more: object) -> dict[str, object]:
    return {"bbox": [20, 16, 24, 12], "segmentation": [], "attributes": {"rotation": rotation}, **more}


@pytest.mark.parametrize(
    ("task", "want"),
    [
        ("obb", TURNED),
        ("segment", TURNED),
        ("semantic", TURNED),
        ("detect", "0 0.400000 0.366667 0.150000 0.400000"),
    ],
)
@pytest.mark.parametrize("rotation", [90, 90.0, "90.0", -270, 450])
def test_box_with_a_rotation_is_turned_about_its_centre(
    world: Any, task: Task, want: str, rotation: object
) -> None:
    found = prepare(world, task, turn(rotation))
    assert lines(found) == [want]
    assert found.details.dataset.skipped == {"turnedBox": 2}
    assert "1.png, annotations[0]" in found.details.skipped_names["turnedBox"][0]
    assert any("`attributes.rotation`" in warning for warning in found.details.warnings)


@pytest.mark.parametrize("rotation", [0, 0.0, "0.0", None, 180, 360, ""])
def test_box_that_is_not_turned_stays(world: Any, rotation: object) -> None:
    found = prepare(world, "detect", turn(rotation))
    assert (lines(found), found.details.dataset.skipped) == (["0 0.400000 0.366667 0.300000 0.200000"], {})


def test_rotation_that_is_no_number_is_counted_where_the_box_is_taken(world: Any) -> None:
    found = prepare(world, "detect", turn("left"))
    assert found.details.dataset.skipped == {"unreadRotation": 2}
    outlined = turn("left", segmentation=[[20, 12, 44, 12, 44, 32, 20, 32]])
    assert prepare(world, "segment", outlined).details.dataset.skipped == {}


@pytest.mark.parametrize(
    "more",
    [
        *({key: 30} for key in ("rotation", "angle", "theta")),
        {"attributes": {"angle": 0.5}},
        {"attributes": {"theta": "0.5", "rotation": 0}},
    ],
)
def test_angle_of_unknown_meaning_is_counted_where_the_box_is_taken(
    world: Any, more: dict[str, object]
) -> None:
    found = prepare(world, "detect", {"bbox": BOX, **more})
    assert (lines(found), found.details.dataset.skipped) == ([UPRIGHT], {"unknownAngle": 2})
    assert "1.png, annotations[0]: " in found.details.skipped_names["unknownAngle"][0]
    outlined = {"bbox": BOX, "segmentation": [[20, 12, 44, 12, 44, 32, 20, 32]], **more}
    assert prepare(world, "segment", outlined).details.dataset.skipped == {}


@pytest.mark.parametrize("more", [{"angle": 0}, {"rotation": 0.0, "theta": None}, {"angle": "left"}])
def test_angle_of_nothing_is_no_matter(world: Any, more: dict[str, object]) -> None:
    found = prepare(world, "detect", {"bbox": BOX, **more})
    assert (lines(found), found.details.dataset.skipped) == ([UPRIGHT], {})


def test_turned_box_with_an_outline_goes_by_the_outline_unless_that_is_the_upright_box(world: Any) -> None:
    upright = [20, 16, 44, 16, 44, 28, 20, 28]
    corners = [38, 10, 38, 34, 26, 34, 26, 10]
    for outline in (upright, corners):
        annotation = turn(90, segmentation=[outline])
        assert lines(prepare(world, "obb", annotation)) == [TURNED]
        assert lines(prepare(world, "detect", annotation)) == ["0 0.400000 0.366667 0.150000 0.400000"]


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize(
    ("drawn", "want"),
    [([20, 16, 24, 12], TURNED), ([20, 16, 25, 13], TURNED), ([24, 10, 10, 20], None)],
    ids=["the box", "the box and its edge", "another shape"],
)
def test_turned_box_with_a_mask_goes_by_the_mask_unless_that_is_the_upright_box(
    world: Any, drawn: list[int], want: str | None, pack: bool
) -> None:
    found = prepare(world, "segment", turn(90, segmentation=mask(drawn, HEIGHT, WIDTH, pack=pack)))
    outline = "0 0.300000 0.166667 0.425000 0.166667 0.425000 0.500000 0.300000 0.500000"
    assert lines(found) == [want or outline]
    assert found.details.dataset.skipped == ({"turnedBox": 2} if want else {})


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_corners_in_place_of_width_and_height_are_refused_where_outlines_tell(world: Any, task: Task) -> None:
    outline = [20, 12, 44, 12, 44, 32, 20, 32]
    right = {"bbox": BOX, "segmentation": [outline]}
    wrong = {"bbox": [20, 12, 44, 32], "segmentation": outline}
    at_origin = {"bbox": [0, 0, 9, 9], "segmentation": [[0, 0, 9, 0, 9, 9]]}
    elsewhere = {"bbox": [1, 1, 9, 9], "segmentation": [[40, 30, 49, 30, 49, 49]]}
    if task == "detect":
        with pytest.raises(InvalidDataError, match=r"all\.json: `bbox` is \[x1, y1, x2, y2\] .* 2 .* of 3"):
            prepare(world, task, wrong, wrong, right, at_origin, elsewhere)
    else:
        assert lines(prepare(world, task, wrong)) == [OUTLINE]
    assert len(lines(prepare(world, task, right, at_origin, elsewhere, wrong))) >= 3


FLAT = [20, 12, 44, 12, 44, 32, 20, 32]
PAIRS = [[20, 12], [44, 12], [44, 32], [20, 32]]


@pytest.mark.parametrize(
    "segmentation", [FLAT, [FLAT], PAIRS, [PAIRS], [mask(BOX, 60, 80)], [FLAT, [1, 2, 3, 4]]]
)
def test_outlines_are_read_in_every_form_that_means_one_thing(world: Any, segmentation: object) -> None:
    found = prepare(world, "segment", {"bbox": BOX, "segmentation": segmentation})
    assert lines(found) == [OUTLINE]
    short = segmentation == [FLAT, [1, 2, 3, 4]]
    assert found.details.dataset.skipped == ({"shortOutline": 2} if short else {})


@pytest.mark.parametrize(
    "segmentation", [[1, 2, 3, 4, 5, 6, 7], ["1", "2"], [[{"x": 1, "y": 2}]], [[1, 2, 3]], [[[1, 2, 3]]], 7]
)
def test_outline_of_another_form_says_what_is_wanted(world: Any, segmentation: object) -> None:
    with pytest.raises(InvalidDataError, match=r"annotations\[0\]: `segmentation` is neither") as error:
        prepare(world, "segment", {"bbox": BOX, "segmentation": segmentation})
    assert "want [[x, y, x, y, …], …]" in str(error.value.hint)


@pytest.mark.parametrize(("width", "height", "skipped"), [(80, 60, "turnedLabels"), (60, 80, None)])
def test_mask_of_an_image_that_its_tag_turns_tells_its_frame_where_the_file_gives_no_size(
    world: Any, width: int, height: int, skipped: str | None
) -> None:
    exif = Image.Exif()
    exif[274] = 6  # 80 x 60 as it is stored, 60 x 80 as it is shown: turned clockwise by a quarter
    for i in (1, 2):
        file = world.data / f"datasets/demo/{i}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 60), (i, 2, 3)).save(file, exif=exif)
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in (1, 2)],
        "annotations": [
            {"image_id": i, "category_id": 3, "segmentation": mask([10, 20, 24, 8], height, width)}
            for i in (1, 2)
        ],
        "categories": [{"id": 3, "name": "a"}],
    }
    world.text("datasets/demo/all.json", json.dumps(content))
    found = prepare_dataset(world.volume, Data(train="demo"), "detect", world.report)
    stored = "0 0.600000 0.275000 0.133333 0.300000"  # (10..34, 20..28) is (32..40, 10..34) once turned
    upright = "0 0.366667 0.300000 0.400000 0.100000"
    files = sorted(found.folder.glob("labels/*/*.txt"))
    assert [file.read_text().strip() for file in files] == [stored if skipped else upright] * 2
    assert found.details.dataset.skipped == ({skipped: 2} if skipped else {})
