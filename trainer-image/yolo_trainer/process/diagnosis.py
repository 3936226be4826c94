"""What an exception of torch or Ultralytics means, by type and text: a reason, a sentence, an exit code."""

from __future__ import annotations

import errno
import re

from yolo_crds.conditions import Reason
from yolo_crds.trainer import ExitCode

from ..errors import TrainerError, from_os_error

_MEANINGS: tuple[tuple[str, Reason, ExitCode], ...] = (
    (
        r"No space left on device|PytorchStreamWriter failed writing|Disk quota exceeded",
        Reason.DISK_FULL,
        ExitCode.DISK_FULL,
    ),
    (
        r"CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED",
        Reason.CUDA_OUT_OF_MEMORY,
        ExitCode.FAILED,
    ),
    (
        r"bus error|out of shared memory|insufficient shared memory|unable to (?:mmap|allocate).*shm",
        Reason.SHARED_MEMORY_EXHAUSTED,
        ExitCode.WORKER_KILLED,
    ),
    (
        r"DataLoader worker .* (?:is killed by signal: Killed|exited unexpectedly)|BrokenProcessPool",
        Reason.WORKER_KILLED,
        ExitCode.WORKER_KILLED,
    ),
    (
        r"uncorrectable ECC|GPU has fallen off|unspecified launch failure|illegal memory access"
        r"|hardware stack error|device-side assert|CUDA error: (?:unknown error|an illegal instruction)"
        r"|NCCL.*(?:unhandled cuda error|Xid)",
        Reason.GPU_FAULT,
        ExitCode.GPU_FAULT,
    ),
    (
        r"No CUDA GPUs are available|no NVIDIA driver|Invalid CUDA 'device=",
        Reason.NO_ACCELERATOR,
        ExitCode.NO_ACCELERATOR,
    ),
    (
        r"Dataset '.*' (?:error|images not found)|No valid images found|No labels found",
        Reason.INVALID_DATA,
        ExitCode.DATA,
    ),
)
"""Texts of torch 2.x, CUDA, NCCL and Ultralytics 8.4; the first that is found decides."""


def diagnose(error: BaseException, otherwise: Reason = Reason.TRAINING_FAILED) -> TrainerError:
    """The domain error that stands for any exception of a worker; `otherwise` when nothing is known of it."""
    if isinstance(error, TrainerError):
        return error
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return from_os_error(error, error.filename or "the run volume", "write")
    text = f"{type(error).__name__}: {error}"
    short = " ".join(text.split())[:500]
    for pattern, reason, code in _MEANINGS:
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            return TrainerError(reason, short, exit_code=code)
    if isinstance(error, MemoryError):
        return TrainerError(
            Reason.OOM_KILLED, "the training process ran out of memory", exit_code=ExitCode.WORKER_KILLED
        )
    return TrainerError(otherwise, short, exit_code=ExitCode.FAILED)
