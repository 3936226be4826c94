"""List what a zip or tar holds without trusting it: no header is read whole whose size is a lie."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from ..errors import InvalidDataError

MAX_DIRECTORY_BYTES = 64 << 20
"""Of a zip's directory, some 700,000 entries: Python reads it whole, into ten times as much memory."""
MAX_HEADER_BYTES = 1 << 20
"""Of one entry of a tar: names and attributes, which Python reads whole."""

BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a compression that Python does not know
    ValueError,  # names that are not in the encoding that they claim
)
"""What reading a torn or odd archive raises."""

_ZIP64_RECORDS = 56 + 20  # record and locator, before the last record
_ZIP_END_MAX = _ZIP64_RECORDS + 22 + (1 << 16)  # and a comment
_GZIP = b"\x1f\x8b"
_NO_PLAIN_FILE = "is a link or a device; an archive of a data set holds files and folders only"


@dataclass(frozen=True)
class Entry:
    """One file or folder of an archive."""

    name: str
    size: int
    is_folder: bool
    open: Callable[[], IO[bytes] | None]
    refused: str | None = None
    """Why an entry of this type is not taken."""


def _directory_bytes(path: Path) -> int:
    """What a zip's last record says of the size of its directory; 0 where there is none (APPNOTE 4.3.16)."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, _ZIP_END_MAX), os.SEEK_END)
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 20:
        return 0
    large = at - _ZIP64_RECORDS
    if large >= 0 and tail[large : large + 4] == b"PK\x06\x06":
        return int.from_bytes(tail[large + 40 : large + 48], "little")
    return int.from_bytes(tail[at + 12 : at + 16], "little")


def zip_entries(path: Path) -> Iterator[Entry]:
    """The entries of a zip; raises one of `BROKEN` for a torn one, InvalidDataError for too many entries."""
    if (size := _directory_bytes(path)) > MAX_DIRECTORY_BYTES:
        raise InvalidDataError(
            f"{path}: its directory has {size} bytes, more than {MAX_DIRECTORY_BYTES}: too many entries",
            "pack so many files as a tar",
        )
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            refused = None
            if info.flag_bits & 1:
                refused = "is encrypted; give an archive without a password"
            elif kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                refused = _NO_PLAIN_FILE
            opener = partial(archive.open, info)
            yield Entry(info.filename, info.file_size, info.is_dir(), opener, refused)


def tar_entries(path: Path) -> Iterator[Entry]:
    """The entries of a tar, packed by gzip or not; raises one of `BROKEN` for a torn one."""
    with path.open("rb") as file:
        packed = gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == _GZIP else file
        with tarfile.open(fileobj=_ShortReads(packed), mode="r:") as archive:
            for info in archive:
                refused = None if info.isreg() or info.isdir() else _NO_PLAIN_FILE
                opener = partial(archive.extractfile, info)
                yield Entry(info.name, info.size, info.isdir(), opener, refused)


class _ShortReads(io.RawIOBase):
    """A stream that is never read in one go beyond a header's or a chunk's size, whatever a header claims."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile | io.BufferedReader) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes, more than {MAX_HEADER_BYTES}")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()
