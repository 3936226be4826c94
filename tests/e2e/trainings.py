"""Small trainings on the CPU, started as users of the custom resource do."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster import Cluster
from demo.client import OldClient
from demo.install import System
from simulated_gpus.devices import RESOURCE
from yolo_crds import meta

ARGUMENTS: dict[str, Any] = {
    "model": "yolo11n.yaml",
    "epochs": 1,
    "imgsz": 64,
    "batch": 8,
    "workers": 0,
    "extraArgs": {"plots": "false"},
    "resources": {"gpus": 0, "cpu": "250m", "memory": "3Gi", "sharedMemory": "64Mi"},
}

LABELS = "0,1,2,3,4,5,6,7,8,9"
SMALL: dict[str, Any] = {
    "model_type": "yolo11n.yaml",
    "device": "cpu",
    "imgsz": "64",
    "batch_size": "16",
    "workers": 0,
    "train_ucd": "digits-small",
    "val_ucd": "digits-small-val",
    "labels": LABELS,
}
"""What an old client sends, of 16 pictures of 64 pixels."""


def start_training(system: System, name: str, spec: dict[str, Any] | None = None, **template: Any) -> None:
    """Create a training of `ARGUMENTS` and these; `spec` holds what stands beside the template.

    Raises InstallError when the API server refuses it.
    """
    manifest = {
        "apiVersion": meta.API_VERSION,
        "kind": meta.KIND,
        "metadata": {"name": name},
        "spec": {**(spec or {}), "template": ARGUMENTS | template},
    }
    system.run_kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def end_training(system: System, name: str, run: int = 1) -> dict[str, Any]:
    """Its status, once that run has ended well or ill."""
    system.kubectl("wait", f"--for=jsonpath={{.status.run}}={run}", f"yt/{name}", "--timeout=60s")
    system.kubectl("wait", "--for=condition=Finished", f"yt/{name}", "--timeout=240s")
    status: dict[str, Any] = system.training(name)["status"]
    return status


def finish_training(system: System, name: str, run: int = 1) -> dict[str, Any]:
    """Its status, once that run has succeeded."""
    status = end_training(system, name, run)
    assert status["phase"] == "Succeeded", status.get("failure")
    return status


def other_warnings(status: Mapping[str, Any]) -> list[str]:
    """Its warnings, but for those about the data: few pictures of digits do not hold all of them."""
    return [
        warning for warning in status.get("warnings", ()) if not warning.startswith("classes without a box")
    ]


def until_training(client: OldClient, name: str, epoch: int = 1) -> dict[str, Any]:
    """Its state in `GET /status`, once it trains and has come to that epoch."""
    for state in client.watch(name, deadline=240):
        if state["phase"] == "Running" and (state["epoch"] or 0) >= epoch:
            return state
        assert state["phase"] not in ("Failed", "Succeeded", "Terminated"), state
    raise AssertionError("the training ended")


def volume_folder(system: System, cluster: Cluster, claim: str) -> Path:
    """Where the volume of a claim, `yolo-data` or `yolo-runs`, lies on this machine."""
    found = json.loads(system.kubectl("get", "pvc", claim, "-o", "json"))
    return cluster.volumes / str(found["spec"]["volumeName"])


def prepared_folder(system: System, cluster: Cluster) -> Path:
    """Where the prepared sets lie on this machine."""
    return volume_folder(system, cluster, "yolo-data") / "prepared"


def hold_gpu(system: System, name: str, labels: Mapping[str, str] | None = None) -> None:
    """A pod that holds one of the GPUs, does nothing, and is no training's, whatever its labels say."""
    image = system.kubectl(
        "get", f"deploy/{system.release}-api", "-o", "jsonpath={.spec.template.spec.containers[0].image}"
    )
    program = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(0)); signal.pause()"
    container = {
        "name": meta.TRAINER_CONTAINER,
        "image": image,
        "command": ["python", "-c", program],
        "resources": {"limits": {RESOURCE: "1"}},
    }
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    system.run_kubectl("apply", "-f", "-", stdin=json.dumps(body))
