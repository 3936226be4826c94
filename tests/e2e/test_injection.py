"""Containers that an injector puts into every pod: the trainer's end is still the end of its stage."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cluster import Cluster
from cluster.api import wait_for
from demo.install import System
from e2e.trainings import LABELS, finish_training, start_training
from yolo_crds.meta import LABEL_STAGE, LABEL_TRAINING

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

GROUP = "admissionregistration.k8s.io/v1"
INJECT = (
    '[JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{name: "mesh-proxy", '
    'image: object.spec.containers[0].image, command: ["sleep", "100000"]}}]'
)
"""Of the trainer's own image, which is on the node: a process that nothing ends but the pod's end."""


@pytest.fixture
def injector(system: System) -> Iterator[str]:
    """Puts a container into all training pods, also into those that ask to be left alone; its name."""
    name = "fake-mesh"
    rules = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    policy = {
        "reinvocationPolicy": "Never",
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [rules],
            "objectSelector": {"matchExpressions": [{"key": LABEL_TRAINING, "operator": "Exists"}]},
        },
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": INJECT}}],
    }
    kinds = {"MutatingAdmissionPolicy": policy, "MutatingAdmissionPolicyBinding": {"policyName": name}}
    for kind, spec in kinds.items():
        manifest = {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": spec}
        system.run_kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    wait_for("the injector", lambda: "mesh-proxy" in _dry_run(system), 30)
    yield "mesh-proxy"
    for kind in kinds:
        system.kubectl("delete", kind, name)


def _dry_run(system: System) -> str:
    """A pod as the API server would make it of one with a training's label."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "labels": {LABEL_TRAINING: "probe"}},
        "spec": {"containers": [{"name": "trainer", "image": "x"}]},
    }
    answer = system.run_kubectl(
        "create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(pod), check=False
    )
    return answer.stdout


def _pods(system: System, name: str) -> list[dict[str, Any]]:
    found = json.loads(system.kubectl("get", "pods", "-l", f"{LABEL_TRAINING}={name}", "-o", "json"))
    items: list[dict[str, Any]] = found["items"]
    return items


def test_a_training_ends_though_an_injected_container_does_not(
    system: System, cluster: Cluster, injector: str
) -> None:
    seen: dict[str, list[str]] = {}

    def train_pod() -> bool:
        for pod in _pods(system, "meshed"):
            stage = pod["metadata"]["labels"][LABEL_STAGE]
            seen[stage] = [container["name"] for container in pod["spec"]["containers"]]
        return "train" in seen

    start_training(
        system,
        "meshed",
        {"lifecycle": {"terminationGracePeriodSeconds": 5}},
        data={"train": "digits-small", "val": "digits-small-val", "labels": LABELS.split(",")},
    )
    wait_for("a train pod", train_pod, 120)
    assert seen == {"prepare": ["trainer", injector], "train": ["trainer", injector]}
    status = finish_training(system, "meshed")
    assert status["dataset"]["images"] == 24
    assert status["attempt"] == 1
    wait_for("the pods' end", lambda: _pods(system, "meshed") == [], 60)


def test_a_thousand_long_class_names_reach_the_trainer(system: System) -> None:
    """195 KB of them, where one environment variable may have 128 KiB."""
    more = [f"{number:04}{'仓库' * 30}" for number in range(10, 1000)]
    start_training(
        system,
        "named",
        data={
            "train": "digits-small",
            "val": "digits-small-val",
            "labels": [*LABELS.split(","), *more],
            "missingClasses": "allow",
        },
    )
    assert finish_training(system, "named")["dataset"]["images"] == 24
