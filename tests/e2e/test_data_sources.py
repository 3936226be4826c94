"""Data that does not lie on the data volume: fetched from a UCD server, or mounted from an image."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ucd_server
from cluster import Cluster
from cluster.api import wait_for
from cluster.data_image import push_data_image
from demo.client import OldClient
from demo.digits import LABELS, make_pictures, write_ucd, write_yolo_folder
from demo.install import System, change_values
from e2e.probes import REACH
from e2e.trainings import finish_training, prepared_folder, start_training
from yolo_crds import meta

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

_DEADLINE = 300
_SERVER = "ucd-server"
_ROOT, _PROGRAM = "/srv/data", "/srv/program"


def _pod(
    system: System, name: str, command: list[str], labels: dict[str, str], program: str | None = None
) -> dict[str, Any]:
    """A pod of the façade's image, which has Python.

    It has an empty folder at `_ROOT`, and at `_PROGRAM` the files of the ConfigMap `program`.
    """
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    image = system.kubectl("get", "deployment", f"{system.release}-api", "-o", path)
    mounts = [{"name": "data", "mountPath": _ROOT}]
    volumes: list[dict[str, Any]] = [{"name": "data", "emptyDir": {}}]
    if program:
        mounts.append({"name": "program", "mountPath": _PROGRAM})
        volumes.append({"name": "program", "configMap": {"name": program}})
    container = {"name": "main", "image": image, "command": command, "volumeMounts": mounts}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container], "volumes": volumes}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _apply(system: System, *objects: dict[str, Any]) -> None:
    manifest = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    system.run_kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def _server_objects(system: System) -> list[dict[str, Any]]:
    """The UCD server's program, its pod and its Service."""
    source = Path(ucd_server.__file__)
    command = ["python", f"{_PROGRAM}/{source.name}", "--root", _ROOT]
    common = {"apiVersion": "v1", "metadata": {"name": _SERVER}}
    labels = {"app": _SERVER}
    ports = [{"port": ucd_server.PORT}]
    return [
        {**common, "kind": "ConfigMap", "data": {source.name: source.read_text(encoding="utf-8")}},
        _pod(system, _SERVER, command, labels, program=_SERVER),
        {**common, "kind": "Service", "spec": {"selector": labels, "ports": ports}},
    ]


@pytest.fixture(scope="module")
def remote(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A UCD server in the cluster with the sets `team/remote` and `remote-val`, which the release knows.

    None of their images is on the data volume.
    """
    folder = tmp_path_factory.mktemp("ucd")
    write_ucd(folder, "team/remote", list(make_pictures("train", 40))[24:])
    write_ucd(folder, "remote-val", list(make_pictures("val", 32))[24:])
    (folder / "served" / "ucd").mkdir(parents=True)
    shutil.move(folder / "ucd", folder / "served" / "ucd" / "customer")
    shutil.move(folder / "img_cache", folder / "served" / "img")
    _apply(system, *_server_objects(system))
    system.kubectl("wait", "--for=condition=Ready", f"pod/{_SERVER}", "--timeout=60s")
    system.kubectl("cp", f"{folder}/served/.", f"{_SERVER}:{_ROOT}")
    host = f"{_SERVER}:{ucd_server.PORT}"
    change_values(system, f"fetch.ucdServer=http://{host}")
    yield host
    change_values(system, "fetch.ucdServer=")
    system.kubectl("delete", f"pod/{_SERVER}", f"service/{_SERVER}", f"configmap/{_SERVER}")


def _egress(system: System, name: str) -> dict[str, str]:
    """Stage → egress class, of the training's pods that are there now."""
    selector = f"{meta.LABEL_TRAINING}={name}"
    listed = json.loads(system.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
    labels = [pod["metadata"]["labels"] for pod in listed]
    return {each[meta.LABEL_STAGE]: each[meta.LABEL_EGRESS] for each in labels}


def test_set_that_only_the_ucd_server_has_trains(system: System, client: OldClient, remote: str) -> None:
    egress: dict[str, str] = {}
    client.start(
        model_name="e2e-remote",
        model_type="yolo11n.yaml",
        device="cpu",
        imgsz=64,
        batch_size=8,
        workers=0,
        epochs=1,
        train_ucd="team\\remote",
        val_ucd="remote-val",
        labels=",".join(LABELS),
    )
    for _ in client.watch("e2e-remote", deadline=_DEADLINE):
        egress |= _egress(system, "e2e-remote")
    status = system.training("e2e-remote")["status"]
    assert status["phase"] == "Succeeded", (remote, status.get("failure"))
    assert (status["dataset"]["trainImages"], status["dataset"]["valImages"]) == (16, 8)
    assert egress == {"prepare": "fetch", "train": "none"}


@pytest.mark.parametrize(("egress", "want"), [("fetch", ["DNS", "UCD server"]), ("none", [])])
def test_network_of_a_training_pod_ends_at_its_class(
    system: System, remote: str, egress: str, want: list[str]
) -> None:
    name = f"probe-{egress}"
    labels = {meta.LABEL_MANAGED_BY: meta.MANAGED_BY, meta.LABEL_EGRESS: egress}
    _apply(system, _pod(system, name, ["python", "-c", "import signal; signal.pause()"], labels))
    system.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    targets = {
        remote: "UCD server",
        _SERVER: "DNS",
        f"{system.release}-api:60066": "façade",
        "kubernetes.default.svc.cluster.local:443": "API server",
    }

    def reached() -> list[str]:
        found = system.kubectl("exec", name, "--", "python", "-c", REACH, *targets).split()
        return sorted(targets[each] for each in found)

    wait_for(f"a pod that reaches {want}", lambda: reached() == want, 20)
    system.kubectl("delete", "pod", name)


def _prepared(system: System, cluster: Cluster, digest: str) -> dict[str, tuple[int, int, bool]]:
    """Path → inode, time of change, whether it is a link; of all in the prepared set."""
    folder = prepared_folder(system, cluster) / digest
    found = {}
    for path in sorted(folder.rglob("*")):
        stat = path.lstat()
        found[str(path.relative_to(folder))] = (stat.st_ino, stat.st_mtime_ns, path.is_symlink())
    return found


def test_set_in_an_image_trains_and_is_copied_once(system: System, cluster: Cluster, tmp_path: Path) -> None:
    # Other pictures than those on the data volume, so that the set is one of its own.
    pictures = {
        "train": list(make_pictures("train", 16, seed=7)),
        "val": list(make_pictures("val", 8, seed=7)),
    }
    root = write_yolo_folder(tmp_path, "digits", pictures)
    image = push_data_image(root, cluster.registry_push)
    start_training(system, "e2e-image", data={"image": image, "train": "."})
    digest = finish_training(system, "e2e-image")["dataset"]["hash"]
    first = _prepared(system, cluster, digest)
    copies = {path: found for path, found in first.items() if path.endswith(".jpg")}
    assert len(copies) == 24
    assert not any(is_link for _, _, is_link in copies.values())
    start_training(system, "e2e-image-again", data={"image": image, "train": "."})
    assert finish_training(system, "e2e-image-again")["dataset"]["hash"] == digest
    assert copies.items() <= _prepared(system, cluster, digest).items(), "nothing was copied again"


def test_image_that_cannot_be_pulled_is_told_from_the_trainers(system: System) -> None:
    image = "registry.local/yolo-operator/no-such-data:1"
    start_training(system, "e2e-no-image", data={"image": image, "train": "."})
    blamed = "jsonpath={.status.failure.reason}=DataImageFailed"
    system.kubectl("wait", f"--for={blamed}", "yt/e2e-no-image", "--timeout=60s")
    failure = system.training("e2e-no-image")["status"]["failure"]
    assert failure["message"].startswith(f"data.image {image}: ")
    assert "spec.template.data.image" in failure["hint"]
    system.kubectl("delete", "yt", "e2e-no-image")
