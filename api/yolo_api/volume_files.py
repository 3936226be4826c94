"""Files on volumes that others write to, opened without a trust in names. Blocking: for a worker thread."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_NONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO})
"""What open(2) says of a name that leads to no file; ENXIO of a socket."""


def open_file(path: Path, root: Path) -> BinaryIO:
    """A regular file below `root`, opened.

    A training's pod may put anything there: a link to a file of this container, such as its token, or a
    FIFO, whose reader would wait for ever. It is looked at what was opened, so a name that changes meanwhile
    changes nothing. Raises FileNotFoundError for all that is no file, or leads elsewhere.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NONE:
            raise _missing(path) from None
        raise
    file = os.fdopen(descriptor, "rb") if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    if file is None:
        os.close(descriptor)
        raise _missing(path)
    if not Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(root.resolve()):
        file.close()
        raise _missing(path)
    return file


def _missing(path: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
