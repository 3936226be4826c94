"""The outline of one object that a picture shows: pixels of it differ from 0, all others are 0."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageChops

from ..geometry import Point
from ..images import MAX_PIXELS, open_encoded
from .rle import join_parts, mask_polygons

MAX_RUNS = 1 << 20
"""Changes between object and background; a checkerboard, which packs into next to nothing, has far more."""
MAX_PARTS = 10_000
"""Joining more of them takes minutes."""
_GREYS = {"1", "L", "LA", "I", "I;16", "F"}


def read_outline(data: bytes, at: tuple[int, int], sizes: Sequence[tuple[int, int]] = ()) -> list[Point]:
    """One outline along the edges of the object's pixels, all its parts joined; empty when it has no pixel.

    `at` is where the picture's top left pixel lies in the image, `sizes` which widths and heights it may
    have (none given: any). Raises ValueError with a sentence.
    """
    try:
        with open_encoded(data) as image:
            (width, height), kind = image.size, image.format
            is_wanted = (
                (not sizes or (width, height) in sizes) and width * height <= MAX_PIXELS and kind == "PNG"
            )
            counts = _runs(image) if is_wanted else []
    except _TooFineError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything on bad bytes
        raise ValueError("the mask is no picture that can be decoded") from error
    if not is_wanted:
        want = f" of {sizes[0][0]} x {sizes[0][1]}" if sizes else ""
        raise ValueError(f"the mask is a {kind} of {width} x {height} pixels; want a PNG{want}")
    parts = mask_polygons({"size": [height, width], "counts": counts})
    if len(parts) > MAX_PARTS:
        raise _TooFineError
    return [(x + at[0], y + at[1]) for x, y in join_parts(parts)] if parts else []


class _TooFineError(ValueError):
    def __init__(self) -> None:
        super().__init__(f"the mask is no object but a pattern: of more than {MAX_PARTS} parts, or as fine")


def _runs(image: Image.Image) -> list[int]:
    """Lengths of runs without and with the object in turn, column by column: COCO's, uncompressed."""
    flags = _flags(image).transpose(Image.Transpose.TRANSPOSE).tobytes()
    runs: list[int] = []
    start = 0
    while start < len(flags):
        if len(runs) > MAX_RUNS:
            raise _TooFineError
        end = flags.find(len(runs) % 2 == 0, start)
        end = len(flags) if end < 0 else end
        runs.append(end - start)
        start = end
    return runs


def _flags(image: Image.Image) -> Image.Image:
    """1 where any channel of colour differs from 0, as Datumaro takes masks of several channels."""
    if image.mode in _GREYS:
        grey = image.convert("I").convert("L")  # numbers beyond 255 become that
    else:
        red, green, blue = image.convert("RGB").split()
        grey = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return grey.point([0] + [1] * 255)
