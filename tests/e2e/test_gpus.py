"""Simulated GPUs on a real kubelet: two of them train one model; `/gpu_info` tells who holds which."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster import Cluster
from cluster.api import wait_for
from demo.client import OldClient
from demo.install import System, change_values
from e2e.trainings import SMALL, end_training, hold_gpu, start_training, until_training
from simulated_gpus import nodes
from simulated_gpus.agent import agent_values
from simulated_gpus.devices import RESOURCE
from simulated_gpus.nodes import GpuNode
from yolo_api.gpus import SILENT_SECONDS
from yolo_crds.meta import LABEL_TRAINING

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

AGENTS = "yolo-gpu-agent"


@pytest.fixture(scope="module")
def node(system: System, cluster: Cluster) -> Iterator[GpuNode]:
    """The cluster's node with two GPUs, and the chart's agent on it."""
    (node,) = nodes.start(cluster, 2)
    change_values(system, *agent_values(cluster))
    yield node
    change_values(system, "gpuAgent.enabled=false")
    nodes.stop(cluster)


def test_two_gpus_train_as_two_ranks(system: System, client: OldClient, node: GpuNode) -> None:
    """By the old call; the ranks compute on the CPU, since the plugin says that its GPUs are stand-ins."""
    name = "e2e-ranks"
    client.start(**SMALL | {"device": "0,1"}, model_name=name, epochs=3)
    until_training(client, name)
    held = _until(client, "both held", lambda rows: {row["model_name"] for row in rows} == {name})
    assert {row["uuid"] for row in held} == {gpu.uuid for gpu in node.file.read().gpus}

    *_, last = client.watch(name, deadline=240)
    assert (last["phase"], last["epoch"], last["epochs"]) == ("Succeeded", 3, 3), last
    status = system.training(name)["status"]
    assert status["weights"]["best"]["sha256"]
    assert any("stand-in" in warning for warning in status["warnings"]), status["warnings"]
    _until(client, "both free", lambda rows: all(row["free"] for row in rows))


@pytest.mark.soak
def test_a_rank_that_the_kernel_kills_for_memory_is_told(system: System, node: GpuNode) -> None:
    """On cgroup v1 one process dies, and the launcher tells which; on v2 all of the container at once."""
    resources = {"gpus": 2, "cpu": "500m", "memory": "700Mi", "sharedMemory": "64Mi"}
    lifecycle = {"lifecycle": {"maxRestarts": 0}}
    data = {"train": "digits-small", "val": "digits-small-val", "labels": list("0123456789")}
    start_training(system, "e2e-rank-oom", lifecycle, data=data, resources=resources)
    status = end_training(system, "e2e-rank-oom")
    failure = status["failure"]
    assert (status["phase"], failure["reason"]) == ("Failed", "OOMKilled"), failure
    assert "rank " in failure["message"] or "the pod used more memory" in failure["message"], failure
    assert "memory" in failure["hint"]


def test_gpu_info_tells_who_holds_which_gpu(
    system: System, cluster: Cluster, client: OldClient, node: GpuNode
) -> None:
    uuids = [gpu.uuid for gpu in node.file.read().gpus]
    idle = _until(client, "two free GPUs", lambda rows: [row["free"] for row in rows] == [True, True])
    assert [(row["index"], row["node"], row["uuid"]) for row in idle] == [
        (0, node.name, uuids[0]),
        (1, node.name, uuids[1]),
    ]
    assert all(row["memory_total"] == 80 << 10 and row["health"] == "ok" for row in idle)

    hold_gpu(system, "holder", {LABEL_TRAINING: "helmet"})
    held = _until(client, "a holder", lambda rows: any(row["pod"] for row in rows))
    (mine,) = [row for row in held if row["pod"]]
    (other,) = [row for row in held if not row["pod"]]
    assert (mine["pod"], mine["namespace"]) == ("holder", system.namespace)
    assert mine["model_name"] is None, "it is no training's, whatever its label says"
    assert (mine["free"], other["free"], other["namespace"]) == (False, True, None)

    node.file.change(
        lambda now: now.with_xid(other["node_index"], 48).with_gpu(other["node_index"], lost=True)
    )
    lost = _until(client, "a lost GPU", lambda rows: any(row["health"] == "lost" for row in rows))
    assert [row["uuid"] for row in lost] == uuids
    assert [xid["code"] for xid in lost[other["index"]]["xids"]] == [48]
    assert lost[other["index"]]["free"] is False
    node.file.change(lambda now: now.with_healed(other["node_index"]))
    _until(client, "a healed GPU", lambda rows: all(row["health"] == "ok" for row in rows))

    # Nobody but a façade reaches the agents, and a pod of theirs that is gone leaves its node as it was seen.
    asked = "import urllib.request as u; u.urlopen('http://{}-gpu-agent.{}.svc:8085/gpus', timeout=2)"
    program = asked.format(system.release, AGENTS)
    stranger = system.run_kubectl(
        "exec", f"deploy/{system.release}-data", "--", "python", "-c", program, check=False
    )
    assert "timed out" in stranger.stderr, stranger
    system.run(
        "kubectl", "-n", AGENTS, "patch", "daemonset", f"{system.release}-gpu-agent", "--patch", _NOWHERE
    )
    stale = _until(
        client, "a stale node", lambda rows: all(row["stale"] for row in rows), SILENT_SECONDS + 40
    )
    assert [(row["uuid"], row["pod"]) for row in stale] == [(row["uuid"], row["pod"]) for row in held]
    assert {row["free"] for row in stale} == {False, None}

    # Without agents the façade still knows what its own namespace's pods were given.
    change_values(system, "gpuAgent.enabled=false")
    (known,) = client.get("/gpu_info")
    want = ("requests", RESOURCE, None, node.name, "holder", False, 0)
    keys = ("source", "name", "model_name", "node", "pod", "free", "memory_total")
    assert tuple(known[key] for key in keys) == want
    system.kubectl("delete", "pod", "holder")


_NOWHERE = json.dumps({"spec": {"template": {"spec": {"nodeSelector": {"nowhere": "true"}}}}})


Rows = list[dict[str, Any]]


def _until(client: OldClient, what: str, condition: Callable[[Rows], bool], seconds: float = 60) -> Rows:
    """The array of `/gpu_info`, once it says so."""
    rows: Rows = []

    def said() -> bool:
        rows[:] = client.get("/gpu_info")
        return bool(rows) and condition(rows)

    wait_for(what, said, seconds)
    return rows
