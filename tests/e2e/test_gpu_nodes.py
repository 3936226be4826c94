"""A training on two real nodes with a simulated GPU each: it waits, trains and resumes as one."""

import csv
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import Cluster
from cluster.api import wait_for
from cluster.ports import free_port
from demo.client import OldClient
from demo.digits import make_pictures, write_ucd
from demo.install import System
from demo.system import bring_up
from e2e.trainings import LABELS, finish_training, hold_gpu, start_training, until_training, volume_folder
from simulated_gpus.nodes import GpuNode
from yolo_crds.meta import LABEL_STAGE, LABEL_TRAINING, Stage

NAME = "gpu-nodes"
NODES = ["node-1", "node-2"]
HELD_SECONDS = 10
INDEX = "batch.kubernetes.io/job-completion-index"
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """The chart on two nodes with one simulated GPU each."""
    Cluster(NAME).down()
    # What has to see that a node is gone stays on the other.
    here = [
        f"{component}.nodeSelector.kubernetes\\.io/hostname={NODES[0]}" for component in ("operator", "api")
    ]
    values = [f"trainer.gangTimeoutSeconds={HELD_SECONDS}", *here]
    system = bring_up(NAME, port=free_port(), nodes=2, gpus=1, values=values)
    with tempfile.TemporaryDirectory() as folder:
        write_ucd(Path(folder), "digits-small", list(make_pictures("train", 16)))
        write_ucd(Path(folder), "digits-small-val", list(make_pictures("val", 8)))
        system.put_folder(Path(folder))
    yield system
    Cluster(NAME).down()


@pytest.fixture(scope="module")
def cluster(system: System) -> Cluster:
    return Cluster(NAME)


def _start(system: System, name: str, **template: Any) -> None:
    data = {"train": "digits-small", "val": "digits-small-val", "labels": LABELS.split(",")}
    resources = {"gpus": 1, "nodes": 2, "cpu": "250m", "memory": "3Gi", "sharedMemory": "64Mi"}
    lifecycle = {"terminationGracePeriodSeconds": 20}
    start_training(system, name, {"lifecycle": lifecycle}, data=data, resources=resources, **template)


def _pods(system: System, name: str) -> dict[str, dict[str, Any]]:
    """The train pods that have not ended, by index."""
    selector = f"{LABEL_TRAINING}={name},{LABEL_STAGE}={Stage.TRAIN}"
    found = json.loads(system.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
    alive = [pod for pod in found if pod["status"]["phase"] not in ("Succeeded", "Failed")]
    return {pod["metadata"]["labels"][INDEX]: pod for pod in alive}


def _epochs(system: System, cluster: Cluster, name: str) -> list[int]:
    """The epochs in its results.csv."""
    results = volume_folder(system, cluster, "yolo-runs") / "train" / name / "results.csv"
    with results.open() as file:
        return [int(float(row["epoch"])) for row in csv.DictReader(file, skipinitialspace=True)]


def test_half_of_the_gpus_are_given_back_until_all_are_there(system: System, client: OldClient) -> None:
    hold_gpu(system, "holder")
    system.kubectl("wait", "--for=condition=Ready", "pod/holder", "--timeout=60s")
    name = "pair"
    _start(system, name, epochs=3)

    def gave_way() -> bool:
        failure = system.training(name).get("status", {}).get("failure", {})
        return bool(failure.get("reason") == "GangIncomplete")

    wait_for("GangIncomplete", gave_way, 90)
    status = system.training(name)["status"]
    assert f"only 1 of 2 pods has a node after {HELD_SECONDS} s" in status["failure"]["message"]
    system.kubectl("delete", "pod", "holder")
    until_training(client, name)
    pods = _pods(system, name)
    assert sorted(pod["spec"]["nodeName"] for pod in pods.values()) == NODES
    assert system.training(name)["status"]["podName"] == pods["0"]["metadata"]["name"]

    status = finish_training(system, name)
    assert (status["restarts"], status["printed"]["epoch"]) == (0, "3/3")
    assert status["progress"]["metrics"]
    assert status["weights"]["best"]["sha256"]
    assert any("stand-in" in warning for warning in status["warnings"]), status["warnings"]


@pytest.mark.soak
@pytest.mark.parametrize("index", ["0", "1"])
def test_a_pod_that_is_killed_begins_all_again_where_they_were(
    system: System, cluster: Cluster, client: OldClient, index: str
) -> None:
    name = f"killed-{index}"
    _start(system, name, epochs=6)
    until_training(client, name, epoch=3)
    pods = _pods(system, name)
    system.kubectl("delete", "pod", pods[index]["metadata"]["name"], "--grace-period=0", "--force")
    status = finish_training(system, name)
    assert (status["attempt"], status["restarts"], status["printed"]["epoch"]) == (2, 0, "6/6")
    assert _epochs(system, cluster, name) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("how", ["an-xid", pytest.param("its-plugin", marks=pytest.mark.soak)])
def test_a_gpu_that_fails_sends_the_training_to_the_other_node(
    system: System, cluster: Cluster, client: OldClient, how: str
) -> None:
    """By an Xid after which NVIDIA's plugin hands the GPU out again, so that it is the training that keeps
    away; or by the plugin's word alone, which the kubelet tells of a pod that runs.
    """
    name = f"moves-by-{how}"
    data = {"train": "digits-small", "val": "digits-small-val", "labels": LABELS.split(",")}
    resources = {"gpus": 1, "cpu": "250m", "memory": "3Gi", "sharedMemory": "64Mi"}
    start_training(system, name, data=data, resources=resources, epochs=200)
    until_training(client, name, epoch=3)
    before = system.training(name)["status"]
    node = before["nodeName"]
    gpu = GpuNode.find(cluster, node).file
    if how == "an-xid":
        gpu.change(lambda now: now.with_xid(0, 109))
        told = "Xid 109 (a context switch took too long: the GPU needs a reset)"
    else:
        gpu.change(lambda now: now.with_gpu(0, unhealthy=True))
        told = f"{gpu.read().gpus[0].uuid} "

    def warned() -> bool:
        return any(told in one for one in system.training(name)["status"].get("warnings", ()))

    wait_for("a warning while it trains", warned, 60)
    assert system.training(name)["status"]["attempt"] == 1
    system.kubectl("exec", before["podName"], "--", "python", "-c", _KILL_WORKER)
    wait_for("the next attempt", lambda: system.training(name)["status"]["attempt"] == 2, 60)
    status = system.training(name)["status"]
    assert (status["failure"]["reason"], status["failure"]["node"]) == ("GpuFault", node), status["failure"]
    assert told in status["failure"]["message"]
    assert [one["name"] for one in status["avoidedNodes"]] == [node]
    until_training(client, name, epoch=3)
    (other,) = [one for one in NODES if one != node]
    assert system.training(name)["status"]["nodeName"] == other
    client.get(f"/terminate/{name}")
    gpu.change(lambda now: now.with_healed(0))


_KILL_WORKER = """
import os, pathlib, signal
for process in pathlib.Path("/proc").glob("[0-9]*"):
    mine = int(process.name) == os.getpid()
    if not mine and b"yolo_trainer.worker" in (process / "cmdline").read_bytes():
        os.kill(int(process.name), signal.SIGKILL)
"""


@pytest.mark.soak
def test_a_node_that_is_cut_off_costs_an_attempt_and_no_epoch(
    system: System, cluster: Cluster, client: OldClient
) -> None:
    name = "cut"
    _start(system, name, epochs=8)
    until_training(client, name, epoch=3)
    cluster.faults.cut(NODES[1])
    wait_for("the next attempt", lambda: system.training(name)["status"]["attempt"] == 2, 300)
    failure = system.training(name)["status"]["failure"]
    assert failure["reason"] in ("PeerLost", "NodeLost"), failure
    cluster.faults.heal(NODES[1])
    status = finish_training(system, name)
    assert (status["restarts"], status["printed"]["epoch"]) == (0, "8/8")
    assert _epochs(system, cluster, name) == list(range(1, 9))
