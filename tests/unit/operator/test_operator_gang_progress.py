"""Two trainings that each take all GPUs, and a scheduler that gives each of them a half: both end.

The operator's decisions are the real ones; the scheduler, the Jobs' controller and the kubelet are played, in
an order that a seed draws anew at each step.
"""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from operator_objects import (
    SETTINGS,
    START,
    Body,
    end,
    end_job,
    make_pod,
    make_pods,
    make_result,
    make_training,
    make_view,
    schedule,
    start,
)
from yolo_crds.meta import LABEL_STAGE, Stage
from yolo_operator.decision import decide
from yolo_operator.plan import CreateJob, DeleteJob
from yolo_operator.settings import Settings
from yolo_operator.snapshot import print_time

TICK = timedelta(seconds=5)
TRAINS_FOR = timedelta(seconds=60)
PATIENCE = timedelta(hours=2)
TEMPLATE: Body = {
    "model": "yolo11n.yaml",
    "data": {"train": "cats"},
    "resources": {"gpus": 1, "nodes": 2},
}


@dataclass
class Played:
    """A training with its Jobs and pods, as the API server has them."""

    training: Body
    jobs: dict[str, Body] = field(default_factory=dict)
    pods: dict[str, Body] = field(default_factory=dict)

    def waiting(self) -> list[str]:
        """Train pods without a node."""
        return [name for name, pod in self.train_pods() if "nodeName" not in pod["spec"]]

    def holds(self) -> int:
        """GPUs of its pods."""
        return sum(
            "nodeName" in pod["spec"] and pod["status"]["phase"] in ("Pending", "Running")
            for _, pod in self.train_pods()
        )

    def train_pods(self) -> list[tuple[str, Body]]:
        return [(n, p) for n, p in self.pods.items() if p["metadata"]["labels"][LABEL_STAGE] == Stage.TRAIN]

    @property
    def phase(self) -> str:
        return str(self.training["status"].get("phase"))


class Cluster:
    """Two trainings that need both of two GPUs."""

    def __init__(self, seed: int, settings: Settings) -> None:
        self.now: datetime = START
        self.random = random.Random(seed)
        self.settings = settings
        self.both_asked = False
        self.all = [Played(make_training(name, template=TEMPLATE)) for name in ("cats", "dogs")]
        for number, played in enumerate(self.all):
            played.training["metadata"]["uid"] = f"uid-{seed}-{number}"

    def step(self) -> None:
        """Everybody acts once, in any order."""
        self.now += TICK
        turns = [self.schedule, self.run_pods, *(lambda p=played: self.reconcile(p) for played in self.all)]
        self.random.shuffle(turns)
        for turn in turns:
            turn()

    def reconcile(self, played: Played) -> None:
        for _ in range(3):
            view = make_view(played.training, list(played.jobs.values()), list(played.pods.values()))
            view = view.__class__(**vars(view) | {"now": self.now})
            decision = decide(view, self.settings)
            played.training = played.training | {"status": decision.status.to_wire()}
            if decision.turns:
                continue
            for action in decision.plan.actions:
                if isinstance(action, CreateJob):
                    self.create(played, action.manifest)
                elif isinstance(action, DeleteJob):
                    played.jobs.pop(action.name, None)
                    gone = [n for n, p in played.pods.items() if n.startswith(action.name)]
                    for name in gone:
                        del played.pods[name]

    def create(self, played: Played, manifest: Body) -> None:
        name, moment = manifest["metadata"]["name"], print_time(self.now)
        told = {"uid": f"job-{name}", "creationTimestamp": moment, "resourceVersion": "1"}
        job = manifest | {"metadata": manifest["metadata"] | told, "status": {}}
        played.jobs[name] = job
        pods = make_pods(job) if job["spec"].get("completionMode") else [make_pod(job)]
        for pod in pods:
            pod["metadata"]["creationTimestamp"] = moment
            played.pods[pod["metadata"]["name"]] = pod

    def schedule(self) -> None:
        """One pod at a time, of the training that holds fewer: the worst that a scheduler can do."""
        self.both_asked |= all(played.waiting() for played in self.all)
        while self.both_asked and sum(played.holds() for played in self.all) < 2:
            wanting = [played for played in self.all if played.waiting()]
            if not wanting:
                return
            self.random.shuffle(wanting)
            chosen = min(wanting, key=Played.holds)
            name = self.random.choice(chosen.waiting())
            chosen.pods[name] = schedule(chosen.pods[name], seconds=self._seconds())

    def run_pods(self) -> None:
        for played in self.all:
            self._prepare(played)
            pods = played.train_pods()
            for name, pod in pods:
                if "nodeName" in pod["spec"] and pod["status"]["phase"] == "Pending":
                    played.pods[name] = start(pod, self._seconds())
            self._train(played)

    def _prepare(self, played: Played) -> None:
        for name, pod in played.pods.items():
            is_prepare = pod["metadata"]["labels"][LABEL_STAGE] == Stage.PREPARE
            if is_prepare and pod["status"]["phase"] == "Pending" and self.random.random() < 0.5:
                played.pods[name] = end(pod, 0, self._seconds(), make_result(Stage.PREPARE))

    def _train(self, played: Played) -> None:
        running = [pod for _, pod in played.train_pods() if pod["status"]["phase"] == "Running"]
        if len(running) < 2:
            return
        states = [pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] for pod in running]
        if datetime.fromisoformat(max(states)) + TRAINS_FOR > self.now:
            return
        for name, pod in played.train_pods():
            played.pods[name] = end(
                pod, 0, self._seconds(), make_result(Stage.TRAIN, epochs_done=100, epochs=100)
            )
        for name, job in played.jobs.items():
            if job["spec"].get("completionMode"):
                played.jobs[name] = end_job(job, "Complete", self._seconds())

    def _seconds(self) -> float:
        return (self.now - START).total_seconds()


def _run(seed: int, settings: Settings) -> Cluster:
    cluster = Cluster(seed, settings)
    while cluster.now < START + PATIENCE and any(p.phase != "Succeeded" for p in cluster.all):
        cluster.step()
    return cluster


@pytest.mark.parametrize("seed", range(12))
def test_two_gangs_that_each_hold_a_half_both_end(seed: int) -> None:
    cluster = _run(seed, SETTINGS)
    assert [played.phase for played in cluster.all] == ["Succeeded", "Succeeded"]
    statuses = [played.training["status"] for played in cluster.all]
    assert [status.get("restarts", 0) for status in statuses] == [0, 0]
    assert sum(status["attempt"] for status in statuses) > 2, "nobody had to give way"


def test_without_the_time_out_they_wait_for_ever() -> None:
    """So the test above shows something."""
    cluster = _run(0, SETTINGS.model_copy(update={"gang_timeout_seconds": 1e6}))
    assert [(played.phase, played.holds()) for played in cluster.all] == [("Queued", 1), ("Queued", 1)]
