"""References beneath a volume's root, and writes that are whole or not there at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from .errors import volume_errors

TEMPORARY_PREFIX = ".tmp-"
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})


def beneath(root: Path, reference: str | Path) -> Path:
    """The file that `reference` (absolute, or relative to `root`; `\\` for `/` too) means, links resolved.

    Raises ValueError with a sentence when it is not beneath `root`, be it by `..`, by an absolute path or
    by a symbolic link. Whether it exists is for the caller to see.
    """
    text = str(reference).replace("\\", "/")
    if "\0" in text or ".." in PurePosixPath(text).parts:
        raise ValueError(f"{text!r} has '..' in it; give a path below {root}")
    real_root = root.resolve()
    try:
        found = root.joinpath(text).resolve()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{text!r} cannot be followed: {error}") from error
    if not found.is_relative_to(real_root):
        how = "leads out of" if found != Path(text) else "is not below"
        raise ValueError(f"{text!r} {how} {root}")
    return found


def write_atomic(path: Path, content: str | bytes) -> None:
    """Writes a file whole: beside its place, fsynced, renamed. A reader sees the old or the new one."""
    _write_whole(path, [content.encode("utf-8") if isinstance(content, str) else content])


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """As `write_atomic`, one line after the other, none of them kept in memory."""
    _write_whole(path, (f"{line}\n".encode() for line in lines))


def _write_whole(path: Path, parts: Iterable[bytes]) -> None:
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}.{secrets.token_hex(4)}")
    with volume_errors(path, "write"):
        try:
            with temporary.open("wb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def fsync_folder(path: Path) -> None:
    """Makes renames within a folder durable, where the file system can: fsync(2) says EINVAL of a folder
    where there is no such operation, as on some network and host folders.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)
