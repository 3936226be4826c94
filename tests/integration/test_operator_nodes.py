"""Trainings on several nodes against a real API server and Jobs' controller; the test plays the nodes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.install import System
from integration.api_server import serve_api
from integration.test_operator_flow import Hand, Operator, grant, make_node, until
from yolo_crds.conditions import Reason
from yolo_crds.meta import CONFIG_ENV, LABEL_ATTEMPT, LABEL_STAGE, Stage
from yolo_crds.trainer import Result, TrainerConfig

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

INDEX = "batch.kubernetes.io/job-completion-index"
TEMPLATE = {"model": "yolo11n.yaml", "data": {"train": "cats"}, "epochs": 2, "resources": {"nodes": 2}}
HELD_SECONDS = 4


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with serve_api("test-operator-nodes") as system:
        make_node(system)
        grant(system)
        yield system


@pytest.fixture
def operator(system: System, tmp_path: Path) -> Iterator[Operator]:
    settings = {
        "YOLO_OPERATOR_NETWORK_POLICIES": "true",
        "YOLO_OPERATOR_GANG_TIMEOUT_SECONDS": str(HELD_SECONDS),
    }
    operator = Operator(system, tmp_path, **settings)
    operator.start()
    yield operator
    operator.kill()
    assert "orbidden" not in operator.log()


class Pair(Hand):
    """A training on two nodes."""

    def begin(self, attempt: int = 1) -> list[str]:
        """Names of the two train pods, by index, once the data is ready."""
        self.run_to_end(Stage.PREPARE, attempt=attempt)
        return until("two pods", lambda: self.pair(attempt))

    def finish(self, pod: str, code: int = 0, attempt: int = 1, **fields: Any) -> None:
        uid = self.training()["metadata"]["uid"]
        result = Result(stage=Stage.TRAIN, uid=uid, run=1, attempt=attempt, exit_code=code, **fields)
        self.end(pod, code, result.to_termination_message(), "Completed" if code == 0 else "Error")

    def get(self, kind: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.system.kubectl("get", kind, f"gang-{self.name}", "-o", "json")
        )
        return found

    def pair(self, attempt: int = 1) -> list[str] | None:
        """Names of its two train pods, by index; None while there are not just two."""
        wanted = {LABEL_STAGE: str(Stage.TRAIN), LABEL_ATTEMPT: str(attempt)}.items()
        found = [pod["metadata"] for pod in self.pods() if wanted <= pod["metadata"]["labels"].items()]
        names = [pod["name"] for pod in sorted(found, key=lambda pod: str(pod["labels"][INDEX]))]
        return names if len(names) == 2 else None


def test_one_failed_pod_starts_all_again(system: System, operator: Operator) -> None:
    pair = Pair(system, "2-nodes")
    pair.create(template=TEMPLATE)
    first, second = pair.begin()
    uid = pair.training()["metadata"]["uid"]
    for kind in ("service", "networkpolicy"):
        assert [owner["uid"] for owner in pair.get(kind)["metadata"]["ownerReferences"]] == [uid]
    assert pair.get("service")["spec"]["clusterIP"] == "None"
    (spec,) = [pod["spec"] for pod in pair.pods() if pod["metadata"]["name"] == first]
    assert (spec["hostname"], spec["subdomain"]) == ("2-nodes-r1a1-train-0", "gang-2-nodes")
    env = {entry["name"]: entry for entry in spec["containers"][0]["env"]}
    assert {"JOB_COMPLETION_INDEX", "POD_IP"} <= env.keys()
    config = TrainerConfig.model_validate_json(env[CONFIG_ENV]["value"])
    assert config.rendezvous == "2-nodes-r1a1-train-0.gang-2-nodes"

    for pod in (first, second):
        pair.start_pod(pod)
    pair.wait_phase("Running")
    pair.finish(second, 4, reason=Reason.CUDA_OUT_OF_MEMORY, message="CUDA out of memory")
    pair.leave(first)
    status = pair.wait_attempt(2)
    assert (status["restarts"], status["failure"]["reason"]) == (1, "CudaOutOfMemory")
    assert [(remedy["before"], remedy["after"]) for remedy in status["remedies"]] == [("16", "8")]

    again = pair.begin(attempt=2)
    for pod in again:
        pair.start_pod(pod)
    pair.wait_phase("Running")
    for pod in reversed(again):
        pair.finish(pod, attempt=2, epochs_done=2, epochs=2)
    assert pair.wait_phase("Succeeded")["printed"]["epoch"] == "2/2"
    until("the last Job alone", lambda: pair.jobs() == ["2-nodes-r1a2-train"])
    assert pair.get("service")["metadata"]["name"] == "gang-2-nodes"


def test_a_half_that_has_a_gpu_gives_it_up(system: System, operator: Operator) -> None:
    pair = Pair(system, "half")
    pair.create(template=TEMPLATE)
    first, _ = pair.begin()
    pair.start_pod(first)
    pair.leave(first)
    status = pair.wait_attempt(2)
    assert (status["phase"], status.get("restarts", 0)) == ("Pending", 0)
    assert status["failure"]["reason"] == "GangIncomplete"
    assert status["failure"]["message"].startswith(f"only 1 of 2 pods has a node after {HELD_SECONDS} s")
    train = f"{pair.name}-r1a1-train"
    until("its Job gone", lambda: train not in pair.jobs())
    until("its pods gone", lambda: not any(train in pod["metadata"]["name"] for pod in pair.pods()))


def test_a_strangers_service_is_not_taken(system: System, operator: Operator) -> None:
    system.kubectl("create", "service", "clusterip", "gang-taken", "--clusterip=None")
    pair = Pair(system, "taken")
    pair.create(template=TEMPLATE)
    pair.run_to_end(Stage.PREPARE)
    until(
        "told", lambda: "a Service named gang-taken is there and belongs to something else" in operator.log()
    )
    assert pair.jobs() == ["taken-r1a1-prepare"]
    system.kubectl("delete", "service", "gang-taken")
    until("two pods", pair.pair)
