"""Reads GPUs through NVIDIA's NVML. What one card, driver or field cannot tell is None, never an end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import pynvml

from yolo_crds.gpus import Gap, Gpu, GpuProcess, Health, MigDevice, Xid
from yolo_crds.xids import means_fault

from .history import History
from .xids import XidListener

logger = logging.getLogger(__name__)
Value = TypeVar("Value")

# NVMLLibraryMismatchError is no NVMLError: an old driver without a versioned function raises it.
UNANSWERED = (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError, UnicodeDecodeError)
_TOO_OLD = "the driver lacks functions of NVML that this agent needs: it is too old"
_GAPS: dict[int, tuple[Gap, str]] = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
        Gap.LIBRARY_NOT_FOUND,
        "no libnvidia-ml.so.1 in this container: the node has no NVIDIA driver, or its container runtime "
        "does not bring it in (gpuAgent.runtimeClassName)",
    ),
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: (
        Gap.DRIVER_NOT_LOADED,
        "the NVIDIA driver is not loaded on this node, or its devices are not in this container",
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        Gap.VERSION_MISMATCH,
        "the NVIDIA library and the loaded driver are of different versions, as after an upgrade: restart "
        "this pod, or the node",
    ),
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: (Gap.OLD_DRIVER, _TOO_OLD),
    pynvml.NVML_ERROR_NO_PERMISSION: (
        Gap.NO_PERMISSION,
        "the NVIDIA driver refuses this container: its devices are not allowed to it",
    ),
}


class GapError(Exception):
    """NVML as a whole does not answer."""

    def __init__(self, gap: Gap, message: str) -> None:
        super().__init__(message)
        self.gap = gap


def to_gap(error: Exception) -> GapError:
    """An error of NVML as a whole, in words for who runs the node."""
    if isinstance(error, pynvml.NVMLLibraryMismatchError):
        return GapError(Gap.OLD_DRIVER, _TOO_OLD)
    code = getattr(error, "value", None)
    gap, message = _GAPS.get(code, (Gap.ERROR, f"NVML answers: {error}")) if code else (Gap.ERROR, str(error))
    return GapError(gap, message)


class Nvml:
    """The node's GPUs. Not for several threads at once."""

    def __init__(self, xids: XidListener) -> None:
        self._xids = xids
        self._initialized = False
        self._known: list[Gpu] = []
        """As last read: who a GPU was, once it no longer answers."""
        self._history = History()

    def read(self) -> tuple[str | None, list[Gpu]]:
        """The driver's version and all GPUs, also those that were there before and are lost.

        Raises GapError when there is nothing to read.
        """
        begun = datetime.now(UTC)
        try:
            if not self._initialized:
                pynvml.nvmlInit()
                self._initialized = True
            count = pynvml.nvmlDeviceGetCount()
        except UNANSWERED as error:
            self.close()
            gap = to_gap(error)
            if gap.gap is Gap.DRIVER_NOT_LOADED:
                self._history.forget_states()
            raise gap from error
        seen, energies = self._read_gpus(count)
        self._history.note(seen, energies, begun)
        gpus = [self._judge(gpu) for gpu in seen]
        if not gpus:
            raise GapError(Gap.NO_GPUS, "the NVIDIA driver knows no GPU on this node")
        if self._known and _well(gpus) - _well(self._known):
            self._xids.renew()
        self._known = gpus
        return _Card().ask(pynvml.nvmlSystemGetDriverVersion), gpus

    def close(self) -> None:
        """Lets go of NVML; the next read begins anew."""
        if not self._initialized:
            return
        self._initialized = False
        try:
            pynvml.nvmlShutdown()
        except UNANSWERED:
            logger.debug("NVML cannot be shut down", exc_info=True)

    def _read_gpus(self, count: int) -> tuple[list[Gpu], dict[str, int]]:
        """In the order of their indices: those that answer, under the names that they had those that do not,
        and at the end those that the driver no longer counts; when it does not, others take their indices.
        And by UUID the energy that each has used, in millijoules.
        """
        gpus: dict[int, Gpu] = {}
        energies: dict[str, int] = {}
        silent: dict[int, Health] = {}
        for index in range(count):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                gpus[index] = read_gpu(index, handle)
                energy = _Card().ask(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle)
                if energy is not None:
                    energies[gpus[index].uuid or ""] = energy
            except UNANSWERED as error:
                gone = isinstance(error, (pynvml.NVMLError_GpuIsLost, pynvml.NVMLError_InvalidArgument))
                silent[index] = Health.LOST if gone else Health.FAULTY
        here = {gpu.uuid for gpu in gpus.values()}
        missing = {gpu.index: gpu for gpu in self._known if gpu.uuid and gpu.uuid not in here}
        for index in gpus.keys() & missing.keys():
            if gpus[index].uuid is None:  # it did not say so this time
                gpus[index] = gpus[index].model_copy(update={"uuid": missing.pop(index).uuid})
        for index, health in silent.items():
            gpus[index] = _lost(missing.pop(index, Gpu(index=index)), index, health)
        for index, gpu in enumerate(missing.values(), count):
            gpus[index] = _lost(gpu, index, Health.LOST)
        return [gpus[index] for index in sorted(gpus)], energies

    def _judge(self, gpu: Gpu) -> Gpu:
        """With the Xids that it told, and what those mean that it told in the state that it is in."""
        xids = self._xids.of(gpu.uuid)
        since = self._history.since(gpu.uuid)
        current = [xid for xid in xids if since is None or xid.at > since]
        faulty = gpu.health is Health.OK and _needs_help(gpu.recovery_action, current)
        return gpu.model_copy(update={"xids": xids, "health": Health.FAULTY if faulty else gpu.health})


def _well(gpus: Iterable[Gpu]) -> set[str | None]:
    return {gpu.uuid for gpu in gpus if gpu.health is Health.OK}


def _lost(known: Gpu, index: int, health: Health) -> Gpu:
    """What is still known of a GPU that does not answer: who it was, and how much memory it had."""
    return Gpu(
        index=index,
        minor=known.minor,
        uuid=known.uuid,
        name=known.name,
        memory_total=known.memory_total,
        mig_enabled=known.mig_enabled,
        mig_devices=tuple(part.model_copy(update={"memory_used": None}) for part in known.mig_devices),
        health=health,
    )


def _needs_help(recovery_action: int | None, xids: Iterable[Xid]) -> bool:
    """Whether the GPU cannot go on as it is: the driver's own word where it has one, else what it told."""
    if recovery_action is not None:
        return recovery_action != 0
    return any(means_fault(xid.code) for xid in xids)


@dataclass
class _Card:
    """Asks one card, field by field."""

    needs_reset: bool = False

    def ask(self, call: Callable[..., Value], *arguments: Any) -> Value | None:
        """What it answers; None where it cannot. Raises NVMLError_GpuIsLost."""
        try:
            return call(*arguments)
        except pynvml.NVMLError_GpuIsLost:
            raise
        except pynvml.NVMLError_ResetRequired:
            self.needs_reset = True
        except UNANSWERED:
            pass
        return None


def read_gpu(index: int, handle: Any) -> Gpu:
    """One GPU. Raises NVMLError_GpuIsLost, also when it gets lost half-way."""
    card = _Card()
    memory = _memory(card, handle)
    rates = card.ask(pynvml.nvmlDeviceGetUtilizationRates, handle)
    power = card.ask(pynvml.nvmlDeviceGetPowerUsage, handle)
    mig = card.ask(pynvml.nvmlDeviceGetMigMode, handle)
    gpu = Gpu(
        index=index,
        minor=card.ask(pynvml.nvmlDeviceGetMinorNumber, handle),
        uuid=card.ask(pynvml.nvmlDeviceGetUUID, handle),
        name=card.ask(pynvml.nvmlDeviceGetName, handle),
        memory_used=memory and memory.used,
        memory_total=memory and memory.total,
        utilization=rates and rates.gpu,
        temperature=_temperature(card, handle),
        power_draw=None if power is None else power / 1000,
        recovery_action=_recovery_action(card, handle),
        processes=_processes(card, handle),
        mig_enabled=None if mig is None else bool(mig[0]),
        mig_devices=tuple(_mig_devices(card, handle)) if mig and mig[0] else (),
    )
    return gpu.model_copy(update={"health": Health.FAULTY}) if card.needs_reset else gpu


def _memory(card: _Card, handle: Any) -> Any:
    """As nvidia-smi counts it: without what the driver keeps for itself, where it tells that apart."""
    newer = card.ask(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2)
    return newer or card.ask(pynvml.nvmlDeviceGetMemoryInfo, handle)


def _temperature(card: _Card, handle: Any) -> int | None:
    sensor = pynvml.NVML_TEMPERATURE_GPU
    newer = card.ask(pynvml.nvmlDeviceGetTemperatureV, handle, sensor)
    return newer if newer is not None else card.ask(pynvml.nvmlDeviceGetTemperature, handle, sensor)


def _recovery_action(card: _Card, handle: Any) -> int | None:
    values = card.ask(pynvml.nvmlDeviceGetFieldValues, handle, [pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION])
    if values is None or values[0].nvmlReturn != pynvml.NVML_SUCCESS:
        return None
    return int(values[0].value.uiVal)


def _processes(card: _Card, handle: Any) -> tuple[GpuProcess, ...] | None:
    """Those that the driver shows here: all of the node's, or with newer ones none of other containers'."""
    calls = {
        "compute": pynvml.nvmlDeviceGetComputeRunningProcesses,
        "graphics": pynvml.nvmlDeviceGetGraphicsRunningProcesses,
    }
    answers = {kind: card.ask(call, handle) for kind, call in calls.items()}
    if all(answer is None for answer in answers.values()):
        return None
    return tuple(
        GpuProcess(pid=process.pid, memory=process.usedGpuMemory, kind=kind)
        for kind, answer in answers.items()
        for process in answer or ()
    )


def _mig_devices(card: _Card, handle: Any) -> Iterator[MigDevice]:
    """The parts that exist: their places may have holes."""
    for place in range(card.ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        part = card.ask(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, place)
        uuid = None if part is None else card.ask(pynvml.nvmlDeviceGetUUID, part)
        if uuid is None:
            continue
        memory = _memory(card, part)
        number = card.ask(pynvml.nvmlDeviceGetGpuInstanceId, part)
        instance = None if number is None else card.ask(pynvml.nvmlDeviceGetGpuInstanceById, handle, number)
        info = None if instance is None else card.ask(pynvml.nvmlGpuInstanceGetInfo, instance)
        yield MigDevice(
            uuid=uuid,
            name=card.ask(pynvml.nvmlDeviceGetName, part),
            gpu_instance=number,
            profile_id=None if info is None else info.profileId,
            placement=None if info is None else info.placement.start,
            memory_used=memory and memory.used,
            memory_total=memory and memory.total,
        )
