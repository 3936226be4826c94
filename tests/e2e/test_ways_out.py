"""Ends that a person can mend: each is made to happen, its hint is followed to the letter, and leads on."""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from cluster import Cluster
from cluster.api import wait_for
from demo.install import System
from e2e.trainings import (
    ARGUMENTS,
    LABELS,
    end_training,
    finish_training,
    start_training,
    volume_folder,
)
from yolo_crds import meta
from yolo_crds.conditions import Reason
from yolo_crds.trainer import ProgressLine, parse_progress

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

DATA = {"train": "datasets/digits"}
SMALL = ARGUMENTS["resources"]
NO_RESTART = {"maxRestarts": 0}
FOREVER = 2000
"""Epochs, of which none of these trainings sees the last."""

SIGNAL = """
import os, signal, sys
from pathlib import Path
for stat in Path("/proc").glob("[0-9]*/stat"):
    pid, parent = int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])
    if parent == 1 and pid != os.getpid():
        os.kill(pid, getattr(signal, sys.argv[1]))
"""
"""Sends a signal to the training process, which is the only child of the supervisor."""


@dataclass(frozen=True)
class Place:
    """Where a way is gone."""

    system: System
    cluster: Cluster
    name: str

    def patch(self, run: int = 2, resume: bool = False, **spec: Any) -> None:
        """`kubectl patch` of the spec, with a higher run."""
        body = {"spec": {"run": run, "resume": resume, **spec}}
        self.system.kubectl("patch", "yt", self.name, "--type=merge", f"--patch={json.dumps(body)}")

    def template(self, **template: Any) -> None:
        """The same of the template."""
        self.patch(template=template)

    @property
    def pod(self) -> str:
        """The one that trains."""
        selector = f"{meta.LABEL_TRAINING}={self.name},{meta.LABEL_STAGE}={meta.Stage.TRAIN}"
        (pod,) = self.system.kubectl("get", "pods", "-l", selector, "-o", "name").split()
        return pod

    def signal(self, name: str) -> None:
        """Sends a signal to the process that trains, in the pod."""
        self.system.kubectl("exec", self.pod, "--", "python", "-c", SIGNAL, name)

    def progress(self) -> ProgressLine:
        """The newest line for machines in the pod's log."""
        lines = self.system.kubectl("logs", self.pod, "--tail=100").splitlines()
        return next(found for line in reversed(lines) if (found := parse_progress(line)))

    def stop_within_an_epoch(self) -> None:
        """Stops the process that trains where batches count, each of which may take `stallTimeoutSeconds`."""
        while True:
            self.signal("SIGSTOP")
            if self._next_progress(self.progress().seq).stage == "epoch":
                return
            self.signal("SIGCONT")

    def _next_progress(self, told: int) -> ProgressLine:
        wait_for("another line of progress", lambda: self.progress().seq > told, 60)
        return self.progress()

    def until_blocked(self) -> Mapping[str, str]:
        """Waits until it says why it does not start."""

        def told() -> bool:
            return bool((self.system.training(self.name).get("status") or {}).get("failure"))

        wait_for(f"{self.name} says why it waits", told, 200)
        failure: Mapping[str, str] = self.system.training(self.name)["status"]["failure"]
        return failure

    def until_epoch(self, epoch: int) -> None:
        """Waits until so many epochs are done."""

        def reached() -> bool:
            status = self.system.training(self.name).get("status", {})
            assert status.get("phase") not in ("Failed", "Succeeded"), status
            return int((status.get("progress") or {}).get("epoch") or 0) >= epoch

        wait_for(f"{self.name} at epoch {epoch}", reached, 200)


@dataclass(frozen=True)
class Way:
    """A training that fails, and what its hint says to do."""

    reason: Reason
    follow: Callable[[Place], None]
    """Does what the hint says, and nothing else."""
    words: str
    """What the hint must name, as a regular expression."""
    template: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    disturb: Callable[[Place], None] | None = None
    """Makes it fail, once it trains."""
    waits: bool = False
    """It does not end, but says why it waits."""

    def __str__(self) -> str:
        return self.reason.value

    @property
    def name(self) -> str:
        """The object's name."""
        return f"way-{self.reason.value.lower()}"


def _correct_name(place: Place) -> None:
    """Deletes the object and creates it under the name that the message gives."""
    failure = place.system.training(place.name)["status"]["failure"]
    (right,) = set(re.findall(r"[a-z0-9-]*right-name[a-z0-9-]*", failure["message"]))
    place.system.kubectl("delete", "yt", place.name)
    start_training(place.system, right, spec={"modelName": right}, data=DATA)
    finish_training(place.system, right)


def _mend_data(place: Place) -> None:
    data = json.loads(
        (volume_folder(place.system, place.cluster, "yolo-data") / "ucd/digits-small.json").read_text()
    )
    place.system.put("ucd/way-out.json", json.dumps(data))
    place.patch()


def _bring_weights(place: Place) -> None:
    start_training(place.system, "way-weights", data=DATA)
    finish_training(place.system, "way-weights")
    runs, data = (volume_folder(place.system, place.cluster, claim) for claim in ("yolo-runs", "yolo-data"))
    (data / "weights").mkdir(exist_ok=True)
    shutil.copy(runs / "train/way-weights/weights/best.pt", data / "weights/way-out.pt")
    place.patch()


def _ask_for_less_and_wait_longer(place: Place) -> None:
    place.patch(
        lifecycle={"pendingDeadlineSeconds": 600},
        template={"resources": {"gpus": 0}},
    )


WAYS = [
    Way(Reason.NAME_MISMATCH, _correct_name, "delete the object", spec={"modelName": "right-name"}),
    Way(
        Reason.INVALID_ARGUMENTS,
        lambda place: place.template(extraArgs={"mosiac": None, "mosaic": "0.5"}),
        "correct the named argument",
        template={"extraArgs": {"plots": "false", "mosiac": "0.5"}},
    ),
    Way(
        Reason.INVALID_DATA,
        _mend_data,
        "correct the data set",
        template={"data": {"train": "ucd/way-out.json", "labels": LABELS.split(",")}},
    ),
    Way(Reason.WEIGHTS_MISSING, _bring_weights, "raise spec.run", template={"model": "way-out.pt"}),
    Way(
        Reason.FORBIDDEN,
        lambda place: place.template(scheduling={"runtimeClassName": None}),
        "RuntimeClass",
        template={"scheduling": {"runtimeClassName": "no-such-class"}},
        waits=True,
    ),
    Way(
        Reason.INVALID_SPEC,
        lambda place: place.template(scheduling={"nodeSelector": {"disk": None}}),
        "correct the named field",
        template={"scheduling": {"nodeSelector": {"disk": "no label's value"}}},
    ),
    Way(
        Reason.DATA_IMAGE_FAILED,
        lambda place: place.template(data=DATA | {"image": None}),
        "spec.template.data.image",
        template={"data": {"train": ".", "image": "registry.local/no-such-set:1"}},
        waits=True,
    ),
    Way(
        Reason.PENDING_TOO_LONG,
        _ask_for_less_and_wait_longer,
        "pendingDeadlineSeconds",
        template={"resources": SMALL | {"gpus": 1}},
        spec={"lifecycle": {"pendingDeadlineSeconds": 1}},
    ),
    Way(
        Reason.OOM_KILLED,
        lambda place: place.template(resources={"memory": "3Gi"}),
        r"resources\.memory",
        template={"imgsz": 640, "resources": SMALL | {"memory": "400Mi", "sharedMemory": "16Mi"}},
        spec={"lifecycle": NO_RESTART},
    ),
    Way(
        Reason.SHARED_MEMORY_EXHAUSTED,
        lambda place: place.template(resources={"sharedMemory": "64Mi"}),
        "sharedMemory",
        template={"imgsz": 256, "workers": 2, "resources": SMALL | {"cpu": "1100m", "sharedMemory": "2Mi"}},
        spec={"lifecycle": NO_RESTART},
    ),
    Way(
        Reason.WORKER_KILLED,
        lambda place: place.patch(resume=True, template={"epochs": 3}),
        "resume",
        template={"epochs": FOREVER},
        spec={"lifecycle": NO_RESTART},
        disturb=lambda place: place.signal("SIGKILL"),
    ),
    Way(
        Reason.HUNG,
        lambda place: place.patch(resume=True, template={"epochs": 3}),
        "resume",
        template={"epochs": FOREVER},
        spec={"lifecycle": NO_RESTART | {"stallTimeoutSeconds": 40}},
        disturb=Place.stop_within_an_epoch,
    ),
    Way(
        Reason.DEADLINE_EXCEEDED,
        lambda place: place.patch(
            resume=True, lifecycle={"activeDeadlineSeconds": 600}, template={"epochs": 3}
        ),
        "activeDeadlineSeconds",
        template={"epochs": FOREVER},
        spec={"lifecycle": {"activeDeadlineSeconds": 15}},
    ),
]


SAMPLE = {Reason.NAME_MISMATCH, Reason.WEIGHTS_MISSING, Reason.PENDING_TOO_LONG}
"""Of `make test`; all of them: `make test-ways-out`."""
EACH = [
    pytest.param(way, id=str(way), marks=() if way.reason in SAMPLE else pytest.mark.soak) for way in WAYS
]


@pytest.fixture(scope="module")
def places(request: pytest.FixtureRequest, system: System, cluster: Cluster) -> Iterator[dict[Reason, Place]]:
    """All that are tried, started at once, since most of the time they wait."""
    tried = [item for item in request.session.items if item.path == request.path]
    reasons = {item.callspec.params["way"].reason for item in tried}  # type: ignore[attr-defined]
    ways = [way for way in WAYS if way.reason in reasons]
    system.put("ucd/way-out.json", json.dumps({"uc_list": ["Fuczzzz"], "shapes": {}}))
    for way in ways:
        start_training(system, way.name, spec=dict(way.spec), **{"data": DATA, **way.template})
    yield {way.reason: Place(system, cluster, way.name) for way in ways}
    system.kubectl("delete", "yt", "--ignore-not-found", "--wait=false", *(way.name for way in ways))


@pytest.mark.parametrize("way", EACH)
def test_hint_says_what_can_be_done(places: dict[Reason, Place], way: Way) -> None:
    place = places[way.reason]
    if way.disturb is not None:
        place.until_epoch(2)
        way.disturb(place)
    failure = place.until_blocked() if way.waits else end_training(place.system, way.name)["failure"]
    assert failure["reason"] == way.reason
    assert re.search(way.words, failure["hint"]), failure["hint"]
    way.follow(place)


@pytest.mark.parametrize("way", EACH)
def test_what_the_hint_says_leads_on(places: dict[Reason, Place], way: Way) -> None:
    if way.reason == Reason.NAME_MISMATCH:
        assert places[way.reason].system.training("right-name")["status"]["phase"] == "Succeeded"
        return
    status = finish_training(places[way.reason].system, way.name, run=2)
    assert status.get("failure") is None
