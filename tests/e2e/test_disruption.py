"""A pod that is evicted, as by a drain: told by that word, at no restart, and what is told remains."""

import json

import pytest

from cluster.api import wait_for
from demo.client import OldClient
from demo.install import System
from e2e.trainings import LABELS, finish_training, start_training, until_training

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_an_evicted_pod_is_told_as_drained_and_its_log_is_kept(system: System, client: OldClient) -> None:
    """By the API of evictions, as `kubectl drain` does it to each pod of a node."""
    name = "e2e-evicted"
    data = {"train": "digits-small", "val": "digits-small-val", "labels": LABELS.split(",")}
    start_training(system, name, data=data, epochs=12)
    until_training(client, name, epoch=2)
    pod = system.training(name)["status"]["podName"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    path = f"/api/v1/namespaces/{system.namespace}/pods/{pod}/eviction"
    system.run_kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    wait_for("the next attempt", lambda: system.training(name)["status"]["attempt"] == 2, 60)
    told = system.training(name)["status"]["lastFailure"]
    assert (told["reason"], told["attempt"]) == ("Evicted", 1)
    assert "drained" in told["hint"]

    status = finish_training(system, name)
    assert (status["restarts"], status["printed"]["epoch"]) == (0, "12/12")
    assert status["podName"] != pod
    assert status["logs"].startswith(f"kubectl logs {status['podName']} -c trainer")
    assert "12/12" in system.kubectl("logs", status["podName"], "-c", "trainer")
    events = system.kubectl("events", "--for", f"yt/{name}")
    assert all(events.count(f"  {word}  ") == n for word, n in (("Started", 2), ("Restarting", 1))), events
    assert "attempt 1 ended: Evicted: " in events
    assert "Succeeded" in events
