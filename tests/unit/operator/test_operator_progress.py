"""Progress from log tails, and the store that keeps it."""

import asyncio
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, cast

import kopf
import pytest

from operator_objects import make_job, make_pod, make_training, start
from yolo_crds.meta import LABEL_TRAINING, Stage
from yolo_crds.trainer import PROGRESS_PREFIX, ProgressLine
from yolo_operator import resync
from yolo_operator.handlers import register
from yolo_operator.kube import Kube
from yolo_operator.metrics import Metrics
from yolo_operator.progress import ProgressPoller, last_progress
from yolo_operator.resync import Resync, UnhealthyError, count_behind, drop_phantoms
from yolo_operator.snapshot import PodView, view_job, view_pod, view_training
from yolo_operator.store import Key, Store

KEY: Key = ("lab", "cats")
LINE = ProgressLine(seq=1, time=1.0, stage="epoch", epoch=2, epochs=9)
JOB = make_job(make_training(), Stage.TRAIN)


def _pod() -> PodView:
    pod = view_pod(start(make_pod(JOB)))
    assert pod is not None
    return pod


def test_last_progress_takes_the_newest_whole_line() -> None:
    newest = LINE.model_copy(update={"seq": 2, "epoch": 3})
    torn = newest.to_line()[:-9]
    log = "\n".join(["x", LINE.to_line(), "noise", f"2026 {newest.to_line()}", torn, "tail"])
    assert last_progress(log) == newest


def test_last_progress_ignores_everything_else() -> None:
    assert last_progress("") is None
    assert last_progress(f'{PROGRESS_PREFIX}{{"v": 99}}\n{PROGRESS_PREFIX}[]\n\x00{PROGRESS_PREFIX}') is None


class TailKube:
    """Answers with one log for all pods."""

    def __init__(self, log: str) -> None:
        self.log = log
        self.read: list[str] = []

    @property
    def reads(self) -> int:
        return len(self.read)

    async def get_log_tail(self, namespace: str, pod: str) -> str:
        self.read.append(pod)
        return self.log


async def test_poller_tells_only_what_is_new() -> None:
    store, kube = Store(), TailKube(LINE.to_line())
    poller = ProgressPoller(cast("Kube", kube), store, 0.01)
    assert await poller.read("lab", _pod())
    kube.log = LINE.model_copy(update={"seq": 9, "time": 99.0}).to_line()
    assert not await poller.read("lab", _pod())
    kube.log = LINE.model_copy(update={"epoch": 3}).to_line()
    assert await poller.read("lab", _pod())


async def test_poller_reads_running_pods_only_and_again_after_its_interval() -> None:
    store, kube = Store(), TailKube(LINE.to_line())
    store.put_pod(KEY, _pod())
    waiting = view_pod(make_pod(make_job(make_training(), Stage.PREPARE)))
    assert waiting is not None
    store.put_pod(KEY, waiting)
    other = replace(_pod(), uid="on-another-node", name="second", index=1)
    store.put_pod(KEY, other)
    told: list[Key] = []
    task = asyncio.create_task(ProgressPoller(cast("Kube", kube), store, 0.01).run(told.append))
    async with asyncio.timeout(5):
        while kube.reads < 3:  # noqa: ASYNC110 - the poller has no event for it
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert told == [KEY]
    assert set(kube.read) == {_pod().name}, "the first of several pods tells for all"


def test_store_keeps_the_newest_version_of_a_training() -> None:
    store = Store()
    old, new = view_training(make_training()), view_training(make_training(run=2))
    new["metadata"] = new["metadata"] | {"resourceVersion": "11"}
    store.put_training(new)
    store.put_training(old)
    (kept,) = store.trainings()
    assert kept["spec"]["run"] == 2


def test_store_does_not_drop_a_namesake() -> None:
    store = Store()
    store.put_training(view_training(make_training()))
    store.drop_training(KEY, "another uid")
    assert store.list_keys() == [KEY]


def test_count_behind_finds_what_the_watches_missed() -> None:
    store = Store()
    store.put_training(view_training(make_training()))
    uid = make_training()["metadata"]["uid"]
    assert count_behind(store, {uid: "10"}) == 0
    assert count_behind(store, {uid: "9"}) == 0
    assert count_behind(store, {uid: "11", "unseen": "3"}) == 2


class ListKube:
    """Lists one training in one version, and nothing else."""

    def __init__(self, version: str) -> None:
        self.version = version

    async def list_versions(self, resource: str, namespace: str | None) -> tuple[dict[str, str], str]:
        found = {make_training()["metadata"]["uid"]: self.version} if resource == "yolotrainings" else {}
        return found, "99"


@pytest.mark.parametrize(("version", "want"), [("10", 0), ("11", 1)])
async def test_resync_is_unhealthy_while_a_watch_does_not_follow(
    monkeypatch: pytest.MonkeyPatch, version: str, want: int
) -> None:
    monkeypatch.setattr(resync, "GRACE_SECONDS", 0.01)
    store, metrics, told = Store(), Metrics(), set[Key]()
    store.put_training(view_training(make_training()))
    part = Resync(cast("Kube", ListKube(version)), store, [], 0.01, told.add)
    part.check()
    task = asyncio.create_task(part.run(metrics))
    async with asyncio.timeout(5):
        while not told or metrics.registry.get_sample_value("yolo_operator_watches_behind") != want:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    with pytest.raises(UnhealthyError) if want else nullcontext():
        part.check()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_drop_phantoms_forgets_what_is_gone_and_keeps_what_may_be_newer() -> None:
    store = Store()
    job = view_job(JOB)
    assert job is not None
    store.put_job(KEY, job)
    drop_phantoms(store, {}, oldest=int(job.resource_version))
    assert job.uid in store.versions()
    drop_phantoms(store, {}, oldest=int(job.resource_version) + 1)
    assert store.versions() == {}


@pytest.mark.parametrize("labels", [{}, {"yolo.training/run": "x"}, {"yolo.training/stage": "mine"}])
async def test_a_strangers_pod_that_names_a_training_does_not_count_as_missed(labels: dict[str, str]) -> None:
    """Anybody may copy a label: the operator was restarted again and again while such a pod was there."""
    store, registry = Store(), kopf.OperatorRegistry()
    register(registry, store, lambda key: None)
    observe: Any
    (observe,) = (h.fn for h in registry._watching.get_all_handlers() if h.id.endswith("pod_observed"))
    known = make_pod(JOB)["metadata"]
    wrong = labels and known["labels"] | labels
    body = make_pod(JOB) | {"metadata": known | {"labels": wrong or {LABEL_TRAINING: "cats"}}}
    await observe(event={"type": "ADDED", "object": body})
    assert not list(store.pods())
    assert count_behind(store, {known["uid"]: known["resourceVersion"]}) == 0
    await observe(event={"type": "DELETED", "object": body})
    assert not store.versions()
