import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from operator_objects import SETTINGS as OPERATOR
from operator_objects import end, make_job, make_pod, make_result, make_training, make_view, start
from yolo_crds import meta
from yolo_crds.meta import Stage
from yolo_crds.status import UNSERVED
from yolo_kube.errors import ConflictError, KubeError
from yolo_operator.decision import decide
from yolo_operator.farewell import Farewell, build_farewell, build_kept_policies, is_watched
from yolo_operator.patch import status_patch
from yolo_operator.settings import FarewellSettings
from yolo_operator.snapshot import view_training
from yolo_operator.verdict import parse_status

Body = dict[str, Any]
NOW = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
SETTINGS = FarewellSettings(
    release="yolo",
    own_namespace="train",
    namespaces=["train"],
    deployment="yolo-operator",
    operator_selector="app.kubernetes.io/component=operator",
    operator_seconds=0.01,
    stop_seconds=0.01,
)
LABELS = {meta.LABEL_MANAGED_BY: meta.MANAGED_BY, meta.LABEL_EGRESS: "gang", meta.LABEL_TRAINING: "helmet"}
JOB: Body = {
    "metadata": {"name": "helmet-r1a1-train", "namespace": "train", "uid": "job-uid", "labels": LABELS},
    "spec": {"template": {"metadata": {"labels": LABELS}}},
}


def pod(name: str, owner: str = "job-uid", phase: str = "Running") -> Body:
    owners = [{"uid": owner, "controller": True}]
    metadata = {"name": name, "namespace": "train", "uid": f"{name}-uid", "ownerReferences": owners}
    return {"metadata": metadata, "status": {"phase": phase}}


def policy(name: str, to: str, **spec: Any) -> Body:
    labels = {"app.kubernetes.io/instance": "yolo", "app.kubernetes.io/component": "network"}
    chosen = {meta.LABEL_MANAGED_BY: meta.MANAGED_BY, meta.LABEL_EGRESS: to}
    return {
        "metadata": {"name": name, "namespace": "train", "labels": labels},
        "spec": {"podSelector": {"matchLabels": chosen}, "policyTypes": ["Ingress", "Egress"], **spec},
    }


DNS = [{"ports": [{"protocol": "UDP", "port": 53}]}]
POLICIES = [policy("yolo-gang-pods", "gang", egress=DNS), policy("yolo-training-pods", "none")]


def training(phase: str = "Running", name: str = "helmet", **status: Any) -> Body:
    conditions = [
        {"type": "Reconciling", "status": "True", "reason": "Training", "lastTransitionTime": "a"},
        {"type": "Progressing", "status": "True", "reason": "Training", "lastTransitionTime": "a"},
    ]
    return {
        "metadata": {"name": name, "namespace": "train", "uid": "u", "resourceVersion": "7"},
        "spec": {},
        "status": {"phase": phase, "run": 1, "attempt": 2, "conditions": conditions, **status},
    }


def test_kept_policy_is_the_charts_for_the_pods_of_the_job_and_goes_with_the_last_of_them() -> None:
    pods = [pod("a"), pod("b"), pod("ended", phase="Succeeded"), pod("other", owner="other")]
    (kept,) = build_kept_policies(JOB, pods, POLICIES)
    assert kept["metadata"]["name"] == "helmet-r1a1-train-yolo-gang-pods"
    owners = [(owner["kind"], owner["name"]) for owner in kept["metadata"]["ownerReferences"]]
    assert owners == [("Job", "helmet-r1a1-train"), ("Pod", "a"), ("Pod", "b")]
    assert kept["spec"] == {
        "podSelector": {"matchLabels": {"batch.kubernetes.io/job-name": "helmet-r1a1-train"}},
        "policyTypes": ["Ingress", "Egress"],
        "egress": DNS,
    }


@pytest.mark.parametrize(
    ("phase", "want"),
    [
        ("Running", True),
        ("Queued", True),
        ("Suspended", True),
        ("Succeeded", False),
        ("Failed", False),
        ("Terminated", False),
        ("Unserved", False),
    ],
)
def test_is_watched(phase: str, want: bool) -> None:
    assert is_watched(training(phase)) is want


def test_a_training_without_a_status_is_not_watched() -> None:
    assert not is_watched({"metadata": {}, "spec": {}})


def test_farewell_says_when_who_and_what_goes_on_and_keeps_what_the_next_operator_needs() -> None:
    body = training()
    patch = build_farewell(body, busy=True, release="yolo", now=NOW)
    assert patch["phase"] == "Unserved"
    message = patch["failure"]["message"]
    assert "release yolo was uninstalled at 2026-11-28T09:30:00Z; this training was Running" in message
    assert "goes on alone" in message
    reconciling, progressing = patch["conditions"]
    assert reconciling == body["status"]["conditions"][0]
    assert (progressing["status"], progressing["reason"]) == ("Unknown", "NoOperator")
    after = parse_status(view_training({**body, "status": body["status"] | patch}))
    assert (after.run, after.attempt, after.phase) == (1, 2, "Unserved")
    assert after.failure is not None
    assert after.failure.attempt is None, "so the next operator does not take it for an attempt's end"


def test_the_next_operator_goes_on_where_the_last_one_was() -> None:
    body = make_training()
    prepare, train = make_job(body, Stage.PREPARE), make_job(body, Stage.TRAIN, seconds=21)
    pods = [end(make_pod(prepare), seconds=20, result=make_result(Stage.PREPARE)), start(make_pod(train))]
    before = decide(make_view(body, [prepare, train], pods), OPERATOR).status
    left = build_farewell({**body, "status": before.to_wire()}, busy=True, release="yolo", now=NOW)
    body["status"] = before.to_wire() | left
    after = decide(make_view(body, [prepare, train], pods), OPERATOR)
    assert (after.status.phase, after.status.failure, after.status.attempt) == ("Running", None, 1)
    assert after.status.conditions[0].last_transition_time == before.conditions[0].last_transition_time
    assert after.plan.actions == ()


def test_a_first_status_takes_the_place_of_what_the_api_server_says() -> None:
    view = make_view(make_training(status=UNSERVED))
    patch = status_patch(view.training["status"], decide(view, OPERATOR).status, view.now)
    assert (patch["phase"], patch["run"]) == ("Pending", 1)
    assert patch["message"] != UNSERVED["message"]


def test_farewell_of_a_training_without_a_job_says_that_nothing_runs() -> None:
    message = build_farewell(training("Suspended"), busy=False, release="yolo", now=NOW)["failure"]["message"]
    assert message.endswith("this training was Suspended. Nothing of it runs")


class Cluster:
    """Answers in the place of `Kube`, and remembers in which order it was asked."""

    def __init__(self, *trainings: Body, conflicts: int = 0, closed: bool = False) -> None:
        self.trainings, self.conflicts, self.closed = trainings, conflicts, closed
        self.calls: list[str] = []

    async def list_all(self, resource: str, namespace: str | None, selector: str | None = None) -> list[Body]:
        assert namespace == "train"
        if selector:
            return []
        found: Mapping[str, list[Body]] = {
            meta.PLURAL: list(self.trainings),
            "jobs": [JOB],
            "pods": [pod("a")],
            "networkpolicies": [
                *POLICIES,
                policy("elsewhere", "gang") | {"metadata": {"name": "x", "namespace": "train"}},
            ],
        }
        return found[resource]

    async def create_beside(self, namespace: str, manifest: Body) -> None:
        if self.closed:
            raise KubeError(403, "networkpolicies is forbidden")
        self.calls.append(f"policy {manifest['metadata']['name']}")

    async def end_deployment(self, namespace: str, name: str) -> None:
        self.calls.append(f"end {namespace}/{name}")

    async def stop_training(self, namespace: str, name: str, uid: str) -> None:
        self.calls.append(f"stop {name}")

    async def patch_training_status(self, namespace: str, name: str, version: str, patch: Body) -> Body:
        if self.conflicts:
            self.conflicts -= 1
            raise ConflictError(409, "changed")
        self.calls.append(f"tell {name}")
        return {}


def leave(cluster: Cluster, **settings: Any) -> list[str]:
    farewell = Farewell(cluster, SETTINGS.model_copy(update=settings), lambda: NOW)  # type: ignore[arg-type]
    asyncio.run(farewell.run())
    return cluster.calls


POLICY = "policy helmet-r1a1-train-yolo-gang-pods"


def test_policies_come_first_then_the_operators_end_then_what_is_told() -> None:
    cluster = Cluster(training(), training("Succeeded", "done"))
    assert leave(cluster) == [POLICY, "end train/yolo-operator", POLICY, "tell helmet"]


def test_a_status_that_changed_meanwhile_is_told_on_the_next_look() -> None:
    assert leave(Cluster(training(), conflicts=1))[-1] == "tell helmet"


def test_nothing_is_changed_when_the_pods_cannot_be_kept_from_the_network() -> None:
    cluster = Cluster(training(), closed=True)
    with pytest.raises(KubeError, match="forbidden"):
        leave(cluster)
    assert cluster.calls == []


def test_stop_asks_all_to_stop_while_the_operator_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Cluster(training(), training("Suspended", "later"), training("Failed", "done"))
    calls = leave(cluster, stop=True)
    assert calls[:3] == ["stop helmet", "stop later", POLICY]
    assert "some trainings have not ended" in capsys.readouterr().out
