"""Read the label files of LabelMe and X-AnyLabeling: one JSON an image, shapes in pixels."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from ...errors import InvalidDataError
from ..geometry import Point
from ..json_file import read_json_object
from ..source import FOUR_CORNERS, Labels, Shape, as_point, as_size
from .instances import Part, join_groups
from .pictured_mask import read_outline

MAX_BYTES = 256 << 20
"""A file may carry its image in base64."""


def is_labelme(content: Mapping[str, Any]) -> bool:
    """Whether a JSON object is the label file of one image."""
    return isinstance(content.get("shapes"), list) and "imagePath" in content


def read_labelme(path: Path) -> Labels:
    """The objects of one JSON file; raises InvalidDataError with file and entry.

    Shapes of one label and `group_id` are one object.
    """
    content = _read(path)
    shapes, joined = join_groups(
        [_part(raw, f"{path}, shapes[{i}]") for i, raw in enumerate(content["shapes"])]
    )
    size = as_size([content.get("imageWidth"), content.get("imageHeight")])
    return Labels(tuple(shapes), size, (("joinedShape", path.name),) * joined)


def image_of_labelme(path: Path) -> str | None:
    """Path of the image that a JSON file says it is for."""
    name = _read(path).get("imagePath")
    return name if isinstance(name, str) else None


def _read(path: Path) -> dict[str, Any]:
    content = read_json_object(path, MAX_BYTES)
    if not is_labelme(content):
        raise InvalidDataError(f"{path} is no file of LabelMe: it lacks `shapes` (a list) or `imagePath`")
    return content


def _part(raw: object, place: str) -> Part:
    match raw:
        case {"label": str() as label, "points": [*raw_points], **rest} if label.strip():
            points = [as_point(p) for p in raw_points]
            good = tuple(p for p in points if p is not None)
            if len(good) < len(points):
                raise InvalidDataError(f"{place}: points are not all [x, y] of finite numbers")
            return Part(_shape(label.strip(), good, rest, place), _group(rest.get("group_id"), place))
    raise InvalidDataError(f"{place}: a shape needs `label` (text) and `points` (a list)")


def _shape(label: str, points: tuple[Point, ...], rest: Mapping[Any, Any], place: str) -> Shape:
    kind = str(rest.get("shape_type") or "polygon")
    if kind == "mask":
        outline = _mask_outline(points, rest.get("mask"), place)
        return Shape("polygon", label, outline) if outline else Shape("mask without a pixel", label, ())
    return Shape("polygon" if kind in FOUR_CORNERS else kind, label, points)


def _group(raw: object, place: str) -> Hashable:
    """What a `group_id` is compared by; None for a shape that is an object by itself."""
    match raw:
        case None | "":
            return None
        case str() | int() | float():
            return raw
    raise InvalidDataError(f"{place}: `group_id` is of type {type(raw).__name__}; want a number or null")


def _mask_outline(points: tuple[Point, ...], mask: object, place: str) -> tuple[Point, ...]:
    """The outline of a `mask`: two corners, both within it, and a PNG of the pixels between them.

    LabelMe cuts off what leads out of the image (utils/shape.py): a PNG may be a pixel less wide or high.
    """
    if not isinstance(mask, str) or len(points) != 2:
        raise InvalidDataError(f"{place}: a mask needs two corners in `points` and a PNG in base64 in `mask`")
    (x1, y1), (x2, y2) = ((int(x), int(y)) for x, y in points)
    width, height = abs(x2 - x1) + 1, abs(y2 - y1) + 1
    sizes = [(w, h) for w in (width, width - 1) for h in (height, height - 1)]
    try:
        data = base64.b64decode(mask, validate=True)
        return tuple(read_outline(data, (min(x1, x2), min(y1, y2)), sizes))
    except binascii.Error as error:
        raise InvalidDataError(f"{place}: `mask` is no base64: {error}") from error
    except ValueError as error:
        raise InvalidDataError(f"{place}: {error}", "export the masks anew, or as polygons") from error
