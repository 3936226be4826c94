"""What the real nvidia-ml-py reads from the stub: values, gaps, faults, and all of it while it changes."""

import ctypes
import json
import time
from collections.abc import Callable
from threading import Timer

import pynvml
import pytest

from simulated_gpus.scenario import Library, ScenarioFile, with_mig

GIB = 1 << 30


def _gpu(index: int = 0) -> pynvml.c_nvmlDevice_t:
    return pynvml.nvmlDeviceGetHandleByIndex(index)


def test_a_gpu_reads_as_its_scenario_says(nvml: ScenarioFile) -> None:
    nvml.change(
        lambda now: now.with_gpu(
            1,
            name="NVIDIA L4",
            memory_total="24GiB",
            memory_used="3GiB",
            utilisation=87,
            memory_utilisation=40,
        ).with_gpu(1, temperature=66, power=71.5, ecc_corrected=4, ecc_uncorrected=1, recovery_action=2)
    )
    assert pynvml.nvmlSystemGetDriverVersion() == "580.95.05"
    assert pynvml.nvmlDeviceGetCount() == 2
    gpu = _gpu(1)
    uuid = nvml.read().gpus[1].uuid
    assert pynvml.nvmlDeviceGetUUID(gpu) == uuid
    assert pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByUUID(uuid)) == uuid
    assert pynvml.nvmlDeviceGetName(gpu) == "NVIDIA L4"
    assert pynvml.nvmlDeviceGetPciInfo(gpu).busId == "00000000:02:00.0"
    memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
    assert (memory.total, memory.used, memory.free) == (24 * GIB, 3 * GIB, 21 * GIB)
    newer = pynvml.nvmlDeviceGetMemoryInfo(gpu, version=pynvml.nvmlMemory_v2)
    assert (newer.total, newer.reserved, newer.used) == (24 * GIB, 0, 3 * GIB)
    rates = pynvml.nvmlDeviceGetUtilizationRates(gpu)
    assert (rates.gpu, rates.memory) == (87, 40)
    assert pynvml.nvmlDeviceGetTemperatureV(gpu, pynvml.NVML_TEMPERATURE_GPU) == 66
    assert pynvml.nvmlDeviceGetPowerUsage(gpu) == 71500
    assert pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) == 1_000_000
    counters = [(kind, pynvml.nvmlDeviceGetTotalEccErrors(gpu, kind, 0)) for kind in (0, 1)]
    assert counters == [(pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, 4), (1, 1)]
    (action,) = pynvml.nvmlDeviceGetFieldValues(gpu, [pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION])
    assert (action.nvmlReturn, action.value.uiVal) == (0, pynvml.NVML_GPU_RECOVERY_ACTION_NODE_REBOOT)


READERS: dict[str, Callable[[pynvml.c_nvmlDevice_t], object]] = {
    "memory_used": pynvml.nvmlDeviceGetMemoryInfo,
    "utilisation": pynvml.nvmlDeviceGetUtilizationRates,
    "temperature": lambda gpu: pynvml.nvmlDeviceGetTemperatureV(gpu, 0),
    "power": pynvml.nvmlDeviceGetPowerUsage,
    "energy": pynvml.nvmlDeviceGetTotalEnergyConsumption,
    "processes": pynvml.nvmlDeviceGetComputeRunningProcesses,
    "ecc_corrected": lambda gpu: pynvml.nvmlDeviceGetTotalEccErrors(gpu, 0, 0),
    "mig_enabled": pynvml.nvmlDeviceGetMigMode,
}


@pytest.mark.parametrize("field", READERS)
def test_a_value_that_is_null_is_not_supported(nvml: ScenarioFile, field: str) -> None:
    nvml.change(lambda now: now.with_gpu(0, **{field: None}))
    with pytest.raises(pynvml.NVMLError_NotSupported):
        READERS[field](_gpu())


def test_a_field_value_that_is_null_is_not_supported(nvml: ScenarioFile) -> None:
    nvml.change(lambda now: now.with_gpu(0, recovery_action=None))
    (action,) = pynvml.nvmlDeviceGetFieldValues(_gpu(), [230])
    assert action.nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_processes_come_with_and_without_their_memory(nvml: ScenarioFile) -> None:
    assert pynvml.nvmlDeviceGetComputeRunningProcesses(_gpu()) == []
    many = [{"pid": 4000 + number, "memory": number * GIB} for number in range(1, 20)]
    others = [{"pid": 7, "memory": None}, {"pid": 8, "memory": 5, "kind": "graphics"}]
    nvml.change(lambda now: now.with_gpu(0, processes=[*many, *others]))
    found = pynvml.nvmlDeviceGetComputeRunningProcesses(_gpu())
    assert [(each.pid, each.usedGpuMemory) for each in found] == [
        *((each["pid"], each["memory"]) for each in many),
        (7, None),
    ]
    assert [each.pid for each in pynvml.nvmlDeviceGetGraphicsRunningProcesses(_gpu())] == [8]


@pytest.mark.parametrize(
    ("library", "error"),
    [
        (Library.MISSING, pynvml.NVMLError_LibraryNotFound),
        (Library.NOT_LOADED, pynvml.NVMLError_DriverNotLoaded),
        (Library.MISMATCH, pynvml.NVMLError_LibRmVersionMismatch),
    ],
)
def test_the_library_as_a_whole_fails(
    node: ScenarioFile, library: Library, error: type[pynvml.NVMLError]
) -> None:
    node.change(lambda now: now.with_values(library=library))
    with pytest.raises(error):
        pynvml.nvmlInit()
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()


def test_without_a_state_no_driver_is_loaded(node: ScenarioFile) -> None:
    node.path.unlink()
    with pytest.raises(pynvml.NVMLError_DriverNotLoaded):
        pynvml.nvmlInit()


def test_a_state_that_goes_or_is_no_json_is_an_error_and_no_crash(nvml: ScenarioFile) -> None:
    whole = nvml.path.read_text()
    for cut in range(0, len(whole), 7):
        nvml.path.write_text(whole[:cut])
        try:
            pynvml.nvmlDeviceGetName(_gpu())
            pynvml.nvmlDeviceGetComputeRunningProcesses(_gpu())
        except pynvml.NVMLError:
            pass
    nvml.path.write_text('{"gpus": [[[{"')
    with pytest.raises(pynvml.NVMLError):
        pynvml.nvmlDeviceGetName(_gpu())


def test_a_driver_may_be_too_old_for_a_function(nvml: ScenarioFile) -> None:
    nvml.change(lambda now: now.with_values(absent_functions=["nvmlDeviceGetTemperatureV"]))
    with pytest.raises(pynvml.NVMLError_FunctionNotFound):
        pynvml.nvmlDeviceGetTemperatureV(_gpu(), 0)
    assert pynvml.nvmlDeviceGetTemperature(_gpu(), 0) == 35


def test_a_wrong_version_word_is_refused(nvml: ScenarioFile) -> None:
    with pytest.raises(pynvml.NVMLError) as caught:
        pynvml.nvmlDeviceGetMemoryInfo(_gpu(), version=0x03000028)
    assert caught.value.value == 25
    asked = pynvml.c_nvmlTemperature_v1_t()
    asked.version = 0x0200000C
    call = pynvml._nvmlGetFunctionPointer("nvmlDeviceGetTemperatureV")
    assert call(_gpu(), ctypes.byref(asked)) == 25


def test_a_lost_gpu_says_so_and_the_other_does_not(nvml: ScenarioFile) -> None:
    lost = _gpu(0)
    nvml.change(lambda now: now.with_lost(0))
    assert pynvml.nvmlDeviceGetCount() == 2
    for call in (pynvml.nvmlDeviceGetUUID, *READERS.values()):
        with pytest.raises(pynvml.NVMLError_GpuIsLost):
            call(lost)
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        _gpu(0)
    assert pynvml.nvmlDeviceGetPowerUsage(_gpu(1)) == 70000
    nvml.change(lambda now: now.with_healed(0))
    assert pynvml.nvmlDeviceGetPowerUsage(lost) == 70000


def test_there_is_no_gpu_beyond_the_last(nvml: ScenarioFile) -> None:
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        _gpu(2)
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetHandleByUUID("GPU-of-somebody-else")


def test_an_xid_reaches_who_listens_at_once(nvml: ScenarioFile) -> None:
    nvml.change(lambda now: now.with_xid(1, 31))  # nobody listens yet
    events = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(_gpu(1), pynvml.nvmlEventTypeXidCriticalError, events)
    with pytest.raises(pynvml.NVMLError_Timeout):
        pynvml.nvmlEventSetWait_v2(events, 0)
    nvml.change(lambda now: now.with_xid(0, 13))  # of a GPU that is not listened to
    Timer(0.03, lambda: nvml.change(lambda now: now.with_xid(1, 94))).start()
    started = time.monotonic()
    event = pynvml.nvmlEventSetWait_v2(events, 10_000)
    assert time.monotonic() - started < 5
    assert (event.eventType, event.eventData) == (pynvml.nvmlEventTypeXidCriticalError, 94)
    assert pynvml.nvmlDeviceGetUUID(event.device) == nvml.read().gpus[1].uuid
    pynvml.nvmlEventSetFree(events)


def test_a_mig_device_knows_its_gpu(nvml: ScenarioFile) -> None:
    assert pynvml.nvmlDeviceGetMaxMigDeviceCount(_gpu(1)) == 0
    nvml.change(lambda now: with_mig(now, 1, ["3g.40gb", "1g.10gb"]))
    assert pynvml.nvmlDeviceGetMigMode(_gpu(1)) == [1, 1]
    assert pynvml.nvmlDeviceGetMaxMigDeviceCount(_gpu(1)) == 7
    part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(_gpu(1), 1)
    uuid = nvml.read().gpus[1].mig_devices[1].uuid
    assert pynvml.nvmlDeviceGetUUID(part) == uuid
    assert pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByUUID(uuid)) == uuid
    assert pynvml.nvmlDeviceGetName(part) == "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
    assert pynvml.nvmlDeviceGetMemoryInfo(part).total == 10 * 10**9
    whole = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part)
    assert pynvml.nvmlDeviceGetUUID(whole) == nvml.read().gpus[1].uuid
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetUtilizationRates(part)
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetMigDeviceHandleByIndex(_gpu(1), 2)


def test_any_layout_of_the_same_json_is_the_same_state(nvml: ScenarioFile) -> None:
    found = json.loads(nvml.path.read_text())
    for indent in (None, 4):
        nvml.path.write_text(json.dumps(found, indent=indent))
        assert pynvml.nvmlDeviceGetName(_gpu(1)) == "NVIDIA H100 80GB HBM3"
