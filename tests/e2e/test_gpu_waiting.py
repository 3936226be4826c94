"""Trainings that wait for simulated GPUs on a real scheduler: who holds them, until when, and shared ones."""

from collections.abc import Iterator
from typing import Any

import pytest

from cluster import Cluster
from cluster.api import wait_for
from demo.client import OldClient
from demo.install import System
from e2e.trainings import SMALL, until_training
from simulated_gpus import nodes
from simulated_gpus.devices import RESOURCE
from simulated_gpus.nodes import GpuNode
from yolo_api.wording import to_rest_words

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def node(system: System, cluster: Cluster) -> Iterator[GpuNode]:
    """The cluster's node with two GPUs."""
    (node,) = nodes.start(cluster, 2)
    yield node
    nodes.stop(cluster)


def _waits(
    client: OldClient, name: str, reason: str, words: str, *, foreseen: bool = False
) -> dict[str, Any]:
    """Its state in `GET /status`, once it waits with that reason and these words."""
    state: dict[str, Any] = {}

    def told() -> bool:
        state.update(client.model(name) or {})
        waiting = state.get("waiting") or {}
        found = state.get("reason") == reason and words in str(state.get("message"))
        return found and (not foreseen or waiting.get("starts_at") is not None)

    wait_for(f"{name}: {reason}, {words!r}", told, 150)
    return state


def test_a_training_that_waits_is_told_who_holds_the_gpus_and_when_it_may_start(
    system: System, client: OldClient, node: GpuNode
) -> None:
    client.start(**SMALL | {"device": "0,1"}, model_name="e2e-holder", epochs=3000)
    until_training(client, "e2e-holder", epoch=2)
    client.start(**SMALL | {"device": "0"}, model_name="e2e-waiter", epochs=1)
    words = f"{node.name} has 0 of 2 GPUs free (e2e-holder holds 2 until about"
    state = _waits(client, "e2e-waiter", "Unschedulable", words, foreseen=True)
    waiting = state["waiting"]
    assert (state["phase"], waiting["asked"]) == ("Queued", "1 GPU on one node")
    (holder,) = waiting["holders"]
    assert (holder["name"], holder["node"], holder["amount"]) == ("e2e-holder", node.name, "2 GPUs")
    assert waiting["starts_at"] == holder["ends_at"]
    assert waiting["basis"] == f"when e2e-holder on {node.name} ends, by its own ETA"

    described = " ".join(system.kubectl("describe", "yt/e2e-waiter").split())
    status = system.training("e2e-waiter")["status"]
    assert status["failure"]["message"] in described
    told = f"{status['failure']['message']} ({status['failure']['hint']})"
    assert to_rest_words(told, ended=False) == (client.model("e2e-waiter") or {})["message"]

    client.get("/terminate/e2e-holder")
    *_, last = client.watch("e2e-waiter", deadline=240)
    assert (last["phase"], last["waiting"]) == ("Succeeded", None)


def test_several_gpus_wait_for_whole_ones(
    system: System, cluster: Cluster, client: OldClient, node: GpuNode
) -> None:
    """By labels alone: the plugin here would hand out two shares."""
    nodes.start(cluster, replicas=2)
    wait_for("labels", lambda: _strategy(cluster, node) == "time-slicing", 60)
    client.start(**SMALL | {"device": "0,1"}, model_name="e2e-whole", epochs=3000)
    words = f"{node.name} shares its GPUs (time-slicing) and gives a pod one"
    state = _waits(client, "e2e-whole", "GpusShared", words)
    assert "set gpus to 1" in state["message"]
    nodes.start(cluster, replicas=1)
    until_training(client, "e2e-whole")
    client.get("/terminate/e2e-whole")


def _strategy(cluster: Cluster, node: GpuNode) -> str:
    label = f"{RESOURCE}.sharing-strategy".replace(".", "\\.")
    return cluster.kubectl("get", "node", node.name, "-o", f"jsonpath={{.metadata.labels.{label}}}")
