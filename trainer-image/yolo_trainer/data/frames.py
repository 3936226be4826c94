"""Which frame the labels of an image count in: of its pixels as they are stored, or turned upright. Pure.

Cameras store pixels as the sensor lies and say in an EXIF tag how to turn them. Viewers, Ultralytics and most
tools obey; others (LabelImg of old) show and label the stored pixels. The size that comes with the labels and
the boxes themselves tell which it was, and what most of a data set tells holds for the rest of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from .geometry import Point, box_around
from .images import SWAPPED, ImageFacts
from .source import Sample, Shape

Frame = Literal["upright", "stored"]
Size = tuple[float, float]

_SLACK = 1.0
"""Pixels: what rounding of a scaled size makes, and Pascal VOC's counting from 1."""
_BEYOND = 0.05
"""Part of the edge: a box that leads so far out does not belong to a frame; less is a slip of the hand."""


class Evidence(NamedTuple):
    """What one image's labels tell of their frame; None: nothing."""

    size: Frame | None = None
    """By the size that comes with them."""
    boxes: Frame | None = None
    """By boxes that lie in one of the frames and lead far out of the other."""


def is_scaled(size: Size, of: Size) -> bool:
    """Whether a size is another at the same scale in both directions, but for rounding."""
    (w, h), (width, height) = size, of
    return abs(w * height - h * width) <= _SLACK * max(w, h, width, height)


def frame_of_size(size: Size | None, facts: ImageFacts) -> Frame | Literal["other"] | None:
    """The frame that labels of this size count in, `other` for neither; None when both are of that size.

    An image without a tag has, for this question, a stored frame too: itself, turned by a quarter.
    """
    if size is None:
        return None
    other = facts.stored if facts.orientation > 1 else (facts.height, facts.width)
    upright, turned = is_scaled(size, facts.upright), is_scaled(size, other)
    if upright:
        return None if turned and facts.orientation > 1 else "upright"
    return "stored" if turned else "other"


def frame_of_masks(sample: Sample, facts: ImageFacts) -> Frame | None:
    """The frame of an image's run-length masks, where they alone have a size and agree."""
    sizes = {frame_of_size(shape.frame[:2], facts) for shape in sample.shapes if shape.frame}
    match [*sizes]:
        case ["upright" | "stored" as frame] if sample.size is None:
            return frame
    return None


def look(sample: Sample, facts: ImageFacts) -> Evidence:
    """What the shapes of an image tell, whose size is one of its frames' or not given."""
    size = frame_of_size(sample.size, facts)
    given = sample.size or facts.upright
    frames: dict[Frame, Size] = {"upright": given, "stored": given}
    if sample.size is None:
        frames["stored"] = facts.stored
    elif size is not None:
        frames["stored" if size == "upright" else "upright"] = (given[1], given[0])
    points = [point for shape in sample.shapes for point in shape.points]
    boxes: Frame | None = None
    if points and frames["upright"] != frames["stored"]:
        if _lie_in(points, frames["upright"]) and _lead_out(points, frames["stored"]):
            boxes = "upright"
        elif _lie_in(points, frames["stored"]) and _lead_out(points, frames["upright"]):
            boxes = "stored"
    return Evidence(size if size != "other" else None, boxes)


def _lie_in(points: Iterable[Point], frame: Size) -> bool:
    return all(-_SLACK <= v <= edge + _SLACK for p in points for v, edge in zip(p, frame, strict=True))


def _lead_out(points: Iterable[Point], frame: Size) -> bool:
    return any(v > edge * (1 + _BEYOND) for p in points for v, edge in zip(p, frame, strict=True))


def decide(images: Sequence[Evidence]) -> list[Frame | None]:
    """The frame of each image of one data set; None: nothing tells it.

    An image's own boxes are believed first, then the size that it is given, unless more images of the set
    have boxes that speak against such sizes than for them (tools that write the stored size beside upright
    boxes). What tells nothing by itself follows the others where these agree.
    """
    against = {
        frame
        for frame in ("upright", "stored")
        if sum(1 if e.boxes != frame else -1 for e in images if e.size == frame and e.boxes) > 0
    }
    own = [_own_frame(evidence, against) for evidence in images]
    told = {frame for frame in own if frame}
    rest = told.pop() if len(told) == 1 else None
    return [frame or rest for frame in own]


def _own_frame(evidence: Evidence, against: set[str]) -> Frame | None:
    if evidence.boxes or evidence.size not in against:
        return evidence.boxes or evidence.size
    return "upright" if evidence.size == "stored" else "stored"


def in_upright(sample: Sample, facts: ImageFacts) -> Sample:
    """The sample read as labelled upright; `size` is set, whichever way round it was given."""
    size = sample.size or facts.upright
    if frame_of_size(sample.size, facts) == "stored":
        size = size[1], size[0]
    return replace(sample, size=size)


def in_stored(sample: Sample, facts: ImageFacts) -> Sample:
    """The sample read as labelled in the stored frame: its shapes turned with the image; `size` is set."""
    size = sample.size or facts.stored
    is_swapped = facts.orientation in SWAPPED
    if is_swapped and frame_of_size(sample.size, facts) == "upright":
        size = size[1], size[0]
    shapes = [_turned(shape, size, facts.orientation) for shape in sample.shapes]
    return replace(sample, shapes=shapes, size=(size[1], size[0]) if is_swapped else size)


def _turned(shape: Shape, size: Size, orientation: int) -> Shape:
    frame = shape.frame
    inner = (frame.width, frame.height) if frame else size
    points = tuple(turn(point, inner, orientation) for point in shape.points)
    keypoints = tuple((*turn((x, y), size, orientation), v) for x, y, v in shape.keypoints)
    if frame and frame.box:
        x1, y1, x2, y2 = frame.box
        corners = [turn(point, size, orientation) for point in ((x1, y1), (x2, y2))]
        frame = frame._replace(box=box_around(corners))
    if frame and orientation in SWAPPED:
        frame = frame._replace(width=frame.height, height=frame.width)
    return replace(shape, points=points, keypoints=keypoints, frame=frame)


def turn(point: Point, size: Size, orientation: int) -> Point:
    """Where a point of the stored pixels, `size` in all, lies in the upright image.

    The eight orientations as the EXIF standard has them (JEITA CP-3451, tag 274): on which side the stored
    rows begin, and on which the columns.
    """
    (x, y), (width, height) = point, size
    match orientation:
        case 2:
            return width - x, y
        case 3:
            return width - x, height - y
        case 4:
            return x, height - y
        case 5:
            return y, x
        case 6:
            return height - y, x
        case 7:
            return height - y, width - x
        case 8:
            return y, width - x
    return x, y
