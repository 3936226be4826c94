"""The outline of one object that a picture shows: pixels of it differ from 0, all others are 0."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from PIL import Image, ImageChops

from ..geometry import Point
from ..images import MAX_PIXELS, open_encoded
from .rle import join_parts, mask_polygons

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
    except Exception as error:  # Pillow's plugins raise nearly anything on bad bytes
        raise ValueError("the mask is no picture that can be decoded") from error
    if not is_wanted:
        want = f" of {sizes[0][0]} x {sizes[0][1]}" if sizes else ""
        raise ValueError(f"the mask is a {kind} of {width} x {height} pixels; want a PNG{want}")
    parts = mask_polygons({"size": [height, width], "counts": counts})
    return [(x + at[0], y + at[1]) for x, y in join_parts(parts)] if parts else []


def _runs(image: Image.Image) -> list[int]:
    """Lengths of runs without and with the object in turn, column by column: COCO's, uncompressed."""
    flags = _flags(image).transpose(Image.Transpose.TRANSPOSE).tobytes()
    runs = [(value, sum(1 for _ in same)) for value, same in groupby(flags)]
    return [0] * (bool(runs) and runs[0][0] != 0) + [length for _, length in runs]


def _flags(image: Image.Image) -> Image.Image:
    """1 where any channel of colour differs from 0, as Datumaro takes masks of several channels."""
    if image.mode in _GREYS:
        grey = image.convert("I").convert("L")  # numbers beyond 255 become that
    else:
        red, green, blue = image.convert("RGB").split()
        grey = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return grey.point([0] + [1] * 255)
