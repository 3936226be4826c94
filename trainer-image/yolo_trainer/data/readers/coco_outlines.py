"""The forms in which tools write `segmentation` in COCO files. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from ..geometry import Point

OUTLINE_HINT = (
    "want [[x, y, x, y, …], …], a list of at least 6 numbers for each part of the object; or a run-length "
    "mask, an object with `size` and `counts`"
)


def as_masks(segmentation: Any) -> list[Mapping[str, Any]]:
    """The run-length masks of an object: one, or a list of them; empty when it has an outline instead."""
    match segmentation:
        case dict():
            return [segmentation]
        case [*masks] if masks and all(isinstance(mask, dict) and "counts" in mask for mask in masks):
            return masks
    return []


def as_parts(segmentation: Any) -> list[list[Point]] | None:
    """The parts of an outline; None for anything else.

    COCO writes a list of x, y, x, y, … for each part. Where there is only one, tools forget the list around
    it (MyVision); some write points as pairs.
    """
    if not isinstance(segmentation, list):
        return None
    is_one = all(map(_is_number, segmentation)) or (
        len(segmentation) >= 3 and all(map(_is_pair, segmentation))
    )
    lists = [_flat(part) for part in ([segmentation] if is_one else segmentation)]
    if any(part is None or len(part) % 2 for part in lists):
        return None
    return [list(zip(part[::2], part[1::2], strict=True)) for part in lists if part is not None]


def all_numbers(values: Sequence[Any]) -> bool:
    """Whether all values are finite numbers."""
    return all(map(_is_number, values))


def _flat(part: Any) -> list[float] | None:
    if not isinstance(part, list):
        return None
    numbers = list(chain.from_iterable(part)) if part and all(map(_is_pair, part)) else part
    return [float(v) for v in numbers] if all_numbers(numbers) else None


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all_numbers(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
