"""Whole courses through the reconciler over an API server in memory, which can fail at any request.

A real API server is in tests/integration; here it can be made to fail exactly between two requests.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from operator_objects import (
    SETTINGS,
    START,
    Body,
    at,
    end,
    end_job,
    make_job,
    make_pod,
    make_pods,
    make_result,
    make_training,
    start,
)
from yolo_crds.conditions import Reason
from yolo_crds.meta import ANNOTATION_RETRY, LABEL_STAGE, Stage
from yolo_crds.trainer import ProgressLine
from yolo_kube.errors import ConflictError, KubeError
from yolo_operator.kube import Kube, NamesakeError
from yolo_operator.metrics import Metrics
from yolo_operator.nodes import Node
from yolo_operator.progress import ProgressPoller
from yolo_operator.reconcile import (
    NAMESAKE_AGAIN_SECONDS,
    REFUSED_AGAIN_SECONDS,
    ROOM_AGAIN_SECONDS,
    WEBHOOK_AGAIN_SECONDS,
    Reconciler,
)
from yolo_operator.snapshot import EventView, view_job, view_pod, view_training
from yolo_operator.store import Key, Store

KEY: Key = ("lab", "cats")


class CrashError(Exception):
    """The operator dies here."""


class MemoryKube:
    """The requests of `Kube`, answered from memory; `crash_at` counts down the writes to a crash."""

    def __init__(self, training: Body) -> None:
        self.training: Body | None = training
        self.jobs: dict[str, Body] = {}
        self.pods: dict[str, Body] = {}
        self.writes: list[str] = []
        self.crash_at: int | None = None
        self.crash_after_write = False
        self.refuse_jobs: KubeError | None = None
        self.refuse_services: KubeError | None = None
        self.logs: dict[str, str] = {}
        self.events: dict[str, tuple[EventView, ...]] = {}
        self.queued = False
        self.workloads: list[Body] = []
        self.nodes: tuple[Node, ...] = ()
        self.refuse_nodes = False
        self._version = 100

    async def get_training(self, namespace: str, name: str) -> Body | None:
        return self.training

    async def list_jobs(self, namespace: str, training: str) -> list[Body]:
        return list(self.jobs.values())

    async def list_pods(self, namespace: str, training: str) -> list[Body]:
        return list(self.pods.values())

    async def list_events(self, namespace: str, uid: str) -> tuple[EventView, ...]:
        return ()

    async def list_pod_events(self, namespace: str, pod: str) -> tuple[EventView, ...]:
        return self.events.get(pod, ())

    async def list_workloads(self, namespace: str, job_uid: str) -> list[Body]:
        return self.workloads

    async def list_pending(self, namespace: str, queue: str) -> list[Body]:
        raise KubeError(404, "no visibility")

    async def list_nodes(self) -> tuple[Node, ...]:
        if self.refuse_nodes:
            raise KubeError(403, "nodes is forbidden")
        return self.nodes

    async def sum_pods(self, served: list[str]) -> dict[str, dict[str, int]]:
        raise KubeError(403, "pods is forbidden at the cluster scope")

    async def get_log_tail(self, namespace: str, pod: str) -> str:
        return self.logs.get(pod, "")

    async def patch_training_status(self, namespace: str, name: str, version: str, patch: Body) -> Body:
        assert self.training is not None
        with self._write("patch status"):
            if version != self.training["metadata"]["resourceVersion"]:
                raise ConflictError(409, "modified")
            status = _merged(self.training["status"], patch)
            self.training = self.training | {"status": status}
            self.touch()
        return self.training

    async def create_job(self, namespace: str, manifest: Body) -> Body:
        name = manifest["metadata"]["name"]
        if self.refuse_jobs is not None:
            raise self.refuse_jobs
        with self._write(f"create {name}"):
            stored = {"uid": f"job-{name}", "creationTimestamp": at(1), "resourceVersion": self._next()}
            job = manifest | {"metadata": manifest["metadata"] | stored, "status": {}}
            if self.queued:
                job["spec"] = job["spec"] | {"suspend": True}
            if name not in self.jobs:
                self.jobs[name] = job
                if not self.queued:
                    self.pods[name] = make_pod(job)
        return self.jobs[name]

    async def create_beside(self, namespace: str, manifest: Body) -> None:
        if self.refuse_services is not None:
            raise self.refuse_services
        with self._write(f"create {manifest['kind']} {manifest['metadata']['name']}"):
            pass

    async def delete_job(self, namespace: str, name: str, uid: str) -> None:
        with self._write(f"delete {name}"):
            if name in self.jobs and self.jobs[name]["metadata"]["uid"] == uid:
                del self.jobs[name]
                self.pods.pop(name, None)

    async def delete_training(self, namespace: str, name: str, uid: str, version: str) -> None:
        if self.training is None:
            return
        metadata = self.training["metadata"]
        with self._write("delete training"):
            if (uid, version) != (metadata["uid"], metadata["resourceVersion"]):
                raise ConflictError(409, "the precondition does not hold")
            self.training = None

    def touch(self) -> None:
        assert self.training is not None
        self.training["metadata"] = self.training["metadata"] | {"resourceVersion": self._next()}

    def advance(self, stage: Stage, change: Callable[[Body], Body]) -> bool:
        """Let the kubelet change the newest pod of a stage that has not ended; whether there was one."""
        for name, pod in self.pods.items():
            if pod["metadata"]["labels"][LABEL_STAGE] == stage and pod["status"]["phase"] in (
                "Pending",
                "Running",
            ):
                self.pods[name] = change(pod)
                if (phase := self.pods[name]["status"]["phase"]) in ("Succeeded", "Failed"):
                    type_ = "Complete" if phase == "Succeeded" else "Failed"
                    self.jobs[name] = end_job(self.jobs[name], type_, 61)
                return True
        return False

    def _next(self) -> str:
        self._version += 1
        return str(self._version)

    def _write(self, what: str) -> "_Crashing":
        return _Crashing(self, what)


class _Crashing:
    def __init__(self, kube: MemoryKube, what: str) -> None:
        self.kube, self.what = kube, what

    def __enter__(self) -> None:
        if self.kube.crash_at is not None:
            self.kube.crash_at -= 1
            if self.kube.crash_at < 0 and not self.kube.crash_after_write:
                raise CrashError

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self.kube.writes.append(self.what)
            if self.kube.crash_at is not None and self.kube.crash_at < 0:
                raise CrashError


def _merged(old: Body, patch: Body) -> Body:
    merged = dict(old)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = _merged(merged.get(key) or {}, value)
        else:
            merged[key] = value
    return merged


class World:
    """An operator over a `MemoryKube`; a restart leaves only what the API server has."""

    def __init__(self, training: Body | None = None) -> None:
        self.kube = MemoryKube(training or make_training())
        self.now: datetime = START + timedelta(seconds=100)
        self.told: list[Any] = []
        self.restart()

    def restart(self) -> None:
        self.store, metrics = Store(), Metrics()
        kube = cast("Kube", self.kube)
        poller = ProgressPoller(kube, self.store, 10)
        self.reconciler = Reconciler(
            kube, self.store, poller, SETTINGS, metrics, lambda: self.now, self.told.append
        )

    def observe(self) -> None:
        """What the watches would have shown by now."""
        self.store.__init__()  # type: ignore[misc]
        if self.kube.training is not None:
            self.store.put_training(view_training(self.kube.training))
        for job in self.kube.jobs.values():
            if seen := view_job(job):
                self.store.put_job(KEY, seen)
        for pod in self.kube.pods.values():
            if found := view_pod(pod):
                self.store.put_pod(KEY, found)

    async def settle(self) -> None:
        """Reconcile until nothing is written any more; a crash restarts the operator."""
        for _ in range(20):
            before = len(self.kube.writes)
            self.observe()
            try:
                await self.reconciler.reconcile(KEY)
            except CrashError:
                self.kube.crash_at = None
                self.restart()
                continue
            if len(self.kube.writes) == before:
                return
        raise AssertionError(f"the operator does not come to rest: {self.kube.writes[-6:]}")

    @property
    def status(self) -> Body:
        assert self.kube.training is not None
        status: Body = self.kube.training["status"]
        return status


def _prepared(pod: Body) -> Body:
    return end(pod, result=make_result(Stage.PREPARE, dataset={"hash": "abc"}))


def _trained(pod: Body) -> Body:
    return end(pod, result=make_result(Stage.TRAIN, epochs_done=100, epochs=100))


def _interrupted(pod: Body) -> Body:
    return end(pod, 143)


COURSE: list[tuple[Stage, Callable[[Body], Body]]] = [
    (Stage.PREPARE, start),
    (Stage.PREPARE, _prepared),
    (Stage.TRAIN, start),
    (Stage.TRAIN, _interrupted),
    (Stage.PREPARE, _prepared),
    (Stage.TRAIN, start),
    (Stage.TRAIN, _trained),
]


async def _run_course(world: World) -> None:
    await world.settle()
    for stage, change in COURSE:
        assert world.kube.advance(stage, change), (stage, world.kube.writes)
        await world.settle()
        world.now += timedelta(seconds=400)
        await world.settle()


def _timeless(status: Body) -> Body:
    """Without times: a crash costs some, and nothing else."""
    conditions = [{k: v for k, v in c.items() if k != "lastTransitionTime"} for c in status["conditions"]]
    return {k: v for k, v in status.items() if k != "completionTime"} | {"conditions": conditions}


async def test_course_ends_well_with_few_writes() -> None:
    world = World()
    await _run_course(world)
    assert world.status["phase"] == "Succeeded"
    assert (world.status["attempt"], world.status["restarts"]) == (2, 0)
    assert (list(world.kube.jobs), list(world.kube.pods)) == (["cats-r1a2-train"], ["cats-r1a2-train"])
    creates = [write for write in world.kube.writes if write.startswith("create")]
    want = ["cats-r1a1-prepare", "cats-r1a1-train", "cats-r1a2-prepare", "cats-r1a2-train"]
    assert creates == [f"create {name}" for name in want]
    assert world.kube.writes.count("patch status") <= 13


async def test_each_change_is_told_once_whenever_the_operator_is_restarted() -> None:
    want = ["Started", "Restarting", "Started", "Succeeded"]
    world = World()
    await _run_course(world)
    assert [event["reason"] for event in world.told] == want
    for crash_at in range(len(world.kube.writes)):
        crashing = World()
        crashing.kube.crash_at = crash_at
        await _run_course(crashing)
        assert [event["reason"] for event in crashing.told] == want, crash_at
    names = [event["metadata"]["name"] for event in world.told]
    assert len(set(names)) == 4
    world.told.clear()
    world.now += timedelta(seconds=4000)
    world.restart()
    await world.settle()
    assert world.told == [], "the kept Job goes without a word"


async def test_the_last_job_is_kept_a_while_and_then_named_no_more() -> None:
    """The pod's end is second 60; whoever restarts the operator meanwhile changes nothing."""
    world = World()
    await _run_course(world)
    named = {key: world.status.get(key) for key in ("jobName", "podName", "nodeName")}
    want = {"jobName": "cats-r1a2-train", "podName": "cats-r1a2-train-x1", "nodeName": "node-1"}
    assert named == want
    files = "train_info/cats/logs/train_std.log and train_err.log on the run volume, or GET /train_info/cats"
    assert world.status["logs"] == (
        f"kubectl logs cats-r1a2-train-x1 -c trainer, as long as status.podName names that pod; {files}"
    )
    writes = len(world.kube.writes)
    world.now = START + timedelta(seconds=60 + 3599)
    world.restart()
    await world.settle()
    assert world.kube.writes[writes:] == []
    world.observe()
    assert await world.reconciler.reconcile(KEY) == 1.0
    world.now += timedelta(seconds=1)
    world.restart()
    await world.settle()
    assert world.kube.writes[writes:] == ["delete cats-r1a2-train", "patch status"]
    assert world.status["logs"] == files
    assert {key: world.status.get(key) for key in named} == {**dict.fromkeys(named), "nodeName": "node-1"}


async def test_a_pod_that_is_deleted_while_it_is_kept_is_named_no_more() -> None:
    world = World()
    await _run_course(world)
    writes = len(world.kube.writes)
    world.restart()
    world.store.put_training(view_training(cast("Body", world.kube.training)))
    await world.reconciler.reconcile(KEY)  # no watch has shown it yet
    assert world.kube.writes[writes:] == []
    world.kube.pods.clear()
    await world.settle()
    assert world.kube.writes[writes:] == ["patch status"]
    assert (world.status["jobName"], world.status.get("podName")) == ("cats-r1a2-train", None)
    await world.settle()
    assert world.kube.writes[writes:] == ["patch status"]


@pytest.mark.parametrize("again", ["run", "retry"])
async def test_another_try_does_not_trip_over_the_kept_job(again: str) -> None:
    world = World()
    await world.settle()
    for stage, change in (*COURSE[:3], (Stage.TRAIN, lambda pod: end(pod, 4))):
        world.kube.advance(stage, change)
        await world.settle()
    assert (world.status["phase"], list(world.kube.jobs)) == ("Failed", ["cats-r1a1-train"])
    assert world.kube.training is not None
    if again == "run":
        world.kube.training["spec"] = world.kube.training["spec"] | {"run": 2}
    else:
        annotations = {"annotations": {ANNOTATION_RETRY: "1"}}
        world.kube.training["metadata"] = world.kube.training["metadata"] | annotations
    world.kube.touch()
    await world.settle()
    next_one = "cats-r2a1-prepare" if again == "run" else "cats-r1a2-prepare"
    assert list(world.kube.jobs) == [next_one]
    assert (world.status["phase"], world.status["jobName"]) == ("Preparing", next_one)


@pytest.mark.parametrize("what", ["count/jobs.batch", "pods"])
async def test_a_quota_on_the_number_of_jobs_makes_the_oldest_kept_one_go(what: str) -> None:
    world = World()
    world.observe()
    for name, seconds in (("old", 10), ("older", 5), ("other", 1)):
        neighbour = make_training(name=name)
        job = end_job(make_job(neighbour, Stage.TRAIN), "Complete", seconds)
        uid, namespace = f"uid-{name}", "lab" if name != "other" else "elsewhere"
        neighbour["metadata"] |= {"uid": uid, "namespace": namespace}
        neighbour["status"] = {"jobName": job["metadata"]["name"], "completionTime": at(seconds)}
        world.store.put_training(view_training(neighbour))
        seen = view_job(job)
        assert seen is not None
        world.store.put_job((namespace, name), seen)
    used = f"exceeded quota: few, requested: {what}=1, used: {what}=2, limited: {what}=2"
    world.kube.refuse_jobs = KubeError(403, f'jobs.batch "cats-r1a1-prepare" is forbidden: {used}')
    again = await world.reconciler.reconcile(KEY)
    deleted = [write for write in world.kube.writes if write.startswith("delete")]
    if what == "pods":
        assert (deleted, again) == ([], REFUSED_AGAIN_SECONDS)
    else:
        assert (deleted, again) == (["delete older-r1a1-train"], ROOM_AGAIN_SECONDS)
    assert world.status["failure"]["reason"] == "QuotaExceeded"


async def test_a_namesake_waits_for_the_kept_job_to_go_and_says_nothing_wrong() -> None:
    world = World()
    await world.settle()
    world.kube.advance(Stage.PREPARE, _prepared)
    world.kube.refuse_jobs = NamesakeError(409, "the Job of a deleted training goes")
    world.observe()
    assert await world.reconciler.reconcile(KEY) == NAMESAKE_AGAIN_SECONDS
    assert "failure" not in world.status
    world.kube.refuse_jobs = None
    await world.settle()
    assert world.status["jobName"] == "cats-r1a1-train"


async def _reference() -> tuple[Body, list[str]]:
    world = World()
    await _run_course(world)
    return _timeless(world.status), world.kube.writes


@pytest.mark.parametrize("after_write", [False, True])
async def test_a_crash_at_any_write_comes_to_the_same_end(after_write: bool) -> None:
    want, writes = await _reference()
    want_creates = sorted(write for write in writes if write.startswith("create"))
    for crash_at in range(len(writes)):
        world = World()
        world.kube.crash_at, world.kube.crash_after_write = crash_at, after_write
        await _run_course(world)
        assert _timeless(world.status) == want, crash_at
        assert sorted({w for w in world.kube.writes if w.startswith("create")}) == want_creates, crash_at
        assert (list(world.kube.jobs), list(world.kube.pods)) == (["cats-r1a2-train"], ["cats-r1a2-train"])


async def test_a_stale_cache_neither_loses_nor_repeats_a_job() -> None:
    world = World()
    await world.settle()
    stale = world.store.snapshot(KEY, world.now)
    assert stale is not None
    world.kube.advance(Stage.PREPARE, _prepared)
    await world.settle()
    world.restart()
    world.store.put_training(dict(stale.training))
    writes = len(world.kube.writes)
    await world.reconciler.reconcile(KEY)
    assert [w for w in world.kube.writes[writes:] if not w.startswith("patch")] == []
    assert world.status["jobName"] == "cats-r1a1-train"


async def test_a_conflict_is_decided_anew_on_the_fresh_object() -> None:
    world = World()
    await world.settle()
    world.observe()
    assert world.kube.training is not None
    world.kube.training["spec"] = world.kube.training["spec"] | {"stop": True}
    world.kube.touch()
    world.kube.advance(Stage.PREPARE, start)
    started = view_pod(world.kube.pods["cats-r1a1-prepare"])
    assert started is not None
    world.store.put_pod(KEY, started)
    await world.reconciler.reconcile(KEY)
    assert "delete cats-r1a1-prepare" in world.kube.writes


async def test_a_refused_job_is_told_and_tried_again() -> None:
    world = World()
    world.kube.refuse_jobs = KubeError(403, "exceeded quota: jobs")
    world.observe()
    delay = await world.reconciler.reconcile(KEY)
    assert delay is not None
    assert world.status["phase"] == "Pending"
    assert world.status["failure"]["reason"] == "QuotaExceeded"
    world.kube.refuse_jobs = None
    await world.settle()
    assert world.status["phase"] == "Preparing"
    assert "failure" not in world.status


async def test_a_job_that_is_invalid_ends_the_run_until_a_retry() -> None:
    world = World()
    await world.settle()
    world.kube.advance(Stage.PREPARE, _prepared)
    message = 'Job "cats-r1a1-train" is invalid: spec.template.spec.nodeSelector: Invalid value: "a b"'
    world.kube.refuse_jobs = KubeError(422, message)
    world.observe()
    assert await world.reconciler.reconcile(KEY) == SETTINGS.keep_finished_job_seconds, (
        "to collect prepare's Job"
    )
    await world.settle()
    assert (world.status["phase"], world.status["failure"]["reason"]) == ("Failed", "InvalidSpec")
    assert world.status["failure"]["message"] == message
    world.kube.refuse_jobs = None
    world.now += timedelta(seconds=400)
    await world.settle()
    assert (world.status["phase"], list(world.kube.jobs)) == ("Failed", ["cats-r1a1-prepare"])
    assert world.kube.training is not None
    world.kube.training["metadata"]["annotations"] = {ANNOTATION_RETRY: "mended"}
    await world.settle()
    assert list(world.kube.jobs) == ["cats-r1a2-prepare"]


async def test_a_training_that_is_being_deleted_is_left_alone() -> None:
    training = make_training()
    training["metadata"]["deletionTimestamp"] = at(1)
    world = World(training)
    await world.settle()
    assert world.kube.writes == []


async def test_a_run_that_is_raised_as_its_time_to_live_ends_is_not_deleted() -> None:
    world = World(make_training(lifecycle={"ttlSecondsAfterFinished": 10}, stop=True))
    await world.settle()
    world.observe()
    assert world.kube.training is not None
    world.kube.training["spec"] = world.kube.training["spec"] | {"stop": False, "run": 2}
    world.kube.touch()
    world.now += timedelta(seconds=11)
    live, read = world.kube.training, world.kube.get_training

    async def get_late(namespace: str, name: str) -> Body | None:
        """The first read is from before that change, as when somebody writes between it and the delete."""
        world.kube.get_training = read  # type: ignore[method-assign]
        seen = {"stop": True, "run": 1}
        return live | {"spec": live["spec"] | seen, "metadata": live["metadata"] | {"resourceVersion": "1"}}

    world.kube.get_training = get_late  # type: ignore[method-assign]
    await world.reconciler.reconcile(KEY)
    assert world.kube.writes[-2:] == ["create cats-r2a1-prepare", "patch status"]


async def test_a_settled_training_costs_nothing_at_a_restart() -> None:
    world = World()
    await _run_course(world)
    writes = len(world.kube.writes)
    for _ in range(3):
        world.restart()
        await world.settle()
    assert len(world.kube.writes) == writes


async def test_time_to_live_deletes_the_training() -> None:
    world = World(make_training(lifecycle={"ttlSecondsAfterFinished": 10}, stop=True))
    await world.settle()
    assert world.status["phase"] == "Terminated"
    world.now += timedelta(seconds=11)
    await world.settle()
    assert world.kube.writes[-1] == "delete training"


async def test_events_in_any_order_come_to_the_same_end() -> None:
    """The kubelet and the user race: whatever comes first, nothing is created after a stop."""
    changes: Iterator[Any] = itertools.permutations(["stop", "start", "end"])
    for order in changes:
        world = World()
        await world.settle()
        for change in order:
            if change == "stop":
                assert world.kube.training is not None
                world.kube.training["spec"] = world.kube.training["spec"] | {"stop": True}
                world.kube.touch()
            else:
                world.kube.advance(Stage.PREPARE, start if change == "start" else _prepared)
            await world.settle()
        trained = "create cats-r1a1-train" in world.kube.writes
        assert world.status["phase"] == "Terminated", order
        assert trained == (order.index("end") < order.index("stop")), order
        assert world.kube.jobs == {}, order


async def test_a_preempted_pod_that_is_gone_before_it_was_looked_at_is_told_by_its_events() -> None:
    """The operator was down meanwhile: nothing but the Job's end and the scheduler's event is left."""
    world = World()
    await world.settle()
    for stage, change in COURSE[:3]:
        world.kube.advance(stage, change)
        await world.settle()
    name = "cats-r1a1-train"
    pod = world.kube.pods.pop(name)["metadata"]["name"]
    world.kube.jobs[name] = end_job(world.kube.jobs[name], "Failed", 90, "BackoffLimitExceeded")
    world.kube.events[pod] = (EventView("Preempted", "Preempted by pod 1f on node node-1"),)
    world.restart()
    await world.settle()
    failure = world.status["failure"]
    assert (failure["reason"], world.status["restarts"], world.status["attempt"]) == ("Preempted", 0, 2)
    assert "Preempted by pod 1f" in failure["message"]


async def test_a_job_that_a_queue_holds_from_its_creation_is_told_at_once() -> None:
    world = World()
    world.kube.queued = True
    quota = {
        "type": "QuotaReserved",
        "status": "False",
        "reason": "Pending",
        "message": "insufficient unused quota",
    }
    world.kube.workloads = [
        {"metadata": {"name": "w"}, "spec": {"queueName": "gpus"}, "status": {"conditions": [quota]}}
    ]
    world.observe()
    again = await world.reconciler.reconcile(KEY)
    assert again is not None
    assert again <= 1
    assert world.kube.writes == ["create cats-r1a1-prepare", "patch status"]
    assert (world.status["phase"], world.status["failure"]["reason"]) == ("Queued", "WaitingForQuota")
    assert world.status["failure"]["message"] == "waits in queue gpus: insufficient unused quota"
    assert world.status["queue"] == {"name": "gpus"}


async def test_a_webhook_that_is_down_is_told_and_tried_again_soon() -> None:
    world = World()
    world.kube.refuse_jobs = KubeError(500, 'failed calling webhook "mjob.kb.io": connection refused')
    world.observe()
    assert await world.reconciler.reconcile(KEY) == WEBHOOK_AGAIN_SECONDS
    assert world.status["failure"]["reason"] == "WebhookFailed"
    world.kube.refuse_jobs = None
    await world.settle()
    assert "failure" not in world.status


@pytest.mark.parametrize("suspended_first", [False, True])
async def test_a_pod_that_a_queue_takes_back_is_judged_by_its_job_as_it_is_now(suspended_first: bool) -> None:
    """The watches may show the pod's end before the suspension that caused it."""
    world = World()
    await world.settle()
    world.kube.advance(Stage.PREPARE, lambda pod: end(pod, result=make_result(Stage.PREPARE)))
    await world.settle()
    world.kube.advance(Stage.TRAIN, start)
    await world.settle()
    name = "cats-r1a1-train"
    running = world.kube.jobs[name]
    world.kube.jobs[name] = running | {"spec": running["spec"] | {"suspend": True}}
    world.kube.pods[name] = end(world.kube.pods[name], 137)
    world.observe()
    if not suspended_first and (seen := view_job(running)):
        world.store.put_job(KEY, seen)
    await world.reconciler.reconcile(KEY)
    assert (world.status["phase"], world.status["attempt"], world.status["restarts"]) == ("Queued", 1, 0)
    assert name in world.kube.jobs


async def test_pods_on_several_nodes_find_their_service_when_they_come() -> None:
    template = {"model": "m.yaml", "data": {"train": "a"}, "resources": {"nodes": 2}}
    world = World(make_training(template=template))
    await world.settle()
    world.kube.advance(Stage.PREPARE, _prepared)
    refused = 'services is forbidden: User "operator" cannot create resource "services"'
    world.kube.refuse_services = KubeError(403, refused)
    world.observe()
    await world.reconciler.reconcile(KEY)
    assert world.status["failure"]["reason"] == "Forbidden"
    assert "services is forbidden" in world.status["failure"]["message"]
    world.kube.refuse_services = None
    await world.settle()
    assert [write for write in world.kube.writes if write.startswith("create")] == [
        "create cats-r1a1-prepare",
        "create Service gang-cats",
        "create cats-r1a1-train",
    ]
    assert "failure" not in world.status


GPU = "nvidia.com/gpu"
UNSCHEDULED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": f"0/1 nodes are available: 1 Insufficient {GPU}.",
}


async def _until_train_waits(**template: Any) -> World:
    """A training whose data is prepared and whose train pod finds no node, beside one that holds the GPUs."""
    minimal = {"model": "yolo11n.yaml", "data": {"train": "cats"}}
    world = World(make_training(template=minimal | template))
    world.kube.nodes = (Node("node-1", allocatable={GPU: 4000, "cpu": 64_000, "memory": 1 << 50}),)
    await world.settle()
    world.kube.advance(Stage.PREPARE, lambda pod: end(pod, 0, 60, make_result(Stage.PREPARE)))
    await world.settle()
    world.kube.advance(
        Stage.TRAIN, lambda pod: pod | {"status": {"phase": "Pending", "conditions": [UNSCHEDULED]}}
    )
    world.observe()
    return world


def _hold(world: World, name: str, gpus: int, eta: int | None) -> None:
    """Another training of the namespace that trains on node-1."""
    body = make_training(
        name, template={"model": "a.yaml", "data": {"train": "d"}, "resources": {"gpus": gpus}}
    )
    pod = view_pod(start(make_pod(make_job(body, Stage.TRAIN))))
    assert pod is not None
    world.store.put_training(view_training(body))
    world.store.put_pod(("lab", name), pod)
    line = ProgressLine(seq=1, time=world.now.timestamp(), stage="epoch", eta_seconds=eta)
    world.store.put_progress(pod.uid, line)


async def test_a_training_without_a_node_says_who_holds_it_and_until_when() -> None:
    world = await _until_train_waits(resources={"gpus": 2})
    _hold(world, "dogs", 4, 1500)
    again = await world.reconciler.reconcile(KEY)
    assert world.kube.training is not None
    status = world.kube.training["status"]
    assert status["failure"]["reason"] == "Unschedulable"
    assert (
        "node-1 has 0 of 4 GPUs free (dogs holds 4 until about 10:27 UTC)" in (status["failure"]["message"])
    )
    assert status["waiting"]["forecast"]["startsAt"] == at(27 * 60)
    assert again is not None
    assert again <= 30


async def test_an_eta_that_is_no_date_stops_no_other_training() -> None:
    """Anything that runs in a pod may print a line, and all that wait read it."""
    world = await _until_train_waits(resources={"gpus": 2})
    _hold(world, "dogs", 4, 10**18)
    await world.reconciler.reconcile(KEY)
    assert world.kube.training is not None
    assert "dogs holds 4 until about 2343-" in world.kube.training["status"]["failure"]["message"]


async def test_a_status_that_waits_is_not_stored_again_while_nothing_moves() -> None:
    world = await _until_train_waits(resources={"gpus": 2})
    _hold(world, "dogs", 4, 1500)
    await world.reconciler.reconcile(KEY)
    assert world.kube.training is not None
    world.store.put_training(view_training(world.kube.training))
    writes = len(world.kube.writes)
    for seconds in (5, 30, 60):
        world.now += timedelta(seconds=seconds)
        _hold(world, "dogs", 4, 1500 - seconds)
        await world.reconciler.reconcile(KEY)
    assert len(world.kube.writes) == writes


async def test_where_nodes_may_not_be_read_the_schedulers_words_stay() -> None:
    world = await _until_train_waits(resources={"gpus": 2})
    world.kube.refuse_nodes = True
    _hold(world, "dogs", 4, 1500)
    await world.reconciler.reconcile(KEY)
    assert world.kube.training is not None
    status = world.kube.training["status"]
    assert status["failure"]["message"] == (
        f"no node has enough {GPU}: 0/1 nodes are available: 1 Insufficient {GPU}. "
        "Of the trainings known here dogs holds 4 on node-1 until about 10:27 UTC"
    )
    assert "forecast" not in status["waiting"]


async def test_a_batch_by_memory_is_told_its_share_of_the_gpus_that_it_may_get() -> None:
    away: dict[str, Any] = {}

    async def shares(batch: float, *replicas: str, **more: Any) -> float | None:
        world = World(
            make_training(template={"model": "a.yaml", "data": {"train": "d"}, "batch": batch} | more)
        )
        room = {GPU: 4000, "cpu": 64_000, "memory": 1 << 60, "pods": 110_000}
        world.kube.nodes = tuple(
            Node(f"n{i}", {f"{GPU}.replicas": count}, allocatable=room) for i, count in enumerate(replicas)
        )
        if away:
            world.kube.nodes = (world.kube.nodes[0], replace(world.kube.nodes[1], **away))
        await world.settle()
        world.kube.advance(Stage.PREPARE, lambda pod: end(pod, 0, 60, make_result(Stage.PREPARE)))
        await world.settle()
        (train,) = (job for name, job in world.kube.jobs.items() if name.endswith("train"))
        env = train["spec"]["template"]["spec"]["containers"][0]["env"]
        share: float | None = json.loads(env[0]["value"]).get("gpuShare")
        return share

    assert await shares(-1, "2", "4") == 0.25
    assert await shares(0.7, "2") == 0.5
    assert await shares(-1, "1", "0") is None
    assert await shares(16, "4") is None
    assert await shares(-1) is None
    only_whole = {"scheduling": {"nodeSelector": {f"{GPU}.replicas": "1"}}}
    assert await shares(-1, "1", "4", **only_whole) is None
    without = {"allocatable": {"cpu": 64_000, "memory": 1 << 60, "pods": 110_000}, "unusable": {GPU: 4000}}
    lost = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}
    for away in ({"cordoned": True}, {"ready": False, "taints": (lost,)}, without):
        assert await shares(-1, "2", "4") == 0.25, f"{away} passes before the pod has a node"


async def test_parts_of_gpus_that_cannot_train_as_one_end_the_run_before_any_job() -> None:
    resources = {"gpus": 2, "gpuResource": "nvidia.com/mig-1g.10gb"}
    world = World(make_training(template={"model": "a.yaml", "data": {"train": "d"}, "resources": resources}))
    await world.settle()
    assert world.kube.training is not None
    status = world.kube.training["status"]
    assert (status["phase"], status["failure"]["reason"]) == ("Failed", "GpusShared")
    assert "2 of nvidia.com/mig-1g.10gb" in status["failure"]["message"]
    assert world.kube.jobs == {}


async def test_last_words_are_those_of_the_first_pod_whichever_failed() -> None:
    template = {"model": "m.yaml", "data": {"train": "a"}, "resources": {"nodes": 2}}
    world = World(make_training(template=template))
    await world.settle()
    world.kube.advance(Stage.PREPARE, _prepared)
    await world.settle()
    name = "cats-r1a1-train"
    del world.kube.pods[name]
    first, second = make_pods(world.kube.jobs[name])
    line = ProgressLine(seq=1, time=50.0, stage="epoch", epoch=7, epochs=100)
    world.kube.logs = {first["metadata"]["name"]: line.to_line()}
    peer_lost = make_result(Stage.TRAIN, 13, reason=Reason.PEER_LOST, message="pod 1 is gone")
    ended = [end(first, 13, result=peer_lost), end(second, 137, reason="OOMKilled")]
    world.kube.pods |= {pod["metadata"]["name"]: pod for pod in ended}
    await world.settle()
    assert (world.status["failure"]["reason"], world.status["progress"]["epoch"]) == ("OOMKilled", 7)
