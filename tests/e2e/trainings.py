"""Small trainings on the CPU, started as users of the custom resource do."""

import json
from pathlib import Path
from typing import Any

from cluster import Cluster
from demo.install import System
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


def start_training(system: System, name: str, **template: Any) -> None:
    """Create a training of `ARGUMENTS` and these. Raises InstallError when the API server refuses it."""
    manifest = {
        "apiVersion": meta.API_VERSION,
        "kind": meta.KIND,
        "metadata": {"name": name},
        "spec": {"template": ARGUMENTS | template},
    }
    system.run_kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def finish_training(system: System, name: str) -> dict[str, Any]:
    """Its status, once it has succeeded."""
    system.kubectl("wait", "--for=condition=Finished", f"yt/{name}", "--timeout=240s")
    status: dict[str, Any] = system.training(name)["status"]
    assert status["phase"] == "Succeeded", status.get("failure")
    return status


def prepared_folder(system: System, cluster: Cluster) -> Path:
    """Where the prepared sets lie on this machine."""
    claim = json.loads(system.kubectl("get", "pvc", "yolo-data", "-o", "json"))
    return cluster.volumes / str(claim["spec"]["volumeName"]) / "prepared"
