"""Labels of either format to the lines of a YOLO label file. Pure, but for what it counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from yolo_crds.training import Task

from ..errors import InvalidDataError
from . import geometry
from .geometry import Point
from .keypoints import keypoint, keypoint_words
from .label_file import LabelFile
from .mask_frame import fit_outline
from .row_extras import columns_wanted, without_extras
from .row_numbers import FAR_OUT, pixels, read_rows
from .skipped import Skipped
from .source import Sample, Shape

POLYGON_TASKS = frozenset({"segment", "semantic", "obb"})


MARKS = {"difficult": "difficult", "crowd": "crowd"}
"""Kinds of shapes that their annotator marked as not to be learnt from, and what they are counted as."""
_LEFT_OUT = {**MARKS, "broken": "brokenShape"}


class Lines(NamedTuple):
    """What the labels of one image became."""

    lines: list[str]
    labelled: int
    """Labels of listed classes that it had, whatever became of them; also broken ones of no known class."""
    marked: int = 0
    """Those of them that their annotator marked as not to be learnt from."""


@dataclass(frozen=True)
class Target:
    """What the lines are for."""

    task: Task
    names: tuple[str, ...]
    """Class names; the position is the class index."""
    kpt_shape: tuple[int, int] | None = None
    """Keypoints and numbers for each (2 or 3), for `pose`."""

    @cached_property
    def index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}


def are_parts(shapes: Sequence[Shape]) -> bool:
    """Whether the coordinates of an image's shapes are parts of its width and height, and no pixels: none is
    above 1, and some are fractions."""
    is_fraction = False
    for shape in shapes:
        for point in shape.points:
            if max(point) > 1:  # of nearly every image the first
                return False
            is_fraction = is_fraction or any(value % 1 for value in point)
    return is_fraction


def shape_lines(sample: Sample, size: tuple[float, float], target: Target, skipped: Skipped) -> Lines:
    """The lines of an image whose shapes are in pixels of an upright image of that size."""
    width, height = size
    index = target.index
    lines: dict[str, None] = {}
    labelled = marked = 0
    for shape in sample.shapes:
        if shape.label not in index and (shape.label or shape.kind != "broken"):
            skipped.add_unknown(shape.label)
            continue
        labelled += 1
        if kind := _LEFT_OUT.get(shape.kind):
            marked += shape.kind in MARKS
            skipped.add(kind, sample.stem)
            skipped.unused.add(shape.label)
            continue
        points = _points(shape, target.task, (width, height), sample.stem, skipped)
        if points is None:
            skipped.unused.add(shape.label)
            continue
        scaled = geometry.scale(points, width, height)
        line = _outline_line(index[shape.label], scaled, target.task, (width, height), sample.stem, skipped)
        if line and target.kpt_shape:
            line += keypoint_words(shape, target.kpt_shape, width, height, sample.stem, skipped)
        if line in lines:
            skipped.add("duplicateBox", sample.stem)
        elif line:
            lines[line] = None
        else:
            skipped.unused.add(shape.label)
    return Lines(list(lines), labelled, marked)


def row_lines(
    file: LabelFile,
    remap: Mapping[int, int | None],
    target: Target,
    skipped: Skipped,
    source_names: Mapping[int, str],
) -> Lines:
    """The lines of a YOLO label file, checked: numbers, columns, class ids.

    `remap` gives each class id its new index, None to leave it out.

    Raises InvalidDataError with file and line for what is no label of the task.
    """
    lines: dict[str, None] = {}
    labelled = 0
    rows = read_rows(file.text, file.where)
    for number, class_id, values in without_extras(rows, file, target.task, target.kpt_shape, skipped):
        place = f"{file.where}, line {number}"
        if class_id not in remap:
            raise InvalidDataError(
                f"{place}: class {class_id} is not among the classes {_range(remap)}",
                f"the data set's classes are {_named(source_names)}: correct the row, "
                f"or name class {class_id} there, too",
            )
        new = remap[class_id]
        if new is None:
            skipped.add_unknown(source_names[class_id])
            continue
        labelled += 1
        if target.task == "pose":
            line = _pose_line(new, values, target, place, skipped)
        else:
            line = _row_line(new, values, target, place, file.size, skipped)
        if line in lines:
            skipped.add("duplicateBox", file.where)
        elif line:
            lines[line] = None
            if target.task in POLYGON_TASKS and _is_box(values, target):
                skipped.add("boxAsPolygon", place)
        else:
            skipped.unused.add(source_names[class_id])
    return Lines(list(lines), labelled)


def _points(
    shape: Shape, task: Task, size: tuple[float, float], name: str, skipped: Skipped
) -> list[Point] | None:
    """The corners of a shape as the task takes them, in pixels of the image; what is taken otherwise than it
    stands is counted."""
    points = _outline(shape, task)
    if points is None:
        skipped.add("otherShape", f"{name} ({shape.kind})")
        return None
    if shape.frame and (fitted := fit_outline(points, shape.frame, size)) != points:
        skipped.add("scaledMask", shape.frame.where)
        points = fitted
    if shape.kind == "rectangle" and task in POLYGON_TASKS:
        skipped.add("boxAsPolygon", name)
    if task == "obb" and len(points) != 4:
        skipped.add("polygonAsBox", name)
        points = geometry.smallest_rectangle(points)
    return points


def _range(ids: Collection[int]) -> str:
    """The ids of classes for people."""
    if list(ids) == list(range(len(ids))):
        return f"0 to {len(ids) - 1}"
    return ", ".join(map(str, islice(ids, 10))) + (" …" if len(ids) > 10 else "")


def _named(names: Mapping[int, str]) -> str:
    """The first classes with their ids, for people."""
    return ", ".join(f"{i} {name[:40]}" for i, name in islice(names.items(), 5)) + (
        " …" if len(names) > 5 else ""
    )


def _outline(shape: Shape, task: Task) -> list[Point] | None:
    """The corners that a shape has for a task; None when the task does not take it."""
    points = list(shape.points)
    match shape.kind:
        case "rectangle" if len(points) >= 2:
            return geometry.corners(geometry.box_around(points))
        case "polygon" if len(points) >= 3:
            return points
        case "circle" if len(points) == 2:
            if task in POLYGON_TASKS and task != "obb":
                return geometry.circle_polygon(points[0], points[1])
            return geometry.corners(geometry.circle_box(points[0], points[1]))
    return None


def _outline_line(
    index: int, points: list[Point], task: Task, size: tuple[float, float], name: str, skipped: Skipped
) -> str | None:
    """The line of normalised corners: clipped to the image; None when nothing of it is left."""
    box = geometry.box_around(points)
    if geometry.is_empty(box) or (task == "obb" and geometry.is_line(points)):
        skipped.add("noSize", name)
        return None
    inside = geometry.is_inside(points)
    if task in POLYGON_TASKS:
        kept = points if inside else geometry.clip_polygon(points)
        if len(kept) < 3 or geometry.is_empty(geometry.box_around(kept)):
            skipped.add("outside", name)
            return None
        if (
            task == "obb" and len(kept) != 4
        ):  # cut at the edge; what then still leads out is drawn to it below
            kept = _turned_box(kept, size)
        values: Sequence[float] = [_within(v) for point in kept for v in point]
    else:
        clipped = box if inside else geometry.clip_box(box)
        if geometry.is_empty(clipped):
            skipped.add("outside", name)
            return None
        values = geometry.centre_form(clipped)
    if not inside:
        skipped.add("clipped", name)
    return geometry.to_line(index, values)


def _row_line(
    index: int, values: list[float], target: Target, place: str, size: tuple[int, int], skipped: Skipped
) -> str | None:
    """A detection, segmentation or oriented row, in whichever of the forms it came."""
    task = target.task
    if _is_box(values, target):
        values = values[:4]  # of a pose row for a task without keypoints too
        if min(values[2:]) <= 0:
            skipped.add("noSize", place)
            return None
        box = geometry.corner_form(*values)
        if task not in POLYGON_TASKS and geometry.is_box_inside(box):
            return geometry.to_line(index, values)  # as written: no rounding there and back
        return _outline_line(index, geometry.corners(box), task, size, place, skipped)
    if len(values) < 6 or len(values) % 2:
        want = columns_wanted(task, None)
        raise InvalidDataError(f"{place}: {len(values) + 1} columns; {task} takes {want}", _hint(values))
    if far := next((v for v in values if abs(v) > FAR_OUT), None):
        raise pixels(place, far)
    points = list(zip(values[::2], values[1::2], strict=True))
    if task == "obb" and len(points) != 4:
        skipped.add("polygonAsBox", place)
        points = _turned_box(points, size)
    return _outline_line(index, points, task, size, place, skipped)


def _is_box(values: Sequence[float], target: Target) -> bool:
    """Whether a row is a box, alone or with keypoints behind it."""
    keypoints = target.kpt_shape[0] * target.kpt_shape[1] if target.kpt_shape else 0
    return len(values) in (4, 4 + keypoints)


def _turned_box(points: Sequence[Point], size: tuple[float, float]) -> list[Point]:
    """The smallest turned box around normalised points, found in pixels: what is a right angle there is none
    in parts of width and height."""
    pixels = geometry.scale(points, 1 / size[0], 1 / size[1])
    return geometry.scale(geometry.smallest_rectangle(pixels), *size)


def _hint(values: list[float]) -> str:
    """What a row with so many numbers after the class could be."""
    count = len(values) + 1
    if count == 5:
        return "rows of 5 columns are boxes: they fit detect"
    if count % 2 and count >= 7:
        return (
            f"rows of {count} columns are outlines, or boxes with keypoints: they fit segment or obb, or pose"
        )
    return (
        f"rows of {count} columns may be boxes with keypoints, which fit pose and need `kpt_shape:`; if they "
        "are outlines with the id of a track behind them (CVAT's Track exports), export without tracks"
    )


def _pose_line(index: int, values: list[float], target: Target, place: str, skipped: Skipped) -> str | None:
    count, dims = target.kpt_shape or (0, 0)
    if len(values) != 4 + count * dims:
        raise InvalidDataError(
            f"{place}: {len(values) + 1} columns; kpt_shape [{count}, {dims}] takes {5 + count * dims}",
            _hint(values),
        )
    box = geometry.corner_form(*values[:4])
    inside = geometry.is_inside([box[:2], box[2:]])
    clipped = box if inside else geometry.clip_box(box)
    if geometry.is_empty(clipped):
        skipped.add("noSize" if geometry.is_empty(box) else "outside", place)
        return None
    if not inside:
        skipped.add("clipped", place)
    shown = values[:4] if inside else geometry.centre_form(clipped)
    keypoints: list[float] = []
    for i in range(4, len(values), dims):
        keypoints += keypoint(values[i : i + dims], place, skipped)
    return geometry.to_line(index, [*shown, *keypoints])


def _within(value: float) -> float:
    return min(max(value, 0.0), 1.0)
