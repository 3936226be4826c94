"""The operator as a process beside the real Kueue; the test plays scheduler, kubelet and trainer."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import Cluster
from cluster.queues import (
    Queues,
    build_cluster_queue,
    build_local_queue,
    build_priority_class,
    build_resource_flavor,
    build_topology,
)
from demo.install import System
from integration.api_server import serve_api
from integration.test_operator_flow import Hand, Operator, grant, make_node, until
from integration.test_operator_nodes import Pair
from yolo_crds.meta import LABEL_STAGE, Stage
from yolo_crds.trainer import ExitCode

pytestmark = [pytest.mark.queue, pytest.mark.timeout(120)]

NAME = "test-queue"
QUEUE = "gpus"
RACK = "example.org/rack"
ONE: dict[str, str | int] = {"cpu": 100, "memory": "1000Gi", "nvidia.com/gpu": 1}
"""Room for one training, and for any number of data checks."""


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with serve_api(NAME, kueue=True) as system:
        make_node(system)
        grant(system)
        yield system


@pytest.fixture(scope="module")
def queues(system: System) -> Queues:
    queues = Queues(Cluster(NAME))
    queues.make(QUEUE, system.namespace, ONE)
    queues.apply(build_priority_class("urgent", 1000))
    return queues


@pytest.fixture
def operator(system: System, queues: Queues, tmp_path: Path) -> Iterator[Operator]:
    operator = Operator(system, tmp_path)
    operator.start()
    yield operator
    system.kubectl("delete", "yt", "--all")
    operator.kill()
    assert "orbidden" not in operator.log()
    assert "Traceback" not in operator.log()


def _start(system: System, name: str, **scheduling: str) -> Hand:
    """A training whose data is ready."""
    hand = Hand(system, name)
    template = {"model": "yolo11n.yaml", "data": {"train": "cats"}, "scheduling": scheduling}
    hand.create(template=template)
    hand.run_to_end(Stage.PREPARE)
    return hand


def _wait_reason(hand: Hand, reason: str, words: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        status = hand.status()
        failure = status.get("failure", {})
        told = failure.get("reason") == reason and words in failure["message"]
        return status if told and status["phase"] == "Queued" else None

    return until(f"{hand.name}: {reason}", look)


def test_one_trains_and_the_others_wait_at_their_places(system: System, operator: Operator) -> None:
    first = _start(system, "first", queueName=QUEUE)
    pod = first.start(Stage.TRAIN)
    first.wait_phase("Running")
    second = _start(system, "second", queueName=QUEUE)
    _wait_reason(second, "WaitingForQuota", "insufficient unused quota for nvidia.com/gpu in flavor gpus")
    third = _start(system, "third", queueName=QUEUE)
    _wait_reason(third, "WaitingForQuota", "waits in queue gpus")
    until("places", lambda: (_place(second), _place(third)) == (1, 2))
    assert third.status()["printed"]["place"] == "place 2"
    first.end(pod)
    second.start(Stage.TRAIN)
    assert "queue" not in second.wait_phase("Running")
    until("place", lambda: _place(third) == 1)


def _place(hand: Hand) -> int | None:
    place: int | None = hand.status().get("queue", {}).get("place")
    return place


@pytest.mark.parametrize("away", [False, True])
def test_a_preempted_training_keeps_attempt_and_place(system: System, operator: Operator, away: bool) -> None:
    victim = _start(system, f"victim-{away}".lower(), queueName=QUEUE)
    pod = victim.start(Stage.TRAIN)
    victim.wait_phase("Running")
    later = _start(system, f"later-{away}".lower(), queueName=QUEUE)
    _wait_reason(later, "WaitingForQuota", "")
    urgent = _start(system, f"urgent-{away}".lower(), queueName=QUEUE, workloadPriorityClass="urgent")
    until("train Job of the urgent one", lambda: f"{urgent.name}-r1a1-train" in urgent.jobs())
    if away:
        operator.kill()
    victim.leave(pod, code=137 if away else 143)
    until("pod gone", lambda: not [p for p in victim.pods() if p["metadata"]["name"] == pod])
    if away:
        operator.start()
    held = _wait_reason(victim, "PreemptedInQueue", "prioritization in the ClusterQueue")
    assert (held["attempt"], held["restarts"]) == (1, 0)
    until("places", lambda: (_place(victim), _place(later)) == (1, 2))
    urgent.run_to_end(Stage.TRAIN)
    victim.start(Stage.TRAIN)
    assert victim.wait_phase("Running")["attempt"] == 1
    assert victim.jobs() == [f"{victim.name}-r1a1-prepare", f"{victim.name}-r1a1-train"]
    assert later.status()["phase"] == "Queued"


def test_a_queue_that_is_missing_and_made_later(system: System, operator: Operator, queues: Queues) -> None:
    hand = _start(system, "early", queueName="late")
    _wait_reason(hand, "QueueMissing", "LocalQueue late doesn't exist")
    queues.apply(build_local_queue("late", system.namespace, QUEUE))
    hand.start(Stage.TRAIN)
    assert hand.wait_phase("Running").get("failure") is None


def test_more_than_the_queue_ever_has(system: System, operator: Operator, queues: Queues) -> None:
    queues.apply(
        build_cluster_queue("small", ONE | {"cpu": 1}, flavor=QUEUE),
        build_local_queue("small", system.namespace, "small"),
    )
    _wait_reason(_start(system, "large", queueName="small"), "ExceedsQueue", "maximum capacity")


def test_pods_on_several_nodes_are_counted_and_taken_back_together(
    system: System, operator: Operator, queues: Queues
) -> None:
    queues.apply(
        build_cluster_queue("pairs", ONE | {"nvidia.com/gpu": 2}, flavor=QUEUE),
        build_local_queue("pairs", system.namespace, "pairs"),
    )
    three = Pair(system, "three")
    three.create(template=_on_nodes(3))
    three.run_to_end(Stage.PREPARE)
    _wait_reason(three, "ExceedsQueue", "maximum capacity")

    pair = Pair(system, "pair")
    pair.create(template=_on_nodes(2))
    pods = pair.begin()
    for pod in pods:
        pair.start_pod(pod)
    pair.wait_phase("Running")
    urgent = _start(system, "urgent-one", queueName="pairs", workloadPriorityClass="urgent")
    pair.leave(pods[1])
    pair.leave(pods[0], code=int(ExitCode.PEER_LOST))
    held = _wait_reason(pair, "PreemptedInQueue", "prioritization in the ClusterQueue")
    assert (held["attempt"], held["restarts"]) == (1, 0)
    urgent.run_to_end(Stage.TRAIN)
    for pod in until("two pods again", pair.pair):
        pair.start_pod(pod)
    assert pair.wait_phase("Running")["attempt"] == 1


def test_pods_that_must_share_a_rack_get_one_or_wait(
    system: System, operator: Operator, queues: Queues
) -> None:
    for name, rack in (("a-1", "a"), ("b-1", "b"), ("b-2", "b")):
        _make_gpu_node(system, name, {"pool": "racks", RACK: rack})
    queues.apply(
        build_topology("racks", RACK, "kubernetes.io/hostname"),
        build_resource_flavor("racks", {"pool": "racks"}, topology="racks"),
        build_cluster_queue("racks", ONE | {"nvidia.com/gpu": 3}, flavor="racks"),
        build_local_queue("racks", system.namespace, "racks"),
    )
    wide = Pair(system, "wide")
    wide.create(template=_on_nodes(3, queueName="racks", requiredTopology=RACK))
    wide.run_to_end(Stage.PREPARE)
    _wait_reason(wide, "NotAdmitted", 'topology "racks" allows to fit only 2 out of 3 pod(s)')

    pair = Pair(system, "in-b")
    pair.create(template=_on_nodes(2, queueName="racks", requiredTopology=RACK))
    pair.begin()

    def nodes() -> set[str] | None:
        chosen = [pod["spec"] for pod in pair.pods() if pod["metadata"]["labels"][LABEL_STAGE] == "train"]
        placed = all("schedulingGates" not in spec for spec in chosen)
        return {spec["nodeSelector"]["kubernetes.io/hostname"] for spec in chosen} if placed else None

    assert until("places", nodes) == {"b-1", "b-2"}


def _make_gpu_node(system: System, name: str, labels: dict[str, str]) -> None:
    """A node with a GPU that nobody serves."""
    metadata = {"name": name, "labels": labels | {"kubernetes.io/hostname": name}}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
    system.run_kubectl("create", "-f", "-", stdin=json.dumps(node))
    room = {"cpu": "64", "memory": "256Gi", "pods": "110", "nvidia.com/gpu": "1", "ephemeral-storage": "1Ti"}
    ready = {"type": "Ready", "status": "True", "reason": "Made", "message": ""}
    status = {"status": {"allocatable": room, "capacity": room, "conditions": [ready]}}
    system.run_kubectl(
        "patch", "node", name, "--subresource=status", "--type=merge", "-p", json.dumps(status)
    )


def _on_nodes(nodes: int, **scheduling: str) -> dict[str, Any]:
    return {
        "model": "yolo11n.yaml",
        "data": {"train": "cats"},
        "batch": 6,
        "resources": {"nodes": nodes},
        "scheduling": {"queueName": "pairs"} | scheduling,
    }


def _stop(queues: Queues, job: str, namespace: str) -> None:
    queues.stop(QUEUE, drain=True)


def _resume(queues: Queues, job: str, namespace: str) -> None:
    queues.resume(QUEUE)


@pytest.mark.parametrize(
    ("name", "hold", "let_go", "want"),
    [
        ("stopped", _stop, _resume, "QueueStopped"),
        ("deactivated", Queues.deactivate, Queues.activate, "Deactivated"),
    ],
)
def test_an_administrator_takes_a_training_out_and_lets_it_in_again(
    system: System,
    operator: Operator,
    queues: Queues,
    name: str,
    hold: Callable[[Queues, str, str], None],
    let_go: Callable[[Queues, str, str], None],
    want: str,
) -> None:
    hand = _start(system, name, queueName=QUEUE)
    pod = hand.start(Stage.TRAIN)
    hand.wait_phase("Running")
    job = (f"{name}-r1a1-train", system.namespace)
    hold(queues, *job)
    hand.leave(pod)
    _wait_reason(hand, want, "")
    let_go(queues, *job)
    hand.start(Stage.TRAIN)
    assert hand.wait_phase("Running")["attempt"] == 1


def test_a_priority_class_that_does_not_exist(system: System, operator: Operator) -> None:
    hand = _start(system, "no-class", queueName=QUEUE, workloadPriorityClass="nope")
    status = _wait_reason(hand, "NotAdmitted", "there is no Workload")
    assert "WorkloadPriorityClass" in status["failure"]["hint"]


def test_kueue_that_is_down_is_told(system: System, operator: Operator) -> None:
    cluster = Cluster(NAME)
    cluster.faults.kill("kueue")
    hand = Hand(system, "unlucky")
    hand.create()
    found = until("reason", lambda: hand.status().get("failure"))
    assert (found["reason"], "mjob.kb.io" in found["message"]) == ("WebhookFailed", True)
    cluster.up(api_only=True)
    hand.wait_phase("Preparing")
