"""Read text that somebody else wrote: bounded in size, UTF-8, its faults told with the file."""

from __future__ import annotations

from pathlib import Path

from ..errors import InvalidDataError, volume_errors

MAX_BYTES = 256 << 20
"""A list of two million image paths."""


def read_lines(path: Path, max_bytes: int = MAX_BYTES) -> list[str]:
    """The lines of a text file, without their ends; raises InvalidDataError when it is none, or too large."""
    with volume_errors(path, "read"), path.open("rb") as file:
        raw = file.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise InvalidDataError(f"{path} is larger than {max_bytes} bytes")
    try:
        return raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidDataError(f"{path} is no text in UTF-8: {error}") from error
