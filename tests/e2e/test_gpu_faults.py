"""What befalls a training that holds a simulated GPU: the real scheduler takes its place for another one."""

import csv
from collections.abc import Iterator

import pytest

from cluster import Cluster
from cluster.api import wait_for
from demo.client import OldClient
from demo.install import System
from e2e.trainings import finish_training, start_training, until_training, volume_folder
from simulated_gpus import nodes
from simulated_gpus.nodes import GpuNode

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

DATA = {"train": "digits-small", "val": "digits-small-val", "labels": list("0123456789")}
ONE_GPU = {"gpus": 1, "cpu": "250m", "memory": "3Gi", "sharedMemory": "64Mi"}


@pytest.fixture(scope="module")
def node(system: System, cluster: Cluster) -> Iterator[GpuNode]:
    """The cluster's node with one GPU, and two PriorityClasses."""
    (node,) = nodes.start(cluster, 1)
    for name, value in (("e2e-low", 10), ("e2e-high", 1000)):
        cluster.kubectl("create", "priorityclass", name, f"--value={value}")
    yield node
    cluster.kubectl("delete", "priorityclass", "e2e-low", "e2e-high")
    nodes.stop(cluster)


def test_a_higher_priority_takes_the_gpu_and_the_victim_goes_on_afterwards(
    system: System, cluster: Cluster, client: OldClient, node: GpuNode
) -> None:
    victim, urgent = "e2e-victim", "e2e-urgent"
    lifecycle = {"lifecycle": {"terminationGracePeriodSeconds": 30, "maxRestarts": 0}}
    low = {"priorityClassName": "e2e-low"}
    start_training(system, victim, lifecycle, data=DATA, epochs=40, resources=ONE_GPU, scheduling=low)
    until_training(client, victim, epoch=3)
    high = {"priorityClassName": "e2e-high"}
    start_training(system, urgent, data=DATA, epochs=3000, resources=ONE_GPU, scheduling=high)

    def waits() -> bool:
        status = system.training(victim)["status"]
        told = status.get("failure", {}).get("reason") == "Unschedulable"
        return bool(status["attempt"] == 2 and status["phase"] == "Queued" and told)

    wait_for("the victim waits", waits, 120)
    status = system.training(victim)["status"]
    assert (status["restarts"], status.get("progress", {}).get("etaSeconds")) == (0, None)
    assert f"{urgent} holds 1" in status["failure"]["message"]
    assert (status["lastFailure"]["reason"], status["lastFailure"]["attempt"]) == ("Preempted", 1)
    told = system.kubectl("describe", "yt", victim).partition("Events:")[2]
    assert "attempt 1 ended: Preempted: " in told, told
    events = system.kubectl("get", "events", "--field-selector=reason=Preempted", "-o", "jsonpath={..name}")
    assert f"{victim}-r1a1-train" in events, "the scheduler preempted somebody else"

    client.get(f"/terminate/{urgent}")
    ended = finish_training(system, victim)
    assert (ended["attempt"], ended["restarts"], ended["printed"]["epoch"]) == (2, 0, "40/40")
    results = volume_folder(system, cluster, "yolo-runs") / "train" / victim / "results.csv"
    with results.open() as file:
        epochs = [int(float(row["epoch"])) for row in csv.DictReader(file, skipinitialspace=True)]
    assert epochs == list(range(1, 41))
