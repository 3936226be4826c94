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
_BOX_WORDS = " %.6f" * 4
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


def turned_rectangle(cx: float, cy: float, width: float, height: float, radians: float) -> list[Point]:
    """The four corners of a rectangle that is turned about its centre, beginning with the one that was at the
    top left; a positive angle turns clockwise on the screen, where y grows downwards."""
    cos, sin = math.cos(radians), math.sin(radians)
    upright = corners((-width / 2, -height / 2, width / 2, height / 2))
    return [(cx + x * cos - y * sin, cy + x * sin + y * cos) for x, y in upright]


def smallest_rectangle(points: Sequence[Point]) -> list[Point]:
    """The corners of the rectangle of least area around the points, turned as it may be.

    One of its sides lies along a side of the convex hull (Freeman and Shapira 1975). Not OpenCV's, which
    counts in single precision: the content hash of a data set is not to hang on a library's version.
    """
    hull = _convex_hull(points)
    best: tuple[float, list[Point]] = (math.inf, corners(box_around(points)))
    for before, here in zip([hull[-1], *hull[:-1]], hull, strict=True):
        length = math.dist(before, here)
        if length == 0:
            continue
        ux, uy = (here[0] - before[0]) / length, (here[1] - before[1]) / length
        along = [x * ux + y * uy for x, y in hull]
        across = [y * ux - x * uy for x, y in hull]
        area = (max(along) - min(along)) * (max(across) - min(across))
        if area < best[0]:
            turned = corners((min(along), min(across), max(along), max(across)))
            best = area, [(a * ux - c * uy, a * uy + c * ux) for a, c in turned]
    return best[1]


def _convex_hull(points: Sequence[Point]) -> list[Point]:
    """Corners of the convex hull in order (Andrew's monotone chain)."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered
    return _half_hull(ordered)[:-1] + _half_hull(ordered[::-1])[:-1]


def _half_hull(ordered: Sequence[Point]) -> list[Point]:
    kept: list[Point] = []
    for point in ordered:
        while len(kept) > 1 and _turn(kept[-2], kept[-1], point) <= 0:
            kept.pop()
        kept.append(point)
    return kept


def _turn(a: Point, b: Point, c: Point) -> float:
    """Positive when the way from `a` over `b` to `c` turns to the left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def is_line(points: Sequence[Point]) -> bool:
    """Whether four corners have no width in one of their directions."""
    return min(math.dist(points[0], points[1]), math.dist(points[1], points[2])) <= _EPSILON


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


def is_box_inside(box: Box) -> bool:
    """The same of a box."""
    return box[0] >= -5e-7 and box[1] >= -5e-7 and box[2] <= 1 + 5e-7 and box[3] <= 1 + 5e-7


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
    # One format for all numbers is twice as fast as one for each; the most frequent line has four.
    words = _BOX_WORDS if len(values) == 4 else " %.6f" * len(values)
    return f"{index}{words % tuple(values)}"
