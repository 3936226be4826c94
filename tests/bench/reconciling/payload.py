"""The two writes that every contender makes for a training: this very Job, and a status of this size."""

import json
from typing import Any

from yolo_crds import meta
from yolo_crds.training import YoloTraining
from yolo_operator.decision import decide
from yolo_operator.jobs import build_prepare_job
from yolo_operator.settings import Settings
from yolo_operator.snapshot import Snapshot, parse_time, view_training

Body = dict[str, Any]
SPEC: Body = {"template": {"model": "yolo11n.yaml", "data": {"train": "datasets/bench"}}}
SETTINGS = Settings.model_validate(
    {"trainer_image": "trainer:1", "data_claim": "yolo-data", "runs_claim": "yolo-runs"}
)


def manifest(name: str) -> Body:
    """A training as a user asks for it."""
    return {"apiVersion": meta.API_VERSION, "kind": meta.KIND, "metadata": {"name": name}, "spec": SPEC}


def build_job(training: Body) -> Body:
    """The Job that the operator makes first."""
    return build_prepare_job(YoloTraining.model_validate({**training, "status": {}}), 1, SETTINGS)


def build_status(training: Body) -> Body:
    """The status that it stores with it."""
    created = parse_time(training["metadata"]["creationTimestamp"])
    bare = view_training({**training, "status": {}})
    return decide(Snapshot(training=bare, jobs=(), pods=(), now=created), SETTINGS).status.to_wire()


class Payload:
    """Both as text with the names left open: a bare loop has nothing to build."""

    def __init__(self, training: Body) -> None:
        metadata = training["metadata"]
        self._known = (metadata["name"], metadata["uid"])
        self._job = json.dumps(build_job(training))
        self._status = json.dumps(build_status(training))

    def job(self, name: str, uid: str) -> bytes:
        """The Job of another training."""
        return self._of(self._job, name, uid)

    def status(self, name: str, uid: str) -> bytes:
        """A merge patch with its status."""
        return b'{"status":' + self._of(self._status, name, uid) + b"}"

    def _of(self, text: str, name: str, uid: str) -> bytes:
        known_name, known_uid = self._known
        return text.replace(known_name, name).replace(known_uid, uid).encode()
