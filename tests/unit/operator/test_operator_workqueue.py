"""The queue: one worker a key, coalescing, back-off, wake-ups."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from yolo_operator import workqueue
from yolo_operator.store import Key
from yolo_operator.workqueue import KeyedQueue

A: Key = ("lab", "a")
B: Key = ("lab", "b")


class Recorder:
    """Work that waits until it is let go, and remembers who ran beside whom."""

    def __init__(self) -> None:
        self.calls: list[Key] = []
        self.running: set[Key] = set()
        self.overlapped = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.outcomes: list[float | Exception | None] = []

    async def __call__(self, key: Key) -> float | None:
        self.overlapped |= key in self.running
        self.running.add(key)
        self.calls.append(key)
        await self.gate.wait()
        self.running.discard(key)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@asynccontextmanager
async def _running(work: Recorder) -> AsyncIterator[KeyedQueue]:
    queue = KeyedQueue(work, workers=3)
    task = asyncio.create_task(queue.run())
    yield queue
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not done():  # noqa: ASYNC110 - the queue has no event for it
            await asyncio.sleep(0.001)


async def test_add_coalesces_keys_that_wait() -> None:
    work = Recorder()
    queue = KeyedQueue(work)
    for _ in range(5):
        queue.add(A)
    assert len(queue) == 1


async def test_add_while_a_key_is_worked_on_runs_it_once_more_and_never_beside_itself() -> None:
    work = Recorder()
    work.gate.clear()
    async with _running(work) as queue:
        queue.add(A)
        await _until(lambda: work.calls == [A])
        for _ in range(5):
            queue.add(A)
        work.gate.set()
        await _until(lambda: len(work.calls) == 2 and not work.running)
    assert work.calls == [A, A]
    assert not work.overlapped


async def test_keys_run_beside_each_other() -> None:
    work = Recorder()
    work.gate.clear()
    async with _running(work) as queue:
        queue.add(A)
        queue.add(B)
        await _until(lambda: work.running == {A, B})


async def test_work_that_failed_is_tried_again_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workqueue, "BACKOFF_FIRST", 0.01)
    work = Recorder()
    work.outcomes = [RuntimeError("once")]
    async with _running(work) as queue:
        queue.add(A)
        await _until(lambda: work.calls.count(A) == 2)
        queue.add(B)
        await _until(lambda: B in work.calls)


async def test_returned_delay_wakes_the_key() -> None:
    work = Recorder()
    work.outcomes = [0.01]
    async with _running(work) as queue:
        queue.add(A)
        await _until(lambda: len(work.calls) == 2)
