"""What texts of torch, CUDA and the kernel mean: every row of the table, and what numbers of calls say."""

from __future__ import annotations

import errno
import multiprocessing
import os
from multiprocessing import synchronize

import pytest

from yolo_crds.conditions import REMEDIABLE, RETRYABLE, Reason
from yolo_crds.trainer import ExitCode
from yolo_trainer.errors import VOLUME_UNAVAILABLE, TrainerError, VolumeUnavailableError, from_os_error
from yolo_trainer.process.diagnosis import CAUSES, diagnose
from yolo_trainer.process.texts import Cause, Text

ROWS = [(cause, text) for cause in CAUSES for text in cause.texts]


def test_table_is_large_and_names_its_sources() -> None:
    assert len(ROWS) >= 30
    assert all(text.source for _, text in ROWS)
    assert len({text.example for _, text in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("cause", "text"), ROWS, ids=[text.example[:60] for _, text in ROWS])
def test_each_text_is_diagnosed_as_its_cause(cause: Cause, text: Text) -> None:
    kind, _, words = text.example.partition(": ")
    found = diagnose(type(kind, (Exception,), {})(words) if words else Exception(kind))

    assert (found.reason, found.exit_code) == (cause.reason, cause.exit_code)
    assert found.secondhand == cause.secondhand
    if cause.hint:
        assert found.hint == cause.hint


NO_SPACE = "No space left on device"


@pytest.mark.parametrize(
    ("error", "want"),
    [
        (
            RuntimeError(f"unable to write to file </torch_4711_13_3>: {NO_SPACE} (28)"),
            "SharedMemoryExhausted",
        ),
        (OSError(errno.ENOSPC, NO_SPACE, "/dev/shm/pym-4711-ab12cd"), "SharedMemoryExhausted"),
        (OSError(errno.ENOSPC, NO_SPACE, "/runs/train/dots/.attempts/x/state.pt"), "DiskFull"),
        (OSError(errno.ENOSPC, NO_SPACE), "DiskFull"),
        (RuntimeError("PytorchStreamWriter failed writing file data/12: file write failed"), "DiskFull"),
        (RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"), "CudaOutOfMemory"),
        (RuntimeError("GET was unable to find an engine to execute this computation"), "CudaOutOfMemory"),
        (
            RuntimeError(
                "CUDA error: device-side assert triggered\n"
                "CUDA kernel errors might be asynchronously reported"
            ),
            "TrainingFailed",
        ),
        (
            RuntimeError("CUDA unknown error - this may be due to an incorrectly set up environment"),
            "GpuFault",
        ),
        (
            RuntimeError("The NVIDIA driver on your system is too old (found version 11040)."),
            "NoAccelerator",
        ),
        (
            RuntimeError("CUDA error: no kernel image is available for execution on the device"),
            "NoAccelerator",
        ),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
            "CudaOutOfMemory",
        ),
        (OSError(errno.ESTALE, os.strerror(errno.ESTALE), "/data/prepared/x"), "VolumeUnavailable"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "VolumeUnavailable"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "WorkerKilled"),
        (MemoryError(), "OOMKilled"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "OOMKilled"),
        (OSError(errno.ENOENT, "No such file or directory", "/data/x"), "TrainingFailed"),
    ],
)
def test_diagnose_tells_the_cause_rather_than_the_words(error: Exception, want: str) -> None:
    assert diagnose(error).reason == want


def test_device_side_assert_names_labels_and_is_not_tried_again() -> None:
    found = diagnose(RuntimeError("CUDA error: device-side assert triggered"))

    assert "labels" in str(found.hint)
    assert found.reason not in RETRYABLE | REMEDIABLE


def test_semaphore_without_room_is_shared_memory_though_no_file_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, NO_SPACE)

    monkeypatch.setattr(synchronize._multiprocessing, "SemLock", fail)  # type: ignore[attr-defined]
    with pytest.raises(OSError, match=NO_SPACE) as error:
        synchronize.Lock(ctx=multiprocessing.get_context())

    assert diagnose(error.value).reason is Reason.SHARED_MEMORY_EXHAUSTED


@pytest.mark.parametrize("number", sorted(VOLUME_UNAVAILABLE))
def test_volume_that_does_not_answer_is_worth_another_attempt(number: int) -> None:
    found = from_os_error(OSError(number, os.strerror(number)), "/runs/.owner.json", "read")

    assert isinstance(found, VolumeUnavailableError)
    assert found.reason in RETRYABLE
    assert found.exit_code is ExitCode.VOLUME_UNAVAILABLE


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR])
def test_volume_that_answers_no_is_final(number: int) -> None:
    found = from_os_error(OSError(number, os.strerror(number)), "/runs", "write")

    assert found.reason is Reason.VOLUME_FAILED
    assert found.reason not in RETRYABLE


def test_error_that_another_came_of_says_more() -> None:
    """As torch 2.6 tells a full /dev/shm, seen in a pod with 4 MiB of it."""
    error = RuntimeError("DataLoader worker (pid(s) 185) exited unexpectedly")
    error.__cause__ = RuntimeError("DataLoader worker (pid 185) is killed by signal: Bus error.")

    found = diagnose(error)
    assert found.reason is Reason.SHARED_MEMORY_EXHAUSTED
    assert "Bus error" in found.message


@pytest.mark.parametrize(("suppressed", "want"), [(True, "TrainingFailed"), (False, "CudaOutOfMemory")])
def test_error_that_was_handled_on_purpose_says_nothing(suppressed: bool, want: str) -> None:
    error = ValueError("something is wrong")
    error.__context__ = RuntimeError("CUDA out of memory")
    error.__suppress_context__ = suppressed

    assert diagnose(error).reason == want


def test_errors_that_came_of_each_other_have_an_end() -> None:
    error, other = ValueError("one"), ValueError("two")
    error.__context__, other.__context__ = other, error

    assert diagnose(error).message == "ValueError: one"


def test_an_expected_failure_stays_as_it_is() -> None:
    error = TrainerError(Reason.DIVERGED, "No space left on device")

    assert diagnose(error) is error
