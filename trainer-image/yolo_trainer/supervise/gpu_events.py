"""What the driver tells about the pod's own GPUs while a training holds them: Xid events.

The pod hears them itself, through the NVML library that comes with its GPUs: no agent and no right is needed,
and whose fault it was is known where the training ends. Where there is no such library nothing is heard.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

from yolo_crds.conditions import HINTS, Reason
from yolo_crds.trainer import ExitCode
from yolo_crds.xids import describe, means_fault

from .outcome import Outcome

SILENCE_SECONDS = 60.0
"""So long a training may be silent after a fault of its GPU: it fails by itself within seconds, or hangs."""
_WAIT_MS = 500
_BY_A_FAULT = frozenset(
    {
        Reason.GPU_FAULT,
        Reason.HUNG,
        Reason.INTERNAL_ERROR,
        Reason.NO_ACCELERATOR,
        Reason.PEER_LOST,
        Reason.TRAINING_FAILED,
        Reason.WORKER_KILLED,
    }
)
"""What a training looks like that a GPU has failed."""


@dataclass(frozen=True)
class Heard:
    """An Xid of a GPU."""

    code: int
    uuid: str

    def __str__(self) -> str:
        return f"GPU {self.uuid}: {describe(self.code)}"


def blame(outcome: Outcome, heard: Iterable[Heard]) -> Outcome:
    """The outcome with what the driver told meanwhile: the cause, where a new start does not mend the GPU."""
    told = list(dict.fromkeys(heard))
    if outcome.ok or not told or outcome.reason not in _BY_A_FAULT:
        return outcome
    fault = next((one for one in told if means_fault(one.code)), None)
    if fault is None:
        return replace(outcome, message=f"{outcome.message} ({told[0]})")
    message = f"{fault}; the training then ended so: {outcome.message}"
    return Outcome(ExitCode.GPU_FAULT, Reason.GPU_FAULT, message, HINTS.get(Reason.GPU_FAULT))


class GpuEvents:
    """Listens in a thread of its own while it is entered; NVML may hang there as long as it likes."""

    def __init__(self, *, wanted: bool = True) -> None:
        """Without being `wanted`, as where no GPU is held, it hears nothing."""
        self._heard: list[Heard] = []
        self._told = 0
        self._wanted = wanted
        self._stop = threading.Event()
        self.listening = threading.Event()
        """Set while the driver tells this process."""

    def __enter__(self) -> Self:
        if self._wanted:
            threading.Thread(target=self._run, name="gpu-events", daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()

    @property
    def heard(self) -> tuple[Heard, ...]:
        """All so far, oldest first."""
        return tuple(self._heard)

    def news(self) -> list[Heard]:
        """Those that were not handed out before."""
        new = self._heard[self._told :]
        self._told += len(new)
        return new

    def _run(self) -> None:
        # Here, since only a pod with GPUs needs it. Whatever is wrong with the library, nothing is heard.
        with contextlib.suppress(Exception):
            import pynvml

            pynvml.nvmlInit()
            self._listen(pynvml)

    def _listen(self, nvml: Any) -> None:
        events = nvml.nvmlEventSetCreate()
        uuids: dict[int, str] = {}
        for index in range(nvml.nvmlDeviceGetCount()):
            with contextlib.suppress(nvml.NVMLError):
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                uuid = nvml.nvmlDeviceGetUUID(handle)
                if _is_ours(uuid):
                    nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, events)
                    uuids[_address(handle)] = uuid
        self.listening.set()
        while not self._stop.is_set():
            try:
                event = nvml.nvmlEventSetWait_v2(events, _WAIT_MS)
            except nvml.NVMLError_Timeout:
                continue
            uuid = uuids.get(_address(event.device))
            if uuid and event.eventType == nvml.nvmlEventTypeXidCriticalError:
                self._heard.append(Heard(int(event.eventData), uuid))


def _is_ours(uuid: str) -> bool:
    """Whether this GPU was given to the pod, where the runtime was told GPUs by their UUIDs."""
    given = [
        name for name in os.environ.get("NVIDIA_VISIBLE_DEVICES", "").split(",") if name.startswith("GPU-")
    ]
    return not given or uuid in given


def _address(handle: Any) -> int:
    import ctypes

    return ctypes.cast(handle, ctypes.c_void_p).value or 0
