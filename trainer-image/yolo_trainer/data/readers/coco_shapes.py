"""Read one annotation of a COCO file into the shape that the task takes: box, turned box, outline or mask."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from yolo_crds.training import Task

from ...errors import InvalidDataError
from ..convert import POLYGON_TASKS
from ..geometry import Box, Point, box_around, corners, turned_rectangle
from ..mask_frame import Frame, fit_outline, is_box_in_frame
from ..skipped import Skipped
from ..source import Shape
from .coco_head import Image
from .coco_outlines import OUTLINE_HINT, all_numbers, as_masks, as_parts
from .rle import join_parts, mask_polygons

_SAME = 0.1  # pixels between corners that are taken for the same
_SAME_PIXEL = 1.5  # the same of a mask's, which lie on whole pixels: less than one away in both directions
_SAME_BOX = 2.0  # pixels that a box may differ from its outline's
_COMPARED = 1000  # boxes with outlines, of a file
_NO_ANGLE = (None, "", 0)
_ANGLES = ("rotation", "angle", "theta")

_BOX_HINT = (
    "COCO's boxes are upright, in pixels; for turned ones give the corners as `segmentation`, or the angle "
    "as `attributes.rotation` (degrees, clockwise)"
)


class Annotation(NamedTuple):
    """An entry of `annotations`."""

    raw: Mapping[str, Any]
    file: str
    """That it stands in, for people."""
    place: str
    """In the file, as `annotations[3]`."""
    label: str
    image: Image

    @property
    def where(self) -> str:
        """File and place."""
        return f"{self.file}, {self.place}"

    @property
    def shown(self) -> str:
        """Its image and its place, for what is counted."""
        return f"{self.image.name}, {self.place}"

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What tools add in `attributes`."""
        attributes = self.raw.get("attributes")
        return attributes if isinstance(attributes, dict) else {}

    def error(self, what: str, hint: str | None = None) -> InvalidDataError:
        """The error that names it."""
        return InvalidDataError(f"{self.where}: {what}", hint)

    @property
    def box(self) -> Box:
        """Its corners; raises InvalidDataError when `bbox` is no box."""
        match self.raw.get("bbox"):
            case [x, y, width, height] as numbers if all_numbers(numbers):
                # Without a width it stays one without: min and max of the corners would make it a box again.
                return x, y, x + max(width, 0), y + max(height, 0)
            case other:
                raise self.error(f"`bbox` is {str(other)[:60]}, not [x, y, width, height]", _BOX_HINT)


@dataclass
class ShapeReader:
    """Reads annotations of one file."""

    task: Task
    skipped: Skipped
    keypoints: int = 0
    """How many each object has, for pose."""
    kinds: Counter[str] = field(default_factory=Counter)
    """How many shapes were read, by kind."""
    forms: Counter[str] = field(default_factory=Counter)
    """Of boxes that are taken though there is an outline: `size`, or `corner` where the outline tells that
    the last two numbers are no width and height."""
    reach: float = 0.0
    """The largest coordinate that was seen, once it is beyond 1 any that is."""

    def read(self, one: Annotation) -> Shape:
        """The shape of an annotation; raises InvalidDataError that names it."""
        shape = self._shape(one)
        self.kinds[shape.kind] += 1
        if self.reach <= 1:
            self.reach = max(self.reach, *(value for point in shape.points for value in point))
        return shape

    def _shape(self, one: Annotation) -> Shape:
        keypoints = self._keypoints(one)
        segmentation, has_box = one.raw.get("segmentation"), bool(one.raw.get("bbox"))
        turned = self._turned(one) if has_box else ()
        if turned and (not segmentation or _is_upright(one, segmentation)):
            self.skipped.add("turnedBox", f"{one.shown} by {one.raw['attributes']['rotation']} degrees")
            return Shape("polygon", one.label, turned, keypoints)
        # Whether the box of a turned object with an outline is turned, tools disagree; its outline is.
        if segmentation and (self.task in POLYGON_TASKS or not has_box or turned):
            if (outline := self._outline(one, segmentation)) is not None:
                points, frame = outline
                return Shape("polygon", one.label, points, keypoints, frame)
        elif segmentation:
            self._compare(one, segmentation)
            _check_pixels(one, segmentation)
        x1, y1, x2, y2 = one.box
        self._count_angle(one)
        return Shape("rectangle", one.label, ((x1, y1), (x2, y2)), keypoints)

    def _compare(self, one: Annotation, segmentation: Any) -> None:
        """Counts whether a `bbox` is width and height or the other corner, where its outline tells."""
        parts, bbox = as_parts(segmentation), one.raw["bbox"]
        if not parts or not any(parts) or self.forms.total() >= _COMPARED or not isinstance(bbox, list):
            return
        if len(bbox) == 4 and all_numbers(bbox):
            x, y, width, height = bbox
            around = box_around([point for part in parts for point in part])
            is_size, is_corner = (
                all(abs(a - b) <= _SAME_BOX for a, b in zip(around, box, strict=True))
                for box in ((x, y, x + width, y + height), (x, y, width, height))
            )
            if is_size != is_corner:
                self.forms["size" if is_size else "corner"] += 1

    def _count_angle(self, one: Annotation) -> None:
        """Counts an angle of a box that is taken upright."""
        attributes = one.attributes
        found = attributes.get("rotation")
        if found not in _NO_ANGLE and _as_number(found) is None:
            self.skipped.add("unreadRotation", f"{one.shown}: {str(found)[:40]!r}")
        said = {
            **{key: one.raw.get(key) for key in _ANGLES},
            **attributes,
            "rotation": one.raw.get("rotation"),
        }
        for key in _ANGLES:
            if _as_number(said.get(key)) not in (None, 0):
                self.skipped.add("unknownAngle", f"{one.shown}: {key} {str(said[key])[:20]}")

    def _turned(self, one: Annotation) -> tuple[Point, ...]:
        """The corners of a box that is turned, else nothing.

        CVAT writes `bbox` as it was before, and `attributes.rotation`: degrees, clockwise on the screen,
        about the centre (its `RotatedBoxesToPolygons`).
        """
        degrees = _as_number(one.attributes.get("rotation")) or 0.0
        if degrees % 180 == 0:
            return ()
        x1, y1, x2, y2 = one.box
        middle = (x1 + x2) / 2, (y1 + y2) / 2
        return tuple(turned_rectangle(*middle, x2 - x1, y2 - y1, math.radians(degrees)))

    def _outline(self, one: Annotation, segmentation: Any) -> tuple[tuple[Point, ...], Frame | None] | None:
        """The outline of an object, and the frame that it counts in where that is not known to be the
        image's; None when it has none."""
        if masks := as_masks(segmentation):
            return self._mask_outline(one, masks)
        parts = as_parts(segmentation)
        if parts is None:
            raise one.error(
                "`segmentation` is neither lists of x, y, x, y, … nor a run-length mask", OUTLINE_HINT
            )
        whole = [part for part in parts if len(part) >= 3]
        for _ in range(len(parts) - len(whole)):
            self.skipped.add("shortOutline", one.shown)
        return (tuple(join_parts(whole)), None) if whole else None

    def _mask_outline(
        self, one: Annotation, masks: Sequence[Mapping[str, Any]]
    ) -> tuple[tuple[Point, ...], Frame | None] | None:
        parts, frames = zip(*(_decode(one, mask) for mask in masks), strict=True)
        outlines = [outline for found in parts for outline in found]
        if not outlines:
            return None
        points, frame = join_parts(outlines), frames[0]
        if len(set(frames)) > 1:
            raise one.error("its masks are of different sizes")
        if one.image.size is None:
            return tuple(points), frame
        fitted = fit_outline(points, frame, one.image.size)
        if fitted != points:
            self.skipped.add("scaledMask", one.shown)
        return tuple(fitted), None

    def _keypoints(self, one: Annotation) -> tuple[tuple[float, float, float], ...]:
        flat = one.raw.get("keypoints")
        if not self.keypoints:
            return ()
        if not flat:
            self.skipped.add("noKeypoints", one.shown)
            return ((0.0, 0.0, 0.0),) * self.keypoints
        if not isinstance(flat, list) or len(flat) != 3 * self.keypoints or not all_numbers(flat):
            raise one.error(f"`keypoints` is not {self.keypoints} times x, y, visibility")
        return tuple(zip(*(map(float, flat[i::3]) for i in range(3)), strict=True))


def _decode(one: Annotation, mask: Mapping[str, Any]) -> tuple[list[list[Point]], Frame]:
    """The outlines of a run-length mask, and the frame that they count in."""
    try:
        outlines = mask_polygons(mask)
    except ValueError as error:
        raise one.error(str(error)) from error
    height, width = mask["size"]
    box = one.box if one.raw.get("bbox") else None
    has_room = box is not None and box[0] < box[2] and box[1] < box[3]
    return outlines, Frame(width, height, one.where, box if has_room else None)


def _check_pixels(one: Annotation, segmentation: Any) -> None:
    """Raises InvalidDataError for a `bbox` that counts in the pixels of a mask which is smaller or larger
    than the image."""
    size = segmentation.get("size") if isinstance(segmentation, dict) else None
    if one.image.size is None or size in (None, [one.image.size[1], one.image.size[0]]):
        return
    try:
        outlines, frame = _decode(one, segmentation)
    except InvalidDataError:
        return  # a mask that is not read for this task need not be right
    points = [point for outline in outlines for point in outline]
    if points and is_box_in_frame(points, frame, one.image.size):
        fit_outline(points, frame, one.image.size)


def _is_upright(one: Annotation, segmentation: Any) -> bool:
    """Whether an outline or mask is no more than the four corners of the box before it is turned."""
    slack, parts = _SAME, as_parts(segmentation) or []
    if masks := as_masks(segmentation):
        slack, parts = _SAME_PIXEL, [outline for mask in masks for outline in _decode(one, mask)[0]]
    points = [point for part in parts for point in part]
    return all(min(math.dist(point, corner) for corner in corners(one.box)) <= slack for point in points)


def _as_number(raw: object) -> float | None:
    """A finite number, also one that is written as text."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
