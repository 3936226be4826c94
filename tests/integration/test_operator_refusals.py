"""Pods that a real API server refuses: what is told, and that all goes on once it is mended."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.install import System
from integration.api_server import serve_api
from integration.test_operator_flow import Body, Hand, Operator, grant, make_node, operate, until
from yolo_crds.meta import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

NAME = "test-refusals"
SMALL = {"gpus": 0, "cpu": "500m", "memory": "3Gi", "sharedMemory": "256Mi"}


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """An API server with the CRD and one node that nobody serves."""
    with serve_api(NAME) as system:
        make_node(system)
        grant(system)
        yield system


@pytest.fixture
def operator(system: System, tmp_path: Path) -> Iterator[Operator]:
    with operate(system, tmp_path) as operator:
        yield operator


def _train(system: System, name: str, **resources: object) -> Hand:
    hand = Hand(system, name)
    template = {"model": "yolo11n.yaml", "data": {"train": "cats"}, "resources": SMALL | resources}
    hand.create(template=template)
    return hand


def _wait_failure(hand: Hand, reason: str) -> Body:
    def look() -> Body | None:
        failure: Body | None = hand.status().get("failure")
        return failure if failure and failure["reason"] == reason else None

    return until(f"{hand.name} {reason}, not {hand.status().get('failure')}", look)


def _make_quota(system: System, **hard: str) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team-compute"},
        "spec": {"hard": {name.replace("_", "."): amount for name, amount in hard.items()}},
    }
    system.run_kubectl("create", "-f", "-", stdin=json.dumps(quota))
    path = "jsonpath={.status.hard}"
    until("quota in force", lambda: system.kubectl("get", "quota", "team-compute", "-o", path))


def _make_limit_range(system: System, **limits: dict[str, str]) -> None:
    limit_range = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "defaults"},
        "spec": {"limits": [{"type": "Container", **limits}]},
    }
    system.run_kubectl("create", "-f", "-", stdin=json.dumps(limit_range))


def test_a_quota_on_cpu_limits_is_told_with_its_cure_and_goes(system: System, operator: Operator) -> None:
    _make_quota(system, limits_cpu="16", limits_memory="32Gi", requests_cpu="8")
    try:
        hand = _train(system, "unlimited")
        failure = _wait_failure(hand, "LimitMissing")
        assert "team-compute: must specify limits.cpu" in failure["message"]
        assert "trainer.limitCpu" in failure["hint"]
        assert "waiting does not help" in failure["hint"]
        assert hand.pods() == []

        limited = _train(system, "limited", cpuLimit=1)
        limited.wait_pod(Stage.PREPARE)
    finally:
        system.kubectl("delete", "quota", "team-compute")
    hand.wait_pod(Stage.PREPARE)
    until("nothing is wrong", lambda: "failure" not in hand.status())


def test_a_pod_beyond_the_whole_quota_is_told_so(system: System, operator: Operator) -> None:
    _make_quota(system, limits_memory="1Gi")
    try:
        failure = _wait_failure(_train(system, "large"), "ExceedsQuota")
        assert "limits.memory 2Gi of 1Gi" in failure["hint"]
        assert "trainer.prepare.memory in the Helm values" in failure["hint"]
    finally:
        system.kubectl("delete", "quota", "team-compute")


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (
            {"default": {"cpu": "250m"}},
            "cpu limit of 250m, and this one asks for 1: lower trainer.prepare.cpu",
        ),
        ({"max": {"memory": "1Gi"}}, "change trainer.prepare.memory in the Helm values"),
        ({"maxLimitRequestRatio": {"cpu": "1"}}, "set trainer.limitCpu"),
    ],
)
def test_a_limit_range_that_refuses_the_pod_is_told_with_its_cure(
    system: System, operator: Operator, limits: dict[str, dict[str, str]], words: str
) -> None:
    _make_limit_range(system, **limits)
    try:
        hand = _train(system, "ranged")
        failure = _wait_failure(hand, "OutsideLimitRange")
        assert words in failure["hint"], failure
    finally:
        system.kubectl("delete", "limitrange", "defaults")
    hand.wait_pod(Stage.PREPARE)
