"""Edits that start nothing are warned of at once, by the chart's policy on a real API server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.api import wait_for
from demo.install import CHART, System
from integration.trainings_api import TrainingsApi
from yolo_crds.meta import API_VERSION, KIND

NAME = "idle-edits"
KINDS = ("validatingadmissionpolicy", "validatingadmissionpolicybinding")


@pytest.fixture(scope="module")
def policy(system: System, trainings: TrainingsApi) -> Iterator[None]:
    """The policy of the chart, in force."""
    shown = [f"--show-only=templates/edits/{kind}.yaml" for kind in KINDS]
    manifests = system.run("helm", "template", "yolo", str(CHART), *shown).stdout
    system.run_kubectl("apply", "-f", "-", stdin=manifests)
    spec = {"run": 2, "stop": True, "template": {"model": "yolo11n.yaml", "data": {"train": "cats"}}}
    trainings.create({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": NAME}, "spec": spec})
    trainings.replace_status(NAME, {"phase": "Terminated", "run": 2}).raise_for_status()
    wait_for("the policy in force", lambda: "starts nothing" in _patch(system, stop=False), 30)
    yield
    trainings.delete(NAME)
    system.run_kubectl("delete", "-f", "-", stdin=manifests)


def _patch(system: System, **spec: Any) -> str:
    """What kubectl says besides of a patch, which is accepted."""
    done = system.run_kubectl(
        "patch", "yt", NAME, "--type=merge", "--dry-run=server", "-p", json.dumps({"spec": spec})
    )
    assert "patched" in done.stdout
    return done.stderr


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    ("spec", "want"),
    [
        (
            {"stop": False},
            "spec.stop: false starts nothing by itself: run 2 has ended; raise spec.run to 3 too",
        ),
        ({"resume": True}, "spec.resume starts nothing by itself: run 2 has ended; raise spec.run to 3 too"),
        ({"stop": False, "resume": True, "run": 3}, ""),
        (
            {"run": 3},
            "spec.stop is true, so run 3 ends before it starts; set spec.stop: false and raise spec.run to 4",
        ),
        ({"resume": True, "run": 3}, "spec.stop is true, so run 3 ends before it starts"),
        ({"suspend": True}, ""),
        ({"lifecycle": {"maxRestarts": 5}}, ""),
    ],
)
def test_edit_that_starts_nothing_is_warned_of(system: System, spec: dict[str, Any], want: str) -> None:
    said = _patch(system, **spec)
    assert want in said
    assert bool(said) is bool(want), said


@pytest.mark.usefixtures("policy")
def test_run_under_way_may_be_told_to_resume(system: System, trainings: TrainingsApi) -> None:
    trainings.replace_status(NAME, {"phase": "Running", "run": 2}).raise_for_status()
    assert _patch(system, stop=False, resume=True) == ""
