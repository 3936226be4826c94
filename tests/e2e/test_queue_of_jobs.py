"""The real Kueue of the local cluster: a plain Job's way through a queue, and Kueue's own deaths."""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cluster import Cluster, ClusterError
from cluster.api import wait_for
from cluster.config import PAUSE_IMAGE
from cluster.queues import PRIORITY_LABEL, QUEUE_LABEL, Queues, build_priority_class
from e2e.leftovers import left_since, listing

NAME = "queue"
QUEUE = "trainings"
SPACE = "default"
pytestmark = [pytest.mark.queue, pytest.mark.timeout(300)]


def _build_job(name: str, labels: dict[str, str]) -> dict[str, Any]:
    """A Job that lasts until it is told to end, on the image that each node has."""
    container = {
        "name": "pause",
        "image": PAUSE_IMAGE,
        "imagePullPolicy": "Never",
        "resources": {"requests": {"cpu": "100m"}},
    }
    pod = {"restartPolicy": "Never", "containers": [container], "terminationGracePeriodSeconds": 2}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": SPACE, "labels": labels},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }


@pytest.fixture(scope="module")
def before() -> list[str]:
    """What was on this machine before the cluster."""
    Cluster(NAME).down()
    return listing(Cluster(NAME).state)


@pytest.fixture(scope="module")
def cluster(before: list[str]) -> Iterator[Cluster]:
    cluster = Cluster(NAME)
    cluster.up(kueue=True)
    yield cluster
    cluster.down()


@pytest.fixture
def queues(cluster: Cluster) -> Iterator[Queues]:
    """A queue that lets one of the Jobs run at a time, and no Job in it."""
    queues = Queues(cluster)
    queues.make(QUEUE, SPACE, {"cpu": "100m"})
    yield queues
    cluster.kubectl("delete", "jobs", "-n", SPACE, "--all", "--wait")


def _create(cluster: Cluster, name: str, *, priority: str | None = None) -> str:
    """A Job in the queue, made in a second of its own: the queue's order knows no less; its uid."""
    labels = {QUEUE_LABEL: QUEUE} | ({PRIORITY_LABEL: priority} if priority else {})
    made = cluster.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(_build_job(name, labels)))
    metadata: dict[str, str] = json.loads(made)["metadata"]
    created = datetime.fromisoformat(metadata["creationTimestamp"]).timestamp()
    wait_for("the next second", lambda: time.time() >= created + 1, 5)
    return metadata["uid"]


def _job(cluster: Cluster, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cluster.kubectl("get", "job", name, "-n", SPACE, "-o", "json"))
    return found


def _wait_running(cluster: Cluster, name: str) -> None:
    wait_for(f"a pod of {name}", lambda: _job(cluster, name)["status"].get("ready") == 1, 60)


def _wait_suspended(cluster: Cluster, queues: Queues, name: str) -> None:
    def held() -> bool:
        return _job(cluster, name)["spec"]["suspend"] and name in queues.pending(QUEUE, SPACE)

    wait_for(f"{name} in the queue", held, 30)


def test_a_job_waits_is_admitted_preempted_and_admitted_again(cluster: Cluster, queues: Queues) -> None:
    queues.apply(build_priority_class("urgent", 1000))
    uids = {name: _create(cluster, name) for name in ("first", "second", "third")}
    _wait_running(cluster, "first")
    for name in ("second", "third"):
        _wait_suspended(cluster, queues, name)
    assert queues.pending(QUEUE, SPACE) == ["second", "third"]
    assert queues.conditions("first", SPACE)["Admitted"]["status"] == "True"

    uids["urgent"] = _create(cluster, "urgent", priority="urgent")
    _wait_suspended(cluster, queues, "first")
    evicted = queues.conditions("first", SPACE)["Evicted"]
    assert (evicted["status"], evicted["reason"]) == ("True", "Preempted")
    _wait_running(cluster, "urgent")
    assert queues.pending(QUEUE, SPACE) == ["first", "second", "third"], "it lost its place"
    assert _job(cluster, "first")["status"].get("failed", 0) == 0, "an eviction is no failure"

    queues.set_quota(QUEUE, {"cpu": "400m"})
    for name, uid in uids.items():
        _wait_running(cluster, name)
        assert _job(cluster, name)["metadata"]["uid"] == uid, "Kueue starts the same Job again"


def test_a_stopped_queue_admits_nothing_and_a_deactivated_workload_leaves_it(
    cluster: Cluster, queues: Queues
) -> None:
    queues.stop(QUEUE)
    _create(cluster, "held")
    wait_for("its Workload", lambda: "QuotaReserved" in queues.conditions("held", SPACE), 30)
    assert queues.conditions("held", SPACE)["QuotaReserved"]["message"] == f"ClusterQueue {QUEUE} is inactive"
    queues.resume(QUEUE)
    _wait_running(cluster, "held")

    queues.deactivate("held", SPACE)
    wait_for("its suspension", lambda: _job(cluster, "held")["spec"]["suspend"], 30)
    assert queues.conditions("held", SPACE)["Evicted"]["reason"] == "Deactivated"
    assert queues.pending(QUEUE, SPACE) == []
    queues.activate("held", SPACE)
    _wait_running(cluster, "held")


def test_without_kueue_no_job_is_made_and_up_mends_that(
    cluster: Cluster, queues: Queues, tmp_path: Path
) -> None:
    cluster.faults.kill("kueue")
    assert cluster.status()["kueue"] == "dead"
    with pytest.raises(ClusterError, match=r"failed calling webhook \"mjob\.kb\.io\""):
        _create(cluster, "refused")
    cluster.up()  # that there is a Kueue is remembered
    assert cluster.status()["kueue"] == "running"
    _create(cluster, "granted")
    _wait_running(cluster, "granted")
    cluster.faults.restart("kueue")
    cluster.dump(tmp_path)
    assert "kind: Workload" in (tmp_path / "queues.yaml").read_text()
    assert (tmp_path / "components" / "kueue.log").stat().st_size


def test_nothing_is_left(cluster: Cluster, before: list[str]) -> None:
    cluster.down()
    assert left_since(before, cluster.state) == []
    assert {path.name for path in cluster.state.iterdir()} <= {"logs", "audit.log"}
