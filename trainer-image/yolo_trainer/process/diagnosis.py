"""What an exception of torch, Ultralytics or the kernel means: a reason, a sentence, an exit code."""

from __future__ import annotations

import errno
import os
import traceback

from yolo_crds.conditions import Reason
from yolo_crds.trainer import ExitCode

from ..errors import DENIED, DISK_FULL, VOLUME_UNAVAILABLE, TrainerError, from_os_error
from .gpu_texts import GPU_CAUSES
from .host_texts import HOST_CAUSES

CAUSES = GPU_CAUSES + HOST_CAUSES
"""The first that knows a text decides."""
_MESSAGE_MAX = 500
_LINKS_MOST = 5
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - named, not used
# Python's own users of /dev/shm do not name the file that found no room there.
_SHARED_MEMORY_MODULES = tuple(
    f"multiprocessing/{name}.py" for name in ("synchronize", "heap", "shared_memory")
)


def diagnose(error: BaseException, otherwise: Reason = Reason.TRAINING_FAILED) -> TrainerError:
    """The domain error that stands for any exception of a worker; `otherwise` when nothing is known of it."""
    if isinstance(error, TrainerError):
        return error
    if isinstance(error, OSError) and (known := _diagnose_call(error)) is not None:
        return known
    texts = [f"{type(link).__name__}: {link}" for link in _chain(error)]
    for cause in CAUSES:
        if (text := next(filter(cause.knows, texts), None)) is not None:
            return TrainerError(
                cause.reason,
                cause.prefix + _shorten(text),
                cause.hint,
                exit_code=cause.exit_code,
                secondhand=cause.secondhand,
            )
    if isinstance(error, MemoryError):
        return TrainerError(
            Reason.OOM_KILLED, "the training process ran out of memory", exit_code=ExitCode.WORKER_KILLED
        )
    return TrainerError(otherwise, _shorten(texts[0]), exit_code=ExitCode.FAILED)


def _chain(error: BaseException) -> list[BaseException]:
    """The error and those that it came of, newest first: torch says "exited unexpectedly" of a data-loader
    process, and of what in the error before."""
    links = [error]
    while len(links) < _LINKS_MOST:
        last = links[-1]
        before = last.__cause__ or (None if last.__suppress_context__ else last.__context__)
        if before is None or before in links:
            break
        links.append(before)
    return links


def _shorten(text: str) -> str:
    return " ".join(text.split())[:_MESSAGE_MAX]


def _diagnose_call(error: OSError) -> TrainerError | None:
    """What the number of a failed system call means; None where its text may say more."""
    if error.errno in DISK_FULL and _in_shared_memory(error):
        where = error.filename or _SHARED_MEMORY
        return TrainerError(
            Reason.SHARED_MEMORY_EXHAUSTED, f"no space left for {where}", exit_code=ExitCode.WORKER_KILLED
        )
    if error.errno in DISK_FULL:
        return from_os_error(error, error.filename or "the run volume", "write")
    if error.errno in VOLUME_UNAVAILABLE and error.filename:
        return from_os_error(error, error.filename, "use")
    if error.errno in DENIED and error.filename and not _is_of_the_system(error.filename):
        return from_os_error(error, error.filename, "use")
    if isinstance(error, ConnectionError):
        # No file: the other end of a pipe between processes of the training.
        message = f"a process of the training is gone: {error.strerror or error}"
        return TrainerError(Reason.WORKER_KILLED, message, exit_code=ExitCode.WORKER_KILLED, secondhand=True)
    if error.errno == errno.ENOMEM:
        return TrainerError(
            Reason.OOM_KILLED, "the training process ran out of memory", exit_code=ExitCode.WORKER_KILLED
        )
    return None


def _is_of_the_system(name: object) -> bool:
    """Devices and what the kernel shows of itself: no volume of ours, and no owner that could be changed."""
    return os.fsdecode(name).startswith(("/dev/", "/proc/", "/sys/"))  # type: ignore[arg-type]


def _in_shared_memory(error: OSError) -> bool:
    if error.filename:
        name = str(error.filename)
        return name.startswith((f"{_SHARED_MEMORY}/", "/torch_")) or name == _SHARED_MEMORY
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.filename.endswith(_SHARED_MEMORY_MODULES) for frame in frames)
