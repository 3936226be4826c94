"""The same content under another name: hard links where a volume has them, copies, and files put together."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterable
from pathlib import Path

from . import files

_NO_LINKS = frozenset(
    {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
)
"""What link(2) answers across mounts, and on volumes without hard links (SMB, object stores)."""


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under another name that is not there: a hard link, or a copy with its times."""
    files.point("link", target)
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        temporary = files.aside(target)
        copy(source, temporary)
        files.rename(temporary, target)


def copy(source: Path, target: Path) -> None:
    """Copies a file and its time of change, a piece at a time."""
    with files.open_existing(source) as reader, files.writing(target) as sink:
        for piece in files.pieces(reader):
            sink.write(piece)
    with contextlib.suppress(OSError):
        shutil.copystat(source, target)


def join(parts: Iterable[Path], target: Path) -> None:
    """Writes files one behind the other, a piece at a time; those that are not there are left out."""
    with files.writing(target) as sink:
        for part in parts:
            stream = files.open_to_read(part)
            if stream is None:
                continue
            with stream:
                for piece in files.pieces(stream):
                    sink.write(piece)
