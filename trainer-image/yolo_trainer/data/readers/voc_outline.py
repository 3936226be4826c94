"""The outlines that tools write into objects of Pascal VOC, which knows none itself."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import InvalidDataError
from ..geometry import Point
from .rle import join_parts
from .xml_tree import Element, as_number

_NUMBERED = re.compile(r"([xy])_?(\d+)")
_NUMBER = re.compile(r"[^\s,;()\[\]]+")
_TAGS = ("polygon", "segm", "rotated_bndbox")
_TURNED_FIRST = ("rotated_bndbox", "polygon", "segm")
_POINT_TAGS = frozenset({"pt", "point", "vertex"})


def read_outline(element: Element, path: Path, *, turned_first: bool = False) -> tuple[Point, ...]:
    """The outline of an object, all its parts joined; empty when it has none.

    A part is a `<polygon>` (Roboflow, DroneVehicle), or a `<segm>` or `<rotated_bndbox>` (SSDD has both, and
    with `turned_first` the latter is taken), or a `<bndbox>` with `<x1>`, `<y1>`, … in place of its corners.
    Raises InvalidDataError with file and line for one that holds no points.
    """
    tags = _TURNED_FIRST if turned_first else _TAGS
    for tag in tags:
        parts = [points for part in element.all(tag) if (points := points_of(part, path))]
        if parts:
            return tuple(join_parts(parts))
    box = element.find("bndbox")
    if box is not None and box.find("xmin") is None and box.find("y1"):
        return tuple(points_of(box, path))
    return ()


def points_of(polygon: Element, path: Path) -> list[Point]:
    """The points of one part: in `<x1>`, `<y1>`, …, in a `<pt>` of `<x>` and `<y>` for each, or in text."""
    if nested := [child for child in polygon.children if child.tag in _POINT_TAGS and child.find("x")]:
        return [(point.number("x", path), point.number("y", path)) for point in nested]
    numbered: dict[int, dict[str, str]] = {}
    for child in polygon.children:
        if match := _NUMBERED.fullmatch(child.tag):
            numbered.setdefault(int(match[2]), {})[match[1]] = child.tag
    if numbered:
        pairs = [numbered[i] for i in sorted(numbered)]
        if all(len(pair) == 2 for pair in pairs):
            return [(polygon.number(pair["x"], path), polygon.number(pair["y"], path)) for pair in pairs]
    text = " ".join([polygon.text, *(child.text for child in polygon.children if child.tag != "username")])
    numbers = [number for word in _NUMBER.findall(text) if (number := as_number(word)) is not None]
    if numbered or len(numbers) % 2 or len(numbers) < len(_NUMBER.findall(text)):
        raise InvalidDataError(
            f"{path}, line {polygon.line}: <{polygon.tag}> holds no pairs of x and y",
            "want <x1>, <y1>, <x2>, <y2>, …, or a <pt> with <x> and <y> for each point",
        )
    return list(zip(numbers[::2], numbers[1::2], strict=True))
