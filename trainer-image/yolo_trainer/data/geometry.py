"""Shapes in pixels to rows of numbers in YOLO's normalised form. Pure.

A point is (x, y) with the origin at the top left; normalised ones are 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 with x1 <= x2 and y1 <= y2."""

CIRCLE_CORNERS = 16
_EPSILON = 5e-7  # rounds to zero in a label file


def box_around(points: Sequence[Point]) -> Box:
    """The smallest upright box that holds all points, corners in any order."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return min(xs), min(ys), max(xs), max(ys)


def circle_box(centre: Point, rim: Point) -> Box:
    """The box around a circle that is given by its centre and a point on its rim."""
    radius = math.dist(centre, rim)
    return centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius


def circle_polygon(centre: Point, rim: Point) -> list[Point]:
    """A regular polygon of sixteen corners for a circle."""
    radius = math.dist(centre, rim)
    turns = [2 * math.pi * i / CIRCLE_CORNERS for i in range(CIRCLE_CORNERS)]
    return [(centre[0] + radius * math.cos(t), centre[1] + radius * math.sin(t)) for t in turns]


def corners(box: Box) -> list[Point]:
    """The four corners of a box, clockwise from the top left."""
    x1, y1, x2, y2 = box
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def scale(points: Sequence[Point], width: float, height: float) -> list[Point]:
    """Pixels to parts of the image's width and height."""
    return [(x / width, y / height) for x, y in points]


def clip_box(box: Box) -> Box:
    """The part of a normalised box that lies in the image; turned inside out or empty when none does."""
    x1, y1, x2, y2 = box
    return max(x1, 0.0), max(y1, 0.0), min(x2, 1.0), min(y2, 1.0)


def is_empty(box: Box) -> bool:
    """Whether a box has no width or no height."""
    return box[2] - box[0] <= _EPSILON or box[3] - box[1] <= _EPSILON


def is_inside(points: Sequence[Point]) -> bool:
    """Whether all normalised points lie in the image; half a millionth is rounding, not outside."""
    return all(-5e-7 <= x <= 1 + 5e-7 and -5e-7 <= y <= 1 + 5e-7 for x, y in points)


def clip_polygon(points: Sequence[Point]) -> list[Point]:
    """The part of a normalised polygon that lies in the image (Sutherland and Hodgman); may be empty."""
    clipped = list(points)
    for axis in (0, 1):
        for limit, sign in ((0.0, 1.0), (1.0, -1.0)):
            clipped = _clip_side(clipped, axis, limit, sign)
    return clipped


def _clip_side(points: list[Point], axis: int, limit: float, sign: float) -> list[Point]:
    kept: list[Point] = []
    for i, here in enumerate(points):
        before = points[i - 1]
        inside, was_inside = sign * (here[axis] - limit) >= 0, sign * (before[axis] - limit) >= 0
        if inside != was_inside:
            part = (limit - before[axis]) / (here[axis] - before[axis])
            other = before[1 - axis] + part * (here[1 - axis] - before[1 - axis])
            kept.append((limit, other) if axis == 0 else (other, limit))
        if inside:
            kept.append(here)
    return kept


def centre_form(box: Box) -> tuple[float, float, float, float]:
    """Centre x, centre y, width, height."""
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def corner_form(x: float, y: float, width: float, height: float) -> Box:
    """The box of a YOLO row."""
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def to_line(index: int, values: Sequence[float]) -> str:
    """One line of a label file: class index and numbers with six decimals."""
    return " ".join([str(index), *(f"{value:.6f}" for value in values)])
