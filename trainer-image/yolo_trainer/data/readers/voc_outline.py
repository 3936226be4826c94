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
_POINT_TAGS = frozenset({"pt", "point", "vertex"})


def read_outline(element: Element, path: Path) -> tuple[Point, ...]:
    """The outline of an object, all its parts joined; empty when it has none.

    A part is a `<polygon>` with `<x1>`, `<y1>`, … (Roboflow, DroneVehicle), with `<pt>` or `<point>` of
    `<x>` and `<y>`, or with numbers in text; or a `<bndbox>` with `<x1>`, `<y1>`, … in place of its corners.
    Raises InvalidDataError with file and line for a part that is none of these.
    """
    parts = [points_of(polygon, path) for polygon in element.all("polygon")]
    box = element.find("bndbox")
    if not parts and box is not None and box.find("xmin") is None and box.find("y1"):
        parts = [points_of(box, path)]
    parts = [part for part in parts if part]
    return tuple(join_parts(parts)) if parts else ()


def points_of(polygon: Element, path: Path) -> list[Point]:
    """The points of one `<polygon>`, in whichever of the forms they are written."""
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
