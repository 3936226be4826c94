"""What a training without a node is told, from real nodes and pods; the test plays scheduler and kubelet."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from demo.install import System
from integration.api_server import serve_api
from integration.test_operator_flow import (
    LOOK_AT_NODES,
    NODE,
    Hand,
    Operator,
    grant,
    make_node,
    operate,
    until,
)
from yolo_crds.meta import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

NAME = "test-waiting"
GPU = "nvidia.com/gpu"
TAINT = {"key": "maintenance", "value": "true", "effect": "NoSchedule"}
SHARED = {f"{GPU}.sharing-strategy": "time-slicing", f"{GPU}.replicas": "4"}
INSUFFICIENT = f"0/4 nodes are available: 1 Insufficient {GPU}, 1 node(s) had untolerated taint."


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """An API server with four nodes that nobody serves: with GPUs, tainted, with shared GPUs, without."""
    with serve_api(NAME) as system:
        make_node(system)
        grant(system)
        _make_gpu_node(system, "gpu-a")
        _make_gpu_node(system, "gpu-b", taints=[TAINT])
        _make_gpu_node(system, "gpu-c", labels=SHARED)
        _hold_by_a_stranger(system, "gpu-a")
        yield system


@pytest.fixture
def operator(system: System, tmp_path: Path) -> Iterator[Operator]:
    with operate(system, tmp_path) as operator:
        yield operator


def _make_gpu_node(
    system: System, name: str, taints: list[Any] | None = None, labels: dict[str, str] | None = None
) -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": taints or []},
    }
    system.run_kubectl("create", "-f", "-", stdin=json.dumps(node))
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    room = {"cpu": "32", "memory": "128Gi", "pods": "110", GPU: "4"}
    ready = {"type": "Ready", "status": "True", "reason": "Test", "message": "", "lastHeartbeatTime": now}
    status = {"status": {"capacity": room, "allocatable": room, "conditions": [ready]}}
    patch = json.dumps(status)
    system.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", patch)


def _hold_by_a_stranger(system: System, node: str) -> None:
    """A pod of somebody else, in another namespace, with one GPU."""
    system.kubectl("create", "namespace", "strangers")
    until("account", lambda: "default" in system.kubectl("-n", "strangers", "get", "serviceaccounts"))
    container = {"name": "x", "image": "x:1", "resources": {"limits": {GPU: "1"}}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "notebook", "namespace": "strangers"},
        "spec": {"nodeName": node, "containers": [container]},
    }
    system.run("kubectl", "create", "-f", "-", stdin=json.dumps(pod))


def _train(system: System, name: str, gpus: int) -> Hand:
    """A training whose data is ready."""
    hand = Hand(system, name)
    resources = {"gpus": gpus}
    hand.create(template={"model": "yolo11n.yaml", "data": {"train": "cats"}, "resources": resources})
    hand.run_to_end(Stage.PREPARE)
    return hand


def _wait_words(hand: Hand, words: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        status = hand.status()
        return status if words in status.get("failure", {}).get("message", "") else None

    return until(f"{hand.name}: {words!r}, not {hand.status().get('failure')}", look)


def test_status_tells_nodes_holders_and_strangers_in_numbers(system: System, operator: Operator) -> None:
    _train(system, "holder", 2).start(Stage.TRAIN, node="gpu-a")
    hand = _train(system, "waiter", 2)
    hand.refuse(Stage.TRAIN, INSUFFICIENT)
    status = _wait_words(hand, "gpu-a has 1 of 4 GPUs free (holder holds 2, no ETA yet, other pods hold 1)")
    message = status["failure"]["message"]
    assert "for 2 GPUs on one node: gpu-a has" in message
    assert "gpu-b is tainted maintenance=true:NoSchedule" in message
    assert "gpu-c shares its GPUs (time-slicing) and gives a pod one" in message
    assert f"1 more node has no {GPU}" in message, "the node that nobody serves"
    assert "with gpus: 1 it would fit on gpu-a now" in status["failure"]["hint"]
    assert (status["phase"], status["failure"]["reason"]) == ("Queued", "Unschedulable")
    assert status["waiting"]["holders"] == [{"name": "holder", "node": "gpu-a", "amount": "2 GPUs"}]
    told = [c["message"] for c in status["conditions"] if c["type"] in {"Reconciling", "PodReady"}]
    assert told == [message, message], "kubectl describe shows the same words"
    later = _train(system, "later", 4)
    later.refuse(Stage.TRAIN, INSUFFICIENT)
    assert _wait_words(later, "place 2")["printed"]["place"] == "place 2"

    # A pod that gets its node waits no longer.
    hand.start(Stage.TRAIN, node="gpu-a")
    status = hand.wait_phase("Running")
    assert "waiting" not in status
    assert "failure" not in status


def test_status_tells_what_there_is_without_a_right_to_read_nodes(system: System, operator: Operator) -> None:
    operator.kill()
    system.kubectl("delete", "clusterrolebinding", LOOK_AT_NODES)
    operator.start()
    try:
        _train(system, "holder", 2).start(Stage.TRAIN, node=NODE)
        hand = _train(system, "blind", 2)
        hand.refuse(Stage.TRAIN, INSUFFICIENT)
        status = _wait_words(hand, f"Of the trainings known here holder holds 2 on {NODE}, no ETA yet")
        assert status["failure"]["message"].startswith(f"no node has enough {GPU}: {INSUFFICIENT[:-1]}")
        assert operator.log().count('"not readable"') == 1
    finally:
        subject = f"--serviceaccount={system.namespace}:operator"
        system.kubectl(
            "create", "clusterrolebinding", LOOK_AT_NODES, f"--clusterrole={LOOK_AT_NODES}", subject
        )
