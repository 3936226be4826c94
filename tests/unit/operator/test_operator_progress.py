"""Progress from log tails of pods that answer, and of pods that do not."""

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from operator_objects import make_job, make_pod, make_training, start
from yolo_crds.meta import Stage
from yolo_crds.trainer import PROGRESS_PREFIX, ProgressLine
from yolo_operator import progress
from yolo_operator.kube import Kube
from yolo_operator.progress import ProgressPoller, last_progress
from yolo_operator.snapshot import PodView, view_pod
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


async def test_pods_that_do_not_answer_take_no_more_than_their_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that is gone lets each question wait for its time-out."""
    monkeypatch.setattr(progress, "POLLS_PER_SECOND", 10_000.0)
    store, asked = Store(), list[str]()

    class DeafKube:
        async def get_log_tail(self, namespace: str, pod: str) -> str:
            asked.append(pod)
            await asyncio.Event().wait()
            raise AssertionError

    for number in range(progress.POLLS_AT_ONCE + 5):
        store.put_pod(KEY, replace(_pod(), uid=f"uid-{number}", name=f"pod-{number}"))
    gone = replace(_pod(), uid="gone", name="gone", gone_by="2020-01-01T00:00:00Z")
    store.put_pod(KEY, gone)
    task = asyncio.create_task(ProgressPoller(cast("Kube", DeafKube()), store, 0.001).run(lambda key: None))
    async with asyncio.timeout(5):
        while len(asked) < progress.POLLS_AT_ONCE:  # noqa: ASYNC110 - the poller has no event for it
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(asked) == len(set(asked)) == progress.POLLS_AT_ONCE, (
        "each is asked once, and no more at a time"
    )
    assert "gone" not in asked, "its node counts as lost"
