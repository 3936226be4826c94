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

from yolo_crds.conditions import HINTS, LIKE_A_GPU_FAULT, Reason
from yolo_crds.trainer import ExitCode
from yolo_crds.xids import describe, means_fault

from .outcome import Outcome

SILENCE_SECONDS = 60.0
"""So long a training may be silent after a fault of its GPU: it fails by itself within seconds, or hangs."""
_WAIT_MS = 500
_RETRY_SECONDS = 5.0
_LINGER_SECONDS = 1.0
_BY_A_FAULT = LIKE_A_GPU_FAULT | {Reason.GPU_FAULT}


@dataclass(frozen=True)
class Heard:
    """An Xid of a GPU, or (`code` None) that the driver cannot reach it any more."""

    code: int | None
    uuid: str

    @property
    def is_fault(self) -> bool:
        """Whether a new start of the program does not mend it."""
        return self.code is None or means_fault(self.code)

    def __str__(self) -> str:
        what = "the driver cannot reach it any more" if self.code is None else describe(self.code)
        return f"GPU {self.uuid}: {what}"


def blame(outcome: Outcome, heard: Iterable[Heard]) -> Outcome:
    """The outcome with what the driver told meanwhile: the cause, where a new start does not mend the GPU."""
    told = list(dict.fromkeys(heard))
    if outcome.ok or not told or outcome.reason not in _BY_A_FAULT:
        return outcome
    fault = next((one for one in told if one.is_fault), None)
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
        self._handles: dict[str, Any] = {}
        self._stop = threading.Event()
        self._spoke = threading.Event()
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

    def linger(self) -> None:
        """After a failure: the driver's word may come a moment after the program's end."""
        if self.listening.is_set() and not self._heard:
            self._spoke.wait(_LINGER_SECONDS)

    def _run(self) -> None:
        try:
            # Here, since only a pod with GPUs needs it.
            import pynvml
        except ImportError:
            return
        while not self._stop.is_set():
            # Whatever is wrong with the library: the training needs none of this.
            with contextlib.suppress(Exception):
                pynvml.nvmlInit()
                try:
                    self._listen(pynvml)
                finally:
                    self.listening.clear()
                    pynvml.nvmlShutdown()
            self._stop.wait(_RETRY_SECONDS)

    def _listen(self, nvml: Any) -> None:
        """Until it shall stop, or the driver no longer tells: then all is set up anew."""
        events = nvml.nvmlEventSetCreate()
        uuids: dict[int, str] = {}
        self._handles = {}
        for index in range(nvml.nvmlDeviceGetCount()):
            with contextlib.suppress(nvml.NVMLError):
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                uuid = nvml.nvmlDeviceGetUUID(handle)
                if _is_ours(uuid):
                    nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, events)
                    uuids[_address(handle)] = uuid
                    self._handles[uuid] = handle
        self.listening.set()
        while not self._stop.is_set():
            try:
                event = nvml.nvmlEventSetWait_v2(events, _WAIT_MS)
            except nvml.NVMLError_Timeout:
                continue
            except nvml.NVMLError_GpuIsLost:
                self._note_lost(nvml)
                raise
            uuid = uuids.get(_address(event.device), "")
            if uuid and event.eventType == nvml.nvmlEventTypeXidCriticalError:
                self._note(Heard(int(event.eventData), uuid))

    def _note_lost(self, nvml: Any) -> None:
        """Of the pod's GPUs those that answer with nothing else any more."""
        for uuid, handle in self._handles.items():
            try:
                nvml.nvmlDeviceGetUUID(handle)
            except nvml.NVMLError_GpuIsLost:
                self._note(Heard(None, uuid))
            except nvml.NVMLError:
                continue

    def _note(self, heard: Heard) -> None:
        if heard.code is not None or heard not in self._heard:
            self._heard.append(heard)
        self._spoke.set()


def _is_ours(uuid: str) -> bool:
    """Whether this GPU was given to the pod, where the runtime was told GPUs by their UUIDs."""
    given = [
        name for name in os.environ.get("NVIDIA_VISIBLE_DEVICES", "").split(",") if name.startswith("GPU-")
    ]
    return not given or uuid in given


def _address(handle: Any) -> int:
    import ctypes

    return ctypes.cast(handle, ctypes.c_void_p).value or 0
