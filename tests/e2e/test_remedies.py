"""What a failure changes for the next attempt, in real pods: from the words of kernel or torch to the end."""

import json
from typing import Any

import pytest

from demo.install import System
from e2e.trainings import end_training, finish_training, other_warnings, start_training

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TWO_CPUS = {"gpus": 0, "cpu": "1100m", "memory": "3Gi"}
"""A request of more than one CPU: as many data-loader processes as that, rounded up, may start."""


def _remedies(status: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    keys = ("reason", "argument", "before", "after")
    return [tuple(remedy[key] for key in keys) for remedy in status["remedies"]]


def test_small_shared_memory_trains_with_fewer_workers(system: System) -> None:
    """Two processes keep 9 MiB of batches ready, training and validation together; one half of that."""
    start_training(
        system,
        "e2e-small-shm",
        data={"train": "datasets/digits"},
        epochs=2,
        imgsz=256,
        batch=2,
        workers=2,
        cache="disk",
        resources=TWO_CPUS | {"sharedMemory": "6Mi"},
    )
    status = finish_training(system, "e2e-small-shm")
    first, *more = _remedies(status)
    assert first == ("SharedMemoryExhausted", "workers", "2", "1")
    assert more in ([], [("SharedMemoryExhausted", "workers", "1", "0")])
    assert status["printed"]["epoch"] == "2/2"
    assert not other_warnings(status), "images are cached on the node's disk, and resumed is what was saved"


COUNT = """
import os, time
from pathlib import Path
from yolo_trainer.cgroup import cpus, memory_limit

def parents():
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            yield int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            pass

end = time.monotonic() + 60
while (loaders := max(map(list(parents()).count, set(parents()) - {0, 1}), default=0)) < 2:
    assert time.monotonic() < end, "no data-loader processes"
    time.sleep(0.2)
print(cpus(), memory_limit(), loaders >= 2)
"""
"""Waits until the training process has two processes below it; prints what the pod may use."""


def test_workers_are_processes_and_the_pod_knows_its_own_cpus(system: System) -> None:
    start_training(
        system,
        "e2e-workers",
        data={"train": "datasets/digits"},
        epochs=500,
        batch=2,
        workers=2,
        resources=TWO_CPUS | {"sharedMemory": "64Mi"},
    )
    pod = _training_pod(system, "e2e-workers")
    told = system.kubectl("exec", pod, "--", "python", "-c", COUNT).split()
    assert told == ["2", str(3 << 30), "True"]
    system.kubectl("delete", "yt", "e2e-workers", "--wait=false")


def test_training_that_diverges_keeps_its_last_good_state(system: System) -> None:
    """On the CPU there is no mixed precision to switch off: nothing is tried again, and a person goes on."""
    data = {"train": "datasets/digits"}
    start_training(system, "e2e-nan", data=data, epochs=1)
    finish_training(system, "e2e-nan")

    too_large = {"box": 1e39}  # as a float of 32 bits: infinite
    resumed = {"run": 2, "resume": True}
    start_training(system, "e2e-nan", spec=resumed, data=data, epochs=3, hyperparameters=too_large)
    status = end_training(system, "e2e-nan", run=2)
    assert (status["failure"]["reason"], status["attempt"]) == ("Diverged", 1)
    assert "spec.resume" in status["failure"]["hint"]
    assert "remedies" not in status

    start_training(system, "e2e-nan", spec=resumed | {"run": 3}, data=data, epochs=3)
    status = finish_training(system, "e2e-nan", run=3)
    assert status["printed"]["epoch"] == "3/3"
    assert not other_warnings(status), "it goes on exactly where it was"


@pytest.mark.soak
def test_host_memory_trains_without_cache_and_with_fewer_workers(system: System) -> None:
    """The training takes 480 MiB, and 830 MiB with two data-loader processes and four for validation."""
    start_training(
        system,
        "e2e-host-oom",
        spec={"lifecycle": {"maxRestarts": 5}},
        data={"train": "datasets/digits"},
        imgsz=256,
        batch=2,
        workers=2,
        cache="ram",
        resources=TWO_CPUS | {"memory": "700Mi", "sharedMemory": "64Mi"},
    )
    status = finish_training(system, "e2e-host-oom")
    first, *more = _remedies(status)
    assert first == ("OOMKilled", "cache", "ram", "none")
    assert more in (
        [("OOMKilled", "workers", "2", "1")],
        [("OOMKilled", "workers", "2", "1"), ("OOMKilled", "workers", "1", "0")],
    )


def _training_pod(system: System, name: str) -> str:
    """Its running pod, once it trains."""
    selector = f"yolo.training/training={name},yolo.training/stage=train"
    system.kubectl("wait", "--for=create", "pod", "-l", selector, "--timeout=120s")
    system.kubectl("wait", "--for=condition=Ready", "pod", "-l", selector, "--timeout=120s")
    (pod,) = json.loads(system.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
    return str(pod["metadata"]["name"])
