"""The keypoints of a label: within the image, and no numbers that a training would drop the image for. Pure,
but for what it counts."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InvalidDataError
from .row_numbers import FAR_OUT, pixels
from .skipped import Skipped
from .source import Shape

_ROUNDED = 1e-3
"""Of the image's edge: what tools write that round, or that count to the pixel's other side."""


def keypoint_words(
    shape: Shape, kpt_shape: tuple[int, int], width: float, height: float, name: str, skipped: Skipped
) -> str:
    """What follows the box in a pose label; keypoints that are not labelled are 0 0 0."""
    count, dims = kpt_shape
    found = [*shape.keypoints, *[(0.0, 0.0, 0.0)] * count][:count]
    rows = [
        (*_within_image(x / width, y / height, name, skipped, is_labelled=True), v) if v else (0.0, 0.0, 0.0)
        for x, y, v in found
    ]
    return "".join(f" {value:.6f}" for row in rows for value in row[:dims])


def keypoint(values: Sequence[float], place: str, skipped: Skipped) -> list[float]:
    """A keypoint as Ultralytics takes it: within the image, its visibility not below 0.

    Raises InvalidDataError for pixels, and for a visibility that it would drop the whole image for.
    """
    x, y, *visible = values
    if far := next((v for v in (x, y) if abs(v) > FAR_OUT), None):
        raise pixels(place, far)
    if visible and visible[0] < 0:
        raise InvalidDataError(
            f"{place}: {visible[0]:g} is no visibility of a keypoint",
            "want 0 (not labelled), 1 (hidden) or 2 (visible) as the third number of each keypoint",
        )
    return [*_within_image(x, y, place, skipped, is_labelled=visible != [0]), *visible]


def _within_image(
    x: float, y: float, name: str, skipped: Skipped, *, is_labelled: bool
) -> tuple[float, float]:
    """A normalised keypoint drawn to the image's edge where it lies outside, which is counted."""
    inside = _within(x), _within(y)
    if is_labelled and max(abs(inside[0] - x), abs(inside[1] - y)) > _ROUNDED:
        skipped.add("keypointOutside", name)
    return inside


def _within(value: float) -> float:
    return min(max(value, 0.0), 1.0)
