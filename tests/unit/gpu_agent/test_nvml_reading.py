"""What the agent reads of GPUs, by the real nvidia-ml-py, while cards, driver and library misbehave."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pynvml
import pytest

from simulated_gpus.scenario import Library, Scenario, ScenarioFile, build_scenario, with_mig
from yolo_crds.gpus import Gap, GpuProcess, Health
from yolo_gpu_agent.nvml import GapError, Nvml
from yolo_gpu_agent.xids import XidListener

GIB = 1 << 30


def test_read_tells_all_that_the_driver_tells(node: ScenarioFile, nvml: Nvml) -> None:
    node.change(
        lambda now: now.with_gpu(
            1,
            name="NVIDIA L4",
            memory_total="24GiB",
            memory_used="3GiB",
            utilisation=87,
            processes=[{"pid": 4711, "memory": 2 * GIB}],
        ).with_gpu(1, temperature=66, power=71.5)
    )
    version, (first, got) = nvml.read()
    assert version == "580.95.05"
    assert (got.index, got.minor, got.uuid, got.name) == (1, 1, node.read().gpus[1].uuid, "NVIDIA L4")
    assert (got.memory_used, got.memory_total) == (3 * GIB, 24 * GIB)
    assert (got.utilization, got.temperature, got.power_draw, got.recovery_action) == (87, 66, 71.5, 0)
    assert got.processes == (GpuProcess(pid=4711, memory=2 * GIB, kind="compute"),)
    assert (first.index, first.health, first.processes) == (0, Health.OK, ())


FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"memory_used": None}, "memory_used"),
    ({"utilisation": None}, "utilization"),
    ({"temperature": None}, "temperature"),
    ({"power": None}, "power_draw"),
    ({"processes": None}, "processes"),
    ({"recovery_action": None}, "recovery_action"),
]


@pytest.mark.parametrize(("without", "field"), FIELDS, ids=[field for _, field in FIELDS])
def test_read_gives_none_for_what_a_card_lacks_and_keeps_the_rest(
    node: ScenarioFile, nvml: Nvml, without: dict[str, Any], field: str
) -> None:
    _, (before, _) = nvml.read()
    node.change(lambda now: now.with_gpu(0, **without))
    _, (after, _) = nvml.read()
    assert getattr(after, field) is None
    assert getattr(before, field) is not None
    assert (after.uuid, after.name, after.health) == (before.uuid, before.name, Health.OK)


@pytest.mark.parametrize(
    ("function", "field", "want"),
    [
        ("nvmlDeviceGetTemperatureV", "temperature", 35),
        ("nvmlDeviceGetMemoryInfo_v2", "memory_total", 80 * GIB),
        ("nvmlDeviceGetComputeRunningProcesses_v3", "processes", ()),
    ],
)
def test_read_does_with_an_old_driver(
    node: ScenarioFile, nvml: Nvml, function: str, field: str, want: object
) -> None:
    node.change(lambda now: now.with_values(absent_functions=[function]))
    _, (got, _) = nvml.read()
    assert getattr(got, field) == want


@pytest.mark.parametrize(
    ("library", "want"),
    [
        (Library.MISSING, Gap.LIBRARY_NOT_FOUND),
        (Library.NOT_LOADED, Gap.DRIVER_NOT_LOADED),
        (Library.MISMATCH, Gap.VERSION_MISMATCH),
    ],
)
def test_read_says_why_there_is_nothing_and_finds_it_later(
    node: ScenarioFile, nvml: Nvml, library: Library, want: Gap
) -> None:
    node.change(lambda now: now.with_values(library=library))
    with pytest.raises(GapError) as caught:
        nvml.read()
    assert caught.value.gap is want
    node.change(lambda now: now.with_values(library=Library.OK))
    assert len(nvml.read()[1]) == 2


def test_read_tells_a_node_without_gpus(node: ScenarioFile, nvml: Nvml) -> None:
    node.change(lambda now: now.with_values(gpus=[]))
    with pytest.raises(GapError) as caught:
        nvml.read()
    assert caught.value.gap is Gap.NO_GPUS


def test_a_mismatch_error_of_nvidias_module_is_no_nvml_error(
    nvml: Nvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a driver without a versioned function makes the module raise it."""
    assert not issubclass(pynvml.NVMLLibraryMismatchError, pynvml.NVMLError)

    def mismatched() -> None:
        raise pynvml.NVMLLibraryMismatchError("Unversioned function called")

    monkeypatch.setattr(pynvml, "nvmlInit", mismatched)
    with pytest.raises(GapError) as caught:
        nvml.read()
    assert caught.value.gap is Gap.OLD_DRIVER


def test_a_lost_gpu_stays_under_its_name(node: ScenarioFile, nvml: Nvml) -> None:
    _, (_, before) = nvml.read()
    node.change(lambda now: now.with_lost(1))
    _, (first, lost) = nvml.read()
    assert (lost.uuid, lost.name, lost.memory_total) == (before.uuid, before.name, before.memory_total)
    assert (lost.health, lost.memory_used, lost.utilization) == (Health.LOST, None, None)
    assert first.health is Health.OK
    node.change(lambda now: now.with_healed(1))
    assert nvml.read()[1][1].health is Health.OK


def test_a_gpu_that_the_driver_no_longer_counts_is_the_one_that_is_lost(
    node: ScenarioFile, nvml: Nvml
) -> None:
    """Indices move up then; it comes back under any."""
    node.change(lambda now: now.with_values(gpus=build_scenario("node-1", 3).gpus))
    _, before = nvml.read()
    first, second, third = (gpu.uuid for gpu in before)
    gone, *left = node.read().gpus
    node.change(lambda now: now.with_values(gpus=left))
    for _ in range(2):
        _, got = nvml.read()
        assert [(gpu.index, gpu.uuid, gpu.health) for gpu in got] == [
            (0, second, Health.OK),
            (1, third, Health.OK),
            (2, first, Health.LOST),
        ]
    node.change(lambda now: now.with_values(gpus=[left[0], gone, left[1]]))
    _, got = nvml.read()
    assert [(gpu.index, gpu.uuid, gpu.health) for gpu in got] == [
        (0, second, Health.OK),
        (1, first, Health.OK),
        (2, third, Health.OK),
    ]


def test_a_gpu_that_does_not_say_its_uuid_once_is_the_one_that_was_there(
    node: ScenarioFile, nvml: Nvml
) -> None:
    _, before = nvml.read()
    node.change(lambda now: now.with_values(absent_functions=["nvmlDeviceGetUUID"]))
    _, got = nvml.read()
    assert [(gpu.index, gpu.uuid, gpu.health) for gpu in got] == [
        (gpu.index, gpu.uuid, Health.OK) for gpu in before
    ]


def test_a_gpu_that_was_lost_before_anyone_looked_is_told_all_the_same(
    node: ScenarioFile, nvml: Nvml
) -> None:
    node.change(lambda now: now.with_lost(0))
    _, (lost, _) = nvml.read()
    assert (lost.index, lost.uuid, lost.health) == (0, None, Health.LOST)


def test_a_gpu_that_gets_lost_half_way_is_lost(
    node: ScenarioFile, nvml: Nvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    power = pynvml.nvmlDeviceGetPowerUsage

    def lose(handle: Any) -> int:
        node.change(lambda now: now.with_gpu(0, lost=True))
        return int(power(handle))

    monkeypatch.setattr(pynvml, "nvmlDeviceGetPowerUsage", lose)
    _, (lost, other) = nvml.read()
    assert (lost.health, other.health) == (Health.LOST, Health.OK)


@pytest.mark.parametrize(("action", "want"), [(0, Health.OK), (1, Health.FAULTY), (2, Health.FAULTY)])
def test_the_drivers_word_on_what_a_gpu_needs_is_its_health(
    node: ScenarioFile, nvml: Nvml, action: int, want: Health
) -> None:
    node.change(lambda now: now.with_gpu(0, recovery_action=action))
    assert nvml.read()[1][0].health is want


def test_mig_devices_are_told_with_their_gpu(node: ScenarioFile, nvml: Nvml) -> None:
    node.change(lambda now: with_mig(now, 0, ["3g.40gb", "1g.10gb"]))
    _, (gpu, other) = nvml.read()
    assert (gpu.mig_enabled, bool(other.mig_enabled)) == (True, False)
    assert [(part.uuid, part.gpu_instance, part.memory_total) for part in gpu.mig_devices] == [
        (part.uuid, place, part.memory_total) for place, part in enumerate(node.read().gpus[0].mig_devices, 1)
    ]


def test_mig_devices_tell_where_they_lie_to_who_may_know(node: ScenarioFile, nvml: Nvml) -> None:
    node.change(lambda now: with_mig(now, 0, ["3g.40gb", "1g.10gb"]))
    assert [(part.profile_id, part.placement) for part in nvml.read()[1][0].mig_devices] == [(None, None)] * 2
    places = [(9, 0), (19, 4)]

    def placed(now: Scenario) -> Scenario:
        parts = [
            part.model_dump() | {"profile_id": profile, "placement": start}
            for part, (profile, start) in zip(now.gpus[0].mig_devices, places, strict=True)
        ]
        return now.with_gpu(0, mig_devices=parts)

    node.change(placed)
    assert [(part.profile_id, part.placement) for part in nvml.read()[1][0].mig_devices] == places


def test_mig_devices_of_a_lost_gpu_stay_under_their_names(node: ScenarioFile, nvml: Nvml) -> None:
    node.change(lambda now: with_mig(now, 1, ["3g.40gb"]))
    (part,) = nvml.read()[1][1].mig_devices
    node.change(lambda now: now.with_lost(1))
    lost = nvml.read()[1][1]
    assert lost.mig_devices == (part.model_copy(update={"memory_used": None}),)


def test_xids_are_kept_and_mean_a_fault_where_the_driver_has_no_word(node: ScenarioFile) -> None:
    node.change(lambda now: now.with_gpu(0, recovery_action=None))
    xids = XidListener()
    nvml = Nvml(xids)
    xids.start()
    try:
        assert xids.listening.wait(10)
        node.change(lambda now: now.with_xid(0, 13))
        _until(lambda: [xid.code for xid in nvml.read()[1][0].xids] == [13])
        assert nvml.read()[1][0].health is Health.OK
        node.change(lambda now: now.with_xid(0, 48))
        _until(lambda: [xid.code for xid in nvml.read()[1][0].xids] == [13, 48])
        assert nvml.read()[1][0].health is Health.FAULTY
        assert nvml.read()[1][1].xids == ()
    finally:
        nvml.close()
        xids.stop()


def _reset(now: Scenario) -> Scenario:
    return now.with_gpu(0, energy=5)


RENEWALS: dict[str, list[Callable[[Scenario], Scenario]]] = {
    "reset": [_reset],
    "lost and back": [lambda now: now.with_lost(0), lambda now: now.with_healed(0)],
    "driver loaded anew": [
        lambda now: now.with_values(library=Library.NOT_LOADED),
        lambda now: now.with_values(library=Library.OK),
    ],
}
OTHERS: dict[str, list[Callable[[Scenario], Scenario]]] = {
    "used on": [lambda now: now.with_gpu(0, energy=2_000_000, utilisation=99)],
    "no energy counter any more": [lambda now: now.with_gpu(0, energy=None)],
    "another one reset": [lambda now: now.with_gpu(1, energy=5)],
    "the library once missing": [
        lambda now: now.with_values(library=Library.MISSING),
        lambda now: now.with_values(library=Library.OK),
    ],
}


@pytest.mark.parametrize(
    ("steps", "want"),
    [(steps, Health.OK) for steps in RENEWALS.values()]
    + [(steps, Health.FAULTY) for steps in OTHERS.values()],
    ids=[*RENEWALS, *OTHERS],
)
def test_a_fault_told_by_xid_is_over_once_the_gpu_was_set_up_anew(
    node: ScenarioFile, steps: list[Callable[[Scenario], Scenario]], want: Health
) -> None:
    node.change(lambda now: now.with_gpu(0, recovery_action=None))
    xids = XidListener()
    nvml = Nvml(xids)
    nvml.read()
    uuid = node.read().gpus[0].uuid
    xids.note(uuid, 48)
    assert nvml.read()[1][0].health is Health.FAULTY
    for step in steps:
        node.write(step(node.read()).with_gpu(0, recovery_action=None))
        nvml.close()  # the stub looks at the driver only when it is opened
        with suppress(GapError):
            nvml.read()
    got = nvml.read()[1][0]
    assert (got.health, [xid.code for xid in got.xids]) == (want, [48]), "what it told stays told"
    xids.note(uuid, 48)
    assert nvml.read()[1][0].health is Health.FAULTY
    nvml.close()


def test_a_gpu_that_came_back_tells_its_xids(node: ScenarioFile) -> None:
    node.change(lambda now: now.with_lost(1))
    xids = XidListener()
    nvml = Nvml(xids)
    xids.start()
    try:
        assert xids.listening.wait(10)
        assert nvml.read()[1][1].health is Health.LOST
        node.change(lambda now: now.with_healed(1))
        assert nvml.read()[1][1].health is Health.OK

        def told() -> bool:
            node.change(lambda now: now.with_xid(1, 31))
            return 31 in [xid.code for xid in nvml.read()[1][1].xids]

        _until(told)
    finally:
        nvml.close()
        xids.stop()


def test_a_driver_that_has_no_events_is_told_once_a_gpu(
    node: ScenarioFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As that of a virtual GPU."""
    monkeypatch.setattr("yolo_gpu_agent.xids._RETRY_SECONDS", 0.001)
    node.change(lambda now: now.with_values(absent_functions=["nvmlDeviceRegisterEvents"]))
    tries: list[int] = []
    count = pynvml.nvmlDeviceGetCount

    def counted() -> int:
        tries.append(count())
        return tries[-1]

    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", counted)
    xids = XidListener()
    with caplog.at_level("INFO"):
        xids.start()
        _until(lambda: len(tries) > 3)
        xids.stop()
    assert [record.message for record in caplog.records] == ["this GPU tells no Xids"] * 2


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)
