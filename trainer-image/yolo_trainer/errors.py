"""Failures that a person can understand; the supervisor turns them into results and exit codes."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Self

from yolo_crds.base import readable
from yolo_crds.conditions import HINTS, Reason
from yolo_crds.ownership import explain_denial
from yolo_crds.trainer import ExitCode

SPEC_HINT = HINTS[Reason.INVALID_SPEC]
"""For an InvalidDataError where the data may be right and what the training says of them is not."""
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""A volume has no room left, or its user no quota."""
VOLUME_UNAVAILABLE = frozenset(
    {
        errno.EIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ENOTCONN,
        errno.ESHUTDOWN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EREMOTEIO,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ENOLINK,
        errno.ECOMM,
    }
)
"""A volume does not answer for the moment: its server, or the way there, is down or was changed over. NFS
mounted `soft` gives EIO or ETIMEDOUT, with a new export ESTALE; FUSE without its server ENOTCONN; SMB
EHOSTDOWN."""
DENIED = frozenset({errno.EACCES, errno.EPERM})
"""A volume has the file of another user, or does not take what this one asks for."""
_AGAIN = "then raise spec.run"
_MEANINGS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the volume is mounted read-only",
    errno.EIO: "the volume reports an input/output error",
    errno.ESTALE: "the network volume lost the file (stale handle)",
    errno.ETIMEDOUT: "the volume's server did not answer in time",
    errno.ENOTCONN: "the volume is mounted, but its server is gone",
    errno.EHOSTDOWN: "the volume's server is down",
    errno.EHOSTUNREACH: "the volume's server cannot be reached",
    errno.EREMOTEIO: "the volume's server reports an input/output error",
    errno.ECONNRESET: "the volume's server broke the connection",
    errno.ENOENT: "there is no such file",
    errno.ENAMETOOLONG: "the name is too long",
}


class TrainerError(Exception):
    """An expected failure: why in one word, a sentence for a person, and what can be done about it.

    `hint` defaults to the hint of the reason. `secondhand`: it tells of the end of another process, whose own
    word, if it left one, says more.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        hint: str | None = None,
        exit_code: ExitCode = ExitCode.FAILED,
        *,
        secondhand: bool = False,
    ) -> None:
        super().__init__(readable(message))
        self.reason = reason
        self.message = readable(message)
        self.hint = hint or HINTS.get(reason)
        self.exit_code = exit_code
        self.secondhand = secondhand

    def reworded(self, change: Callable[[str], str]) -> Self:
        """The same error with a changed message."""
        other = copy(self)
        other.message = change(self.message)
        other.args = (other.message,)
        return other


class InvalidArgumentsError(TrainerError):
    """An argument of the template that the installed Ultralytics does not take."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(Reason.INVALID_ARGUMENTS, message, hint, ExitCode.CONFIGURATION)


class InvalidDataError(TrainerError):
    """A data set that cannot be trained on."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(Reason.INVALID_DATA, message, hint, ExitCode.DATA)


class WeightsMissingError(TrainerError):
    """The checkpoint or architecture that `model` names is not there."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(Reason.WEIGHTS_MISSING, message, hint, ExitCode.CONFIGURATION)


class LegacyCheckpointError(TrainerError):
    """A checkpoint or run folder of the YOLOv5 repository."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(Reason.LEGACY_CHECKPOINT, message, hint, ExitCode.CONFIGURATION)


class FencedError(TrainerError):
    """A newer attempt owns the run folder."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(Reason.FENCED, message, hint, ExitCode.FENCED)


class DiskFullError(TrainerError):
    """A volume has no room (or quota) left."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(Reason.DISK_FULL, message, hint, ExitCode.DISK_FULL)


class VolumeFailedError(TrainerError):
    """A volume cannot be read or written."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(Reason.VOLUME_FAILED, message, hint, ExitCode.FAILED)


class VolumeUnavailableError(TrainerError):
    """A volume does not answer for the moment; another attempt may find it again."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(Reason.VOLUME_UNAVAILABLE, message, hint, ExitCode.VOLUME_UNAVAILABLE)


class FetchFailedError(TrainerError):
    """A server did not answer, or not with a whole file, however often it was asked."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(Reason.FETCH_FAILED, message, hint, ExitCode.FETCH_FAILED)


def from_os_error(error: OSError, path: Path | str, doing: str) -> TrainerError:
    """The domain error for a failed system call: which path, what was tried, what the number means."""
    where = error.filename or path
    if error.errno in DISK_FULL:
        return DiskFullError(f"cannot {doing} {where}: no space or quota left on the volume")
    meaning = _MEANINGS.get(error.errno or 0) or error.strerror or str(error)
    if error.errno in VOLUME_UNAVAILABLE:
        return VolumeUnavailableError(f"cannot {doing} {where}: {meaning}")
    if error.errno in DENIED and (denial := explain_denial(str(where))) is not None:
        return VolumeFailedError(f"cannot {doing} {where}: {denial.message}", f"{denial.cure}; {_AGAIN}")
    if error.errno == errno.EROFS:
        return VolumeFailedError(f"cannot {doing} {where}: {meaning}", f"have it mounted writable, {_AGAIN}")
    return VolumeFailedError(
        f"cannot {doing} {where}: {meaning}", f"see to the named file or folder of its volume, {_AGAIN}"
    )


@contextmanager
def volume_errors(path: Path | str, doing: str) -> Iterator[None]:
    """Turns an OSError of the block into a TrainerError; `doing` is a verb for its message, as `write`."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, path, doing) from error
