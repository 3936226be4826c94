"""A second team: a façade of its own in a namespace with limits, run by the first release's operator."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster import images
from demo.digits import make_pictures, write_ucd
from demo.install import CHART, System, change_values, install_chart
from e2e.conftest import UID
from e2e.trainings import SMALL, finish_training, start_training

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

LIMITS = {"limits": [{"type": "Container", "max": {"memory": "3Gi", "cpu": "1"}}]}
"""Less than a training asks for by default (16Gi, 2 CPUs)."""
VALUES = [
    "operator.enabled=false",
    "crds.enabled=false",
    "rbac.aggregateRoles=false",
    "legacy.anonymous=true",
    "dataAccess.enabled=true",
    f"podSecurity.runAsUser={UID}",
]
CALL = """
import sys, urllib.request
request = urllib.request.Request(
    "http://127.0.0.1:60066/start", sys.stdin.buffer.read(), {"Content-Type": "application/json"}
)
print(urllib.request.urlopen(request, timeout=30).read().decode())
"""


@pytest.fixture
def team(system: System, tmp_path: Path) -> Iterator[System]:
    """The second release, with its own volumes, and data on them."""
    team = replace(system, namespace="team-b", release="team")
    system.run("kubectl", "create", "namespace", team.namespace)
    limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "team"}, "spec": LIMITS}
    team.run_kubectl("apply", "-f", "-", stdin=json.dumps(limits))
    change_values(system, f"operator.namespaces={{{team.namespace}}}")
    install_chart(team, images.refs(images.DEFAULT), VALUES)
    for split, count in (("digits-small", 16), ("digits-small-val", 8)):
        write_ucd(tmp_path, split, list(make_pictures("train" if count == 16 else "val", count)))
    team.put_folder(tmp_path)
    yield team
    team.run("kubectl", "delete", "yt", "--all", "--namespace", team.namespace, "--timeout=60s")
    team.run("helm", "uninstall", team.release, "--namespace", team.namespace)
    none = "--set-json=operator.namespaces=[]"  # `--set` knows no empty list
    upgrade = ("helm", "upgrade", system.release, str(CHART), "--namespace", system.namespace)
    system.run(*upgrade, "--reuse-values", "--wait", "--timeout=5m", none)
    system.run("kubectl", "delete", "namespace", team.namespace, "--wait=false")


def test_second_team_trains_within_its_limits_and_the_first_is_served_on(
    system: System, team: System
) -> None:
    body: dict[str, Any] = {**SMALL, "model_name": "e2e-team", "epochs": 1}
    team.run_kubectl(
        "exec", "-i", f"deploy/{team.release}-api", "--", "python", "-c", CALL, stdin=json.dumps(body)
    )
    resources = team.training("e2e-team")["spec"]["template"]["resources"]
    assert (resources["memory"], resources["sharedMemory"], resources["cpu"]) == ("3Gi", "1536Mi", "1")
    finish_training(team, "e2e-team")

    start_training(system, "e2e-first-team", data={"train": "datasets/digits"})
    finish_training(system, "e2e-first-team")
