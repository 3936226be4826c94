"""Trainings in a queue of the real Kueue, on a real node: who waits, who goes first, what a victim keeps."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import Cluster
from cluster.api import wait_for
from cluster.ports import free_port
from cluster.queues import Queues, build_priority_class
from demo.digits import make_pictures, write_yolo_folder
from demo.install import System
from demo.system import QUEUE, bring_up
from e2e.trainings import finish_training, start_training, volume_folder

pytestmark = [pytest.mark.queue, pytest.mark.timeout(600)]

NAME = "test-queue-node"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The chart installed beside Kueue, whose queue lets one training run at a time."""
    cluster = Cluster(NAME)
    cluster.down()
    system = bring_up(NAME, port=free_port(), values=[f"trainer.queueName={QUEUE}"], kueue=True)
    Queues(cluster).apply(build_priority_class("urgent", 1000))
    folder = tmp_path_factory.mktemp("data")
    pictures = {"train": list(make_pictures("train", 16)), "val": list(make_pictures("val", 8))}
    write_yolo_folder(folder, "digits", pictures)
    system.put_folder(folder)
    yield system
    cluster.down()


def _status(system: System, name: str) -> dict[str, Any]:
    status: dict[str, Any] = system.training(name).get("status", {})
    return status


def _wait(system: System, name: str, phase: str, reason: str | None = None, epoch: int = 0) -> None:
    def seen() -> bool:
        status = _status(system, name)
        told = status.get("failure", {}).get("reason")
        done = (status.get("progress") or {}).get("epoch") or 0
        return status.get("phase") == phase and told == reason and done >= epoch

    wait_for(f"{name} {phase} {reason or ''}", seen, 180)


def _epochs(runs: Path, name: str) -> list[int]:
    with (runs / "train" / name / "results.csv").open() as file:
        return [int(float(row["epoch"])) for row in csv.DictReader(file, skipinitialspace=True)]


def test_a_victim_goes_on_in_its_attempt_and_before_those_that_came_later(system: System) -> None:
    data: dict[str, Any] = {"data": {"train": "datasets/digits"}}
    start_training(system, "victim", **data, epochs=60)
    _wait(system, "victim", "Running", epoch=1)
    start_training(system, "later", **data)
    _wait(system, "later", "Queued", "WaitingForQuota")
    start_training(system, "urgent", **data, scheduling={"workloadPriorityClass": "urgent"})
    _wait(system, "victim", "Queued", "PreemptedInQueue")
    wait_for("the place", lambda: _status(system, "victim")["printed"].get("place") == "place 1", 60)
    held = _status(system, "victim")
    assert (held["attempt"], held["restarts"], held["printed"].get("eta")) == (1, 0, None)
    assert finish_training(system, "urgent")["attempt"] == 1
    _wait(system, "victim", "Running", epoch=held["progress"]["epoch"])
    assert _status(system, "later")["phase"] == "Queued"
    done = finish_training(system, "victim")
    assert (done["attempt"], done["restarts"]) == (1, 0)
    runs = volume_folder(system, Cluster(NAME), "yolo-runs")
    assert _epochs(runs, "victim") == list(range(1, 61))
    finish_training(system, "later")
