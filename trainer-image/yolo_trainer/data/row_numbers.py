"""The rows of a YOLO label file as numbers, and why a row is none. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..errors import InvalidDataError

FAR_OUT = 2.0
"""Normalised numbers beyond this are pixels."""
_DOTA = (
    "convert with ultralytics.data.converter.convert_dota_to_yolo_obb, or name the folder without a data.yaml"
)


class Row(NamedTuple):
    """One label: the class as it is written, and what follows it."""

    line: int
    """From 1."""
    class_id: int
    values: list[float]


def read_rows(text: str, where: str) -> list[Row]:
    """The rows of a file that people know as `where`; raises InvalidDataError with the line that is none."""
    rows = []
    for line, raw in enumerate(text.splitlines(), start=1):
        if words := raw.split():
            rows.append(_row(line, words, f"{where}, line {line}"))
    return rows


def to_numbers(words: list[str]) -> list[float] | None:
    """What the words of a row are; None when one of them is no number."""
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _row(line: int, words: list[str], place: str) -> Row:
    numbers = to_numbers(words)
    if numbers is None:
        why, hint = _why_no_numbers(words)
        shown = next(word for word in words if to_numbers([word]) is None)
        raise InvalidDataError(f"{place}: {shown[:40]!r} is no number; {why}", hint)
    first, *rest = numbers
    if not first.is_integer() or not all(map(math.isfinite, rest)):
        raise InvalidDataError(f"{place}: {' '.join(words[:6])} is no label row")
    if len(rest) < 4:
        raise InvalidDataError(f"{place}: {len(words)} columns; at least 5 are needed")
    if max(map(abs, rest[:4])) > FAR_OUT:
        raise pixels(place, next(v for v in rest if abs(v) > FAR_OUT))
    return Row(line, int(first), rest)


def pixels(place: str, value: float) -> InvalidDataError:
    """The error for a number of a row that counts pixels."""
    return InvalidDataError(
        f"{place}: coordinates are pixels ({value:g}); YOLO labels are parts of 0 to 1",
        "divide what counts to the right by the width of the image, and what counts down by its height",
    )


def _why_no_numbers(words: list[str]) -> tuple[str, str | None]:
    """What a row with other words than numbers is, and what helps."""
    if any(mark in " ".join(words) for mark in ",;"):
        return "its numbers are separated by commas or semicolons; want blanks", None
    if words[0].startswith(("imagesource:", "gsd:")) or is_dota_row(words):
        return "these are DOTA's labels: pixels, class name, difficulty", _DOTA
    if to_numbers(words[:1]) is None and to_numbers(words[1:]) is not None:
        if len(words) in (15, 16):
            return "these are KITTI's labels", "convert them to YOLO, whose rows begin with the class index"
        return "a label row begins with the class index, not with its name", None
    return "a label row is numbers only", None


def is_dota_row(words: list[str]) -> bool:
    """Whether a row is eight numbers, a class name and perhaps a difficulty, as DOTA's labels are."""
    return len(words) > 8 and to_numbers(words[:8]) is not None and to_numbers(words[8:9]) is None
