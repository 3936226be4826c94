"""Read text that somebody else wrote: bounded in size, UTF-8, its faults told with the file."""

from __future__ import annotations

import codecs
from pathlib import Path

from ..errors import InvalidDataError, volume_errors

MAX_BYTES = 256 << 20
"""A list of two million image paths."""
REMEDY = "save the file as UTF-8, then raise spec.run"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_lines(path: Path, max_bytes: int = MAX_BYTES) -> list[str]:
    """The lines of a text file, without their ends; raises InvalidDataError when it is none, or too large."""
    with volume_errors(path, "read"), path.open("rb") as file:
        raw = file.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise InvalidDataError(f"{path} is larger than {max_bytes} bytes")
    return decode(raw, str(path)).splitlines()


def decode(raw: bytes, shown: str) -> str:
    """The text of a file that people are `shown` by this path; raises InvalidDataError with the line of the
    first byte that is no UTF-8."""
    if is_utf16(raw):
        raise InvalidDataError(f"{shown} is text in UTF-16; want UTF-8", REMEDY)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise InvalidDataError(
            f"{shown}, line {line}: no text in UTF-8 (byte {byte:#04x})", REMEDY
        ) from error


def is_utf16(raw: bytes) -> bool:
    """Whether a file begins as Windows' editors begin one in UTF-16."""
    return raw.startswith(_UTF16)
