"""Outlines of masks that were drawn in other pixels than their image's: scaled where that is safe, refused
where it is not. Pure.

Models give masks at a lower resolution, and encoders mistake [width, height] for [height, width]; the runs
add up all the same, and the outline would lie elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import InvalidDataError
from .geometry import Box, Point, box_around

_SLACK = 2.0  # pixels of the mask, and of the image, that a box may differ from its mask's
_HINT = (
    "`size` of a run-length mask is [height, width] of its image: encode the masks anew in that size, or "
    "correct `size`, or `width` and `height` in `images`"
)


class Frame(NamedTuple):
    """The pixels that an outline counts in, and what is needed to tell whether they are the image's."""

    width: int
    height: int
    where: str
    """The annotation, for people."""
    box: Box | None = None
    """What the annotation says of its place, in pixels of the image."""


def fit_outline(points: Sequence[Point], frame: Frame, size: tuple[float, float]) -> list[Point]:
    """An outline in pixels of an image of that width and height: as it is, or scaled.

    Raises InvalidDataError that names the annotation and both sizes when they are not of one shape, or when
    the scaled outline is not where the annotation's box is.
    """
    width, height = size
    if (frame.width, frame.height) == (width, height):
        return list(points)
    sizes = f"a mask of {frame.height} x {frame.width}, an image of {height:g} x {width:g} (height x width)"
    if not _is_of_shape(frame, size):
        swapped = (frame.height, frame.width) == (width, height)
        what = "height and width are the other way round in one of them" if swapped else "they do not fit"
        raise InvalidDataError(f"{frame.where}: {sizes}; {what}", _HINT)
    factor = width / frame.width
    scaled = [(x * factor, y * factor) for x, y in points]
    found = box_around(scaled)
    if frame.box and not _are_alike(found, frame.box, _SLACK * (factor + 1)):
        raise InvalidDataError(
            f"{frame.where}: {sizes}; scaled to the image, the mask's box is {_words(found)}, but `bbox` "
            f"says {_words(frame.box)}",
            f"{_HINT}; `bbox` counts in pixels of the image too",
        )
    return scaled


def is_box_in_frame(points: Sequence[Point], frame: Frame, size: tuple[float, float]) -> bool:
    """Whether the annotation's box may count in the pixels of a scaled mask, as the outline does."""
    if frame.box is None or not _is_of_shape(frame, size):
        return False
    return _are_alike(box_around(points), frame.box, _SLACK)


def _is_of_shape(frame: Frame, size: tuple[float, float]) -> bool:
    return frame.width * size[1] == frame.height * size[0]


def _are_alike(one: Box, other: Box, slack: float) -> bool:
    return all(abs(a - b) <= slack for a, b in zip(one, other, strict=True))


def _words(box: Box) -> str:
    """x, y, width, height, as `bbox` has them."""
    x1, y1, x2, y2 = box
    return f"[{x1:g}, {y1:g}, {x2 - x1:g}, {y2 - y1:g}]"
