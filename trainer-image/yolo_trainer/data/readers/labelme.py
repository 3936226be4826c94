"""Read the label files of LabelMe: one JSON an image, shapes in pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InvalidDataError
from ..json_file import read_json_object
from ..source import Labels, Shape, as_point, as_size

MAX_BYTES = 256 << 20
"""A file may carry its image in base64."""


def is_labelme(content: Mapping[str, Any]) -> bool:
    """Whether a JSON object is the label file of one image."""
    return isinstance(content.get("shapes"), list) and "imagePath" in content


def read_labelme(path: Path) -> Labels:
    """The shapes of one JSON file; raises InvalidDataError with file and entry."""
    content = _read(path)
    shapes = [_shape(raw, f"{path}, shapes[{i}]") for i, raw in enumerate(content["shapes"])]
    return Labels(tuple(shapes), as_size([content.get("imageWidth"), content.get("imageHeight")]))


def image_of_labelme(path: Path) -> str | None:
    """Path of the image that a JSON file says it is for."""
    name = _read(path).get("imagePath")
    return name if isinstance(name, str) else None


def _read(path: Path) -> dict[str, Any]:
    content = read_json_object(path, MAX_BYTES)
    if not is_labelme(content):
        raise InvalidDataError(f"{path} is no file of LabelMe: it lacks `shapes` (a list) or `imagePath`")
    return content


def _shape(raw: object, place: str) -> Shape:
    match raw:
        case {"label": str() as label, "points": [*raw_points], **rest} if label.strip():
            points = [as_point(p) for p in raw_points]
            good = tuple(p for p in points if p is not None)
            if len(good) < len(points):
                raise InvalidDataError(f"{place}: points are not all [x, y] of finite numbers")
            # `rotation` is what forks of LabelMe call a turned rectangle: its four corners.
            kind = str(rest.get("shape_type") or "polygon").replace("rotation", "polygon")
            return Shape(kind, label.strip(), good)
    raise InvalidDataError(f"{place}: a shape needs `label` (text) and `points` (a list)")
