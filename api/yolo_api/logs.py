"""Bounded reads of log files, which may be many gigabytes. Blocking: for a worker thread."""

import re
from pathlib import Path
from typing import BinaryIO

from .volume_files import open_file

HEAD_BYTES = 64 << 10
TAIL_BYTES = 1 << 20
ERR_BYTES = 3000
"""What the old server sent of the error log."""
_CHUNK = 1 << 20
_EPOCH_LINE = re.compile(rb"^\* start train[^\r\n]*", re.MULTILINE)
_EPOCH = re.compile(r"\* start train (\d+/\d+)")


def read_lines(path: Path, root: Path) -> list[str] | None:
    """The stripped lines of a text file below `root`; None when there is none.

    Of a large file: the first 64 KiB, every `* start train` line of the middle, the last 1 MiB, and between
    them one line that says how much was left out.
    """
    try:
        file = open_file(path, root)
    except FileNotFoundError:
        return None
    with file:
        size = file.seek(0, 2)
        file.seek(0)
        if size <= HEAD_BYTES + TAIL_BYTES:
            return _to_lines(file.read(HEAD_BYTES + TAIL_BYTES))
        head = file.read(HEAD_BYTES)
        head = head[: head.rfind(b"\n") + 1] or head
        file.seek(size - TAIL_BYTES)
        file.readline(_CHUNK)  # the rest of a line that began before
        start = file.tell()
        tail = file.read(TAIL_BYTES)
        file.seek(len(head))
        epochs = _epoch_lines(file, start - len(head))
    omitted = f"... {start - len(head)} bytes left out, of them only the epochs' first lines ..."
    return [*_to_lines(head), omitted, *epochs, *_to_lines(tail)]


def read_error_lines(path: Path, root: Path) -> list[str] | None:
    """The last 3,000 bytes of a text file below `root` as stripped lines, each state of a progress bar
    (`\\r`) one; None without file.
    """
    try:
        file = open_file(path, root)
    except FileNotFoundError:
        return None
    with file:
        size = file.seek(0, 2)
        file.seek(max(0, size - ERR_BYTES))
        return _to_lines(file.read(ERR_BYTES).replace(b"\r\n", b"\n").replace(b"\r", b"\n"))


def last_epoch(lines: list[str]) -> str | None:
    """`i/N` of the last `* start train i/N` line."""
    for line in reversed(lines):
        if found := _EPOCH.match(line):
            return found[1]
    return None


def _to_lines(data: bytes) -> list[str]:
    # A cut may have gone through a character: what cannot be decoded at the ends is no loss.
    return [line.strip() for line in data.decode("utf-8", "replace").rstrip("\n").split("\n")] if data else []


def _epoch_lines(file: BinaryIO, size: int) -> list[str]:
    """The epochs' first lines among the next `size` bytes, which are whole lines."""
    found: list[str] = []
    rest = b""
    while size > 0 and (data := file.read(min(_CHUNK, size))):
        size -= len(data)
        whole, _, rest = (rest + data).rpartition(b"\n")
        found += [line.decode("utf-8", "replace").strip() for line in _EPOCH_LINE.findall(whole)]
        rest = rest if len(rest) < _CHUNK else b""  # an endless line is no epoch's
    return found
