"""Copy images into a prepared set: cheaply where the filesystem can, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from ..errors import DiskFullError, InvalidDataError
from ..sizes import bytes_text
from .images import ImageFacts, complete_jpeg
from .tree import Tree

_CHUNK = 1 << 30  # the kernel copies at most 2 GiB a call
_NOT_HERE = frozenset({errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF})


def check_room(folder: Path, images: Iterable[ImageFacts]) -> None:
    """Raises DiskFullError when copies of the images take more than is free on the volume of `folder`.

    Filesystems that share blocks among copies would do with less; which do is not to be seen beforehand.
    """
    sizes = [facts.size for facts in images]
    free = shutil.disk_usage(folder).free
    if sum(sizes) > free:
        raise DiskFullError(
            f"copies of {len(sizes)} images take {bytes_text(sum(sizes))}, but the volume of {folder} has "
            f"{bytes_text(free)} free"
        )


def copy_image(place: Path, facts: ImageFacts, tree: Tree) -> None:
    """Copies an image that was verified, completed where Ultralytics would mend the file.

    Raises InvalidDataError when it is not in the state any more in which it was verified.
    """
    with open(facts.path, "rb") as source, place.open("xb") as target:  # noqa: PTH123 - a path is text here
        if facts.unfinished:
            target.write(complete_jpeg(source.read()))
        else:
            _copy_bytes(source.fileno(), target.fileno())
        now = tree.state(os.fstat(source.fileno()))
    if now != facts.state:
        raise InvalidDataError(
            f"{facts.path} changed while the data set was prepared", "leave its files alone and prepare again"
        )


def _copy_bytes(source: int, target: int) -> None:
    """All bytes from one descriptor to another: shared blocks or a copy on the server where there is that."""
    copied = 0
    try:
        while count := os.copy_file_range(source, target, _CHUNK):
            copied += count
    except OSError as error:
        if error.errno not in _NOT_HERE or copied:
            raise
    if not copied:  # between filesystems, or on one that cannot; some of those say so by copying nothing
        with (
            os.fdopen(source, "rb", closefd=False) as reader,
            os.fdopen(target, "wb", closefd=False) as writer,
        ):
            shutil.copyfileobj(reader, writer, 1 << 20)
