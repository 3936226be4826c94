"""Xids of the pod's GPUs, by the real nvidia-ml-py on the stub of NVML: heard, told, blamed at the end."""

import os
import threading

import pynvml
import pytest

from cluster.api import wait_for
from simulated_gpus.fixtures import node
from simulated_gpus.scenario import ScenarioFile
from yolo_crds.conditions import Reason
from yolo_crds.trainer import ExitCode
from yolo_crds.training import Resources, Template
from yolo_trainer.supervise import gpu_events
from yolo_trainer.supervise.gpu_events import GpuEvents, Heard, blame
from yolo_trainer.supervise.outcome import Outcome

from .test_supervisor_run import Runner, runner, stop

__all__ = ["node", "runner", "stop"]

KILLED = Outcome(ExitCode.WORKER_KILLED, Reason.WORKER_KILLED, "the training process was killed by signal 9")
OFF_THE_BUS, PAGE_FAULT = Heard(79, "GPU-a"), Heard(31, "GPU-a")


@pytest.mark.parametrize(
    ("outcome", "heard", "reason", "message"),
    [
        (KILLED, [], Reason.WORKER_KILLED, KILLED.message),
        (
            KILLED,
            [PAGE_FAULT, OFF_THE_BUS],
            Reason.GPU_FAULT,
            "GPU GPU-a: Xid 79 (it has fallen off the bus: the node needs a restart or a repair); the "
            "training then ended so: the training process was killed by signal 9",
        ),
        (
            KILLED,
            [PAGE_FAULT, PAGE_FAULT],
            Reason.WORKER_KILLED,
            "the training process was killed by signal 9 (GPU GPU-a: Xid 31 (memory page fault))",
        ),
        (Outcome(ExitCode.DONE), [OFF_THE_BUS], None, ""),
        (Outcome(ExitCode.DISK_FULL, Reason.DISK_FULL, "full"), [OFF_THE_BUS], Reason.DISK_FULL, "full"),
        (
            Outcome(ExitCode.INTERRUPTED, Reason.INTERRUPTED, "asked"),
            [OFF_THE_BUS],
            Reason.INTERRUPTED,
            "asked",
        ),
    ],
)
def test_blame(outcome: Outcome, heard: list[Heard], reason: Reason | None, message: str) -> None:
    blamed = blame(outcome, heard)
    assert (blamed.reason, blamed.message) == (reason, message)
    assert blamed.exit_code is (ExitCode.GPU_FAULT if reason is Reason.GPU_FAULT else outcome.exit_code)


def test_only_the_pods_own_gpus_are_heard(node: ScenarioFile, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = node.read().gpus[1].uuid
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", mine)
    with GpuEvents() as events:
        assert events.listening.wait(20)
        node.change(lambda now: now.with_xid(0, 79))
        node.change(lambda now: now.with_xid(1, 48))
        wait_for("the Xid", lambda: bool(events.heard), 20)
    assert events.news() == [Heard(48, mine)]
    assert events.news() == []


def test_a_gpu_that_the_driver_cannot_reach_any_more_is_told_and_the_others_are_heard_again(
    node: ScenarioFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, other = (gpu.uuid for gpu in node.read().gpus)
    lost = threading.Event()
    wait = pynvml.nvmlEventSetWait_v2

    def wait_or_tell(*arguments: object) -> object:
        if lost.is_set():
            lost.clear()
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return wait(*arguments)

    monkeypatch.setattr(pynvml, "nvmlEventSetWait_v2", wait_or_tell)
    monkeypatch.setattr(gpu_events, "_RETRY_SECONDS", 0.05)
    with GpuEvents() as events:
        assert events.listening.wait(20)
        node.change(lambda now: now.with_gpu(0, lost=True))
        lost.set()
        wait_for("the loss", lambda: bool(events.heard), 20)
        assert events.heard == (Heard(None, gone),)
        assert events.listening.wait(20)

        def hears_again() -> bool:
            node.change(lambda now: now.with_xid(1, 31))
            return Heard(31, other) in events.heard

        wait_for("the other GPU", hears_again, 20)
    assert str(Heard(None, gone)) == f"GPU {gone}: the driver cannot reach it any more"
    assert blame(KILLED, events.heard).reason is Reason.GPU_FAULT


def test_without_a_library_nothing_is_heard_and_nothing_fails(node: ScenarioFile) -> None:
    with GpuEvents(wanted=False) as events:
        assert not events.listening.wait(0.1)
    assert events.heard == ()


def test_a_worker_that_dies_after_its_gpu_has_failed_is_a_gpu_fault(
    runner: Runner, node: ScenarioFile
) -> None:
    uuid = node.read().gpus[0].uuid
    worker = f"""
    from pathlib import Path
    from simulated_gpus.scenario import ScenarioFile
    file, log = ScenarioFile(Path({os.fspath(node.path)!r})), Path({os.fspath(runner.folder.err_log)!r})
    report.epoch_started(1, 2, 4)
    while not log.exists() or "Xid 79" not in log.read_text():
        file.change(lambda now: now.with_xid(0, 79))
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    template = Template(model="yolo11n.yaml", data={"train": "d"}, resources=Resources(gpus=1))
    assert runner.run(worker, template=template) is ExitCode.GPU_FAULT
    assert runner.result.reason is Reason.GPU_FAULT
    assert f"GPU {uuid}: Xid 79" in runner.message.message
    assert any("Xid 79" in warning for warning in runner.result.warnings)
    assert '"warning":"GPU ' in runner.out, "told while it ran"
