"""Any user will do: an installation that changes its own, volumes of another one, and users nobody knows."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import Cluster
from demo.client import CallFailedError, OldClient
from demo.install import System, change_values
from e2e.conftest import UID
from e2e.trainings import SMALL, end_training, finish_training, start_training, volume_folder

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

OTHER = 4711
"""Uid and gid of the second installation."""
STRANGER = 2_000_000_123
"""One more, as a cluster draws them; no passwd has it, and no volume."""
DATA = {"train": "datasets/digits"}
PUBLISHED = ("weights/best.pt", "weights/last.pt", "results.csv", "args.yaml")
CHOWN = "app.kubernetes.io/component=chown"


def give_files_away(system: System, *values: str) -> str:
    """What the chart's Job says, once it is through with both volumes."""
    change_values(system, "storage.chown.enabled=true", *values)
    system.kubectl("wait", "--for=condition=Complete", "job", "-l", CHOWN, "--timeout=180s")
    told = system.kubectl("logs", "-l", CHOWN)
    change_values(system, "storage.chown.enabled=false")
    return told


@pytest.fixture
def other_user(system: System) -> Iterator[None]:
    """The same release with another user, who finds the first one's files."""
    change_values(system, f"podSecurity.runAsUser={OTHER}", f"podSecurity.runAsGroup={OTHER}")
    yield
    give_files_away(system, f"podSecurity.runAsUser={UID}", "podSecurity.runAsGroup=1000")


@pytest.fixture
def roots_labels(system: System, cluster: Cluster) -> Path:
    """`ucd/` of the data volume, as root's alone."""
    folder = volume_folder(system, cluster, "yolo-data") / "ucd"
    os.chown(folder, 0, 0)
    folder.chmod(0o700)
    return folder


def test_files_of_another_user_are_told_given_away_and_trained_with(
    system: System,
    cluster: Cluster,
    client: OldClient,
    other_user: None,
    roots_labels: Path,
    tmp_path: Path,
) -> None:
    name = "e2e-other-user"
    start_training(system, name, data=DATA)
    failure = end_training(system, name)["failure"]
    assert failure["reason"] == "VolumeFailed", failure
    assert re.search(rf"/runs\S* belongs to (1000|{UID}):1000 \(uid:gid, mode \d{{4}}\)", failure["message"])
    assert f"this pod runs as {OTHER}:{OTHER}" in failure["message"]
    assert "storage.chown.enabled=true" in failure["hint"]
    with pytest.raises(CallFailedError, match=r"/data/ucd belongs to 0:0 \(uid:gid, mode 0700\)"):
        client.start(**SMALL, model_name="e2e-other-user-rest", epochs=1)

    told = give_files_away(system)
    assert f"files and folders given to {OTHER}:{OTHER}" in told
    system.kubectl("patch", "yt", name, "--type=merge", "-p", json.dumps({"spec": {"run": 2}}))
    finish_training(system, name, run=2)
    client.start(**SMALL, model_name="e2e-other-user-rest", epochs=1)
    finish_training(system, "e2e-other-user-rest")
    best = volume_folder(system, cluster, "yolo-runs") / "train" / name / "weights" / "best.pt"
    assert (best.stat().st_uid, best.stat().st_gid) == (OTHER, OTHER)

    copy_out(system, best.parent.parent, tmp_path / "out")


def copy_out(system: System, folder: Path, target: Path) -> None:
    """`kubectl cp` of a run folder by the data pod brings real files, with the volume's bytes."""
    selector = "app.kubernetes.io/component=data-access"
    pod = system.kubectl(
        "get", "pods", "-l", selector, "--field-selector=status.phase=Running", "-o", "name"
    ).split()[-1]
    where = f"{system.namespace}/{pod.removeprefix('pod/')}"
    for kind in ("train", "train_info"):
        system.kubectl("cp", f"{where}:/runs/{kind}/{folder.name}", str(target / kind))
    published = [f"train/{folder.name}/{name}" for name in PUBLISHED]
    published += [f"train_info/{folder.name}/logs/{name}" for name in ("train_std.log", "train_err.log")]
    pairs = [
        (folder.parents[1] / name, target / name.replace(f"/{folder.name}", "", 1)) for name in published
    ]
    for file, copied in pairs:
        assert copied.is_file(), copied
        assert not copied.is_symlink(), copied
        assert copied.read_bytes() == file.read_bytes(), copied
    assert not [path for path in target.rglob("*") if path.is_symlink()]


def run_stranger(system: System, name: str, spec: dict[str, Any], *command: str) -> None:
    """A pod of that spec as a user that nothing knows of, without HOME, USER and a writable root."""
    (container,) = spec["containers"]
    container["command"], container["args"] = ["env", "-u", "HOME", "-u", "USER", *command], []
    spec["securityContext"] |= {"runAsUser": STRANGER, "runAsGroup": STRANGER}
    spec["restartPolicy"] = "Never"
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    system.run_kubectl("apply", "-f", "-", stdin=json.dumps(body))


def spec_of(system: System, what: str, path: str) -> dict[str, Any]:
    """A pod's spec in an object of the release."""
    found: dict[str, Any] = json.loads(system.kubectl("get", what, "-o", f"jsonpath={{{path}}}"))
    return found


@pytest.mark.parametrize("component", ["operator", "api"])
def test_services_run_as_whoever_without_a_home(system: System, component: str) -> None:
    """A second operator or façade does no harm."""
    name = f"e2e-stranger-{component}"
    spec = spec_of(system, f"deploy/{system.release}-{component}", ".spec.template.spec")
    run_stranger(system, name, spec, "python", "-m", f"yolo_{component}")
    try:
        system.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=90s")
    finally:
        system.kubectl("delete", "pod", name, "--grace-period=1")


def test_trainer_runs_as_whoever_without_a_home(system: System) -> None:
    name = "e2e-stranger-trainer"
    change_values(system, "storage.gc.schedule=@yearly")
    spec = spec_of(system, f"cronjob/{system.release}-gc", ".spec.jobTemplate.spec.template.spec")
    change_values(system, "storage.gc.schedule=")
    program = (
        "import runpy, sys, getpass, pathlib, torch, torchvision, matplotlib.pyplot, ultralytics; "
        "ultralytics.YOLO('yolo11n.yaml'); sys.argv = ['yolo_trainer', 'data', 'ls']; "
        "runpy.run_module('yolo_trainer', run_name='__main__')"
    )
    spec["containers"][0]["resources"] = {}  # the collector needs no torch
    run_stranger(system, name, spec, "python", "-c", program)
    try:
        system.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=120s")
    finally:
        print(system.kubectl("logs", name))
        system.kubectl("delete", "pod", name, "--grace-period=1")
