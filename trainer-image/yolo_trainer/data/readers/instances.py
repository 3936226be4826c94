"""Shapes that an annotator grouped: those of one label and group are parts of one object.

The rule of LabelMe's own converter to COCO (examples/instance_segmentation/labelme2coco.py).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from .. import geometry
from ..geometry import Point
from ..source import Shape
from .rle import join_parts


class Part(NamedTuple):
    """A shape, and the group that it is in; None: it is an object by itself."""

    shape: Shape
    group: Hashable = None


def join_groups(parts: Sequence[Part]) -> tuple[list[Shape], int]:
    """The objects, each in the place of its first part, and how many shapes became parts of another.

    Shapes without an area (points, lines) are no parts: they stay what they are.
    """
    members: dict[object, list[list[Point]]] = {}
    first: dict[object, Shape] = {}
    for i, (shape, group) in enumerate(parts):
        outline = None if group is None else _outline(shape)
        key = i if outline is None else (shape.label, group)
        first.setdefault(key, shape)
        members.setdefault(key, []).append(outline or [])
    shapes = [
        Shape("polygon", shape.label, tuple(join_parts(members[key]))) if len(members[key]) > 1 else shape
        for key, shape in first.items()
    ]
    return shapes, len(parts) - len(shapes)


def _outline(shape: Shape) -> list[Point] | None:
    points = list(shape.points)
    match shape.kind:
        case "rectangle" if len(points) >= 2:
            return geometry.corners(geometry.box_around(points))
        case "polygon" if len(points) >= 3:
            return points
        case "circle" if len(points) == 2:
            return geometry.circle_polygon(points[0], points[1])
    return None
