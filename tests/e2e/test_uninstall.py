"""A second team's release beside the first, where Pod Security is `restricted`: tested, uninstalled while a
training runs, and installed again."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.api import wait_for
from demo.digits import make_pictures, write_yolo_folder
from demo.install import CHART, System
from e2e.probes import REACH
from e2e.trainings import start_training
from yolo_crds.meta import LABEL_TRAINING

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

NAME = "left-alone"
SHARED = (
    "crds.enabled=false",
    "rbac.aggregateRoles=false",
    "api.service.type=ClusterIP",
    "api.service.nodePort=0",
)
"""Of a second release: what is cluster-wide, and the node's port, belong to the first."""


@pytest.fixture
def team(system: System) -> Iterator[System]:
    """The release `team` in a namespace that lets in only what is `restricted`, with a data set."""
    team = replace(system, namespace="team", release="team")
    system.kubectl("create", "namespace", team.namespace)
    system.kubectl("label", "namespace", team.namespace, "pod-security.kubernetes.io/enforce=restricted")
    install(system, team)
    with tempfile.TemporaryDirectory() as folder:
        splits = {"train": list(make_pictures("train", 16)), "val": list(make_pictures("val", 8))}
        write_yolo_folder(Path(folder), "digits", splits)
        team.put_folder(Path(folder))
    yield team
    system.kubectl("delete", "namespace", team.namespace)


def install(system: System, team: System, *values: str) -> None:
    """The chart with the first release's values, images and users among them."""
    given = system.run("helm", "get", "values", system.release, "--namespace", system.namespace, "-o", "json")
    command = ["helm", "install", team.release, str(CHART), "--namespace", team.namespace, "--values", "-"]
    sets = [f"--set={value}" for value in (*SHARED, *values)]
    team.run(*command, *sets, "--wait", "--timeout=3m", stdin=given.stdout)


def uninstall(team: System) -> str:
    """What helm prints, the farewell's words included."""
    done = team.run("helm", "uninstall", team.release, "--namespace", team.namespace, "--timeout=4m")
    return done.stdout + done.stderr


def kept(team: System) -> list[dict[str, Any]]:
    """NetworkPolicies that belong to a training."""
    found = json.loads(team.kubectl("get", "networkpolicies", "-l", LABEL_TRAINING, "-o", "json"))
    items: list[dict[str, Any]] = found["items"]
    return items


def until_phase(team: System, phase: str) -> dict[str, Any]:
    """The status, once the training is in that phase."""
    wait_for(f"the phase {phase}", lambda: team.training(NAME)["status"].get("phase") == phase, 120)
    status: dict[str, Any] = team.training(NAME)["status"]
    return status


def reachable(team: System, pod: str) -> bool:
    """Whether a pod can reach the API server."""
    service = ("--namespace", "default", "get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}")
    target = f"{team.run('kubectl', *service).stdout}:443"
    return team.kubectl("exec", pod, "--", "python", "-c", REACH, target).strip() == target


def test_helm_test_passes_and_an_uninstall_leaves_no_training_open_or_running_for_ever(
    system: System, team: System
) -> None:
    tested = team.run("helm", "test", team.release, "--namespace", team.namespace, "--timeout=2m").stdout
    assert "Succeeded" in tested

    start_training(team, NAME, data={"train": "datasets/digits"}, epochs=900)
    until_phase(team, "Running")
    wait_for("an epoch", lambda: bool(team.training(NAME)["status"].get("printed", {}).get("epoch")), 120)
    (pod,) = team.pods(NAME)
    assert reachable(team, "deploy/team-data"), "who has no policy can"
    assert not reachable(team, pod)

    said = uninstall(team)
    assert f"training {NAME} in namespace team is told that no operator watches it" in said
    assert team.pods(NAME) == [pod], "it goes on"
    assert not reachable(team, pod), "and is no more open than before"
    (policy,) = kept(team)
    owners = {owner["kind"] for owner in policy["metadata"]["ownerReferences"]}
    assert owners == {"Job", "Pod"}
    status = team.training(NAME)["status"]
    assert (status["phase"], status["failure"]["reason"]) == ("Unserved", "NoOperator")
    assert "release team was uninstalled at" in status["failure"]["message"]
    assert "Unserved" in team.kubectl("get", "yt", NAME)
    kinds = "deploy,job,sa,role,rolebinding,pods"
    wait_for("the hook's end", lambda: "farewell" not in team.kubectl("get", kinds, "-o", "name"), 60)

    install(system, team, "uninstall.trainings=Stop")
    taken_up = until_phase(team, "Running")
    assert (taken_up["attempt"], taken_up["restarts"], taken_up.get("failure")) == (1, 0, None)
    assert team.pods(NAME) == [pod], "the same pod, watched again"

    assert f"stopped: team/{NAME}" in uninstall(team)
    assert team.training(NAME)["status"]["phase"] == "Terminated"
    wait_for("the pod's end", lambda: team.pods(NAME) == [], 60)
    wait_for("the end of its policy", lambda: kept(team) == [], 60)
