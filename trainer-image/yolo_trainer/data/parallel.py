"""Work on many items with all CPUs of the container: in order, a bounded number under way, progress told."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait
from typing import Protocol, TypeVar

from ..cgroup import cpus, memory_limit

REPORT_SECONDS = 2.0
PROCESSES_FROM = 512
"""Items from which on starting processes (0.2 s) is worth it."""
SLOW_SECONDS = 0.0005
"""An item, from which on a volume counts as slow: a local one takes 20 to 100 microseconds."""
_SLOW_CHUNKS = 2  # in a row
PROCESS_BYTES = 64 << 20
"""What a process takes at most while it checks images (measured: 11 to 60 MiB)."""
OWN_BYTES = 512 << 20
"""What the stage itself takes: the descriptions of 100,000 images and their labels."""
_CHUNK = 32  # items that go to a process at a time: passing them costs little, and progress stays smooth
_AHEAD = 3  # chunks a worker that are under way

T = TypeVar("T")
R = TypeVar("R")


class Report(Protocol):
    """Takes the fields of a `ProgressLine` that prepare knows."""

    def __call__(self, **fields: object) -> None: ...


@dataclass(frozen=True)
class Workers:
    """Who does the work of a stage, and how many items they take at a time."""

    count: int
    chunk: int = _CHUNK
    in_processes: bool = False
    """Else in threads, which are for waiting: of Python they run one at a time."""

    @classmethod
    def computing(cls, total: int) -> Workers:
        """For work on `total` items that needs CPUs; few of them are not worth a start of processes."""
        count = min(cpus(), _processes_that_fit(memory_limit()))
        if total >= PROCESSES_FROM and count > 1:
            return cls(count, in_processes=True)
        return cls(cpus(), chunk=1)


def _processes_that_fit(limit: int | None) -> int:
    """How many processes there is room for within so many bytes."""
    return sys.maxsize if limit is None else max(1, (limit - OWN_BYTES) // PROCESS_BYTES)


def map_chunks(
    work: Callable[[list[T]], list[R]],
    items: Iterable[T],
    total: int,
    workers: Workers,
    stage: str,
    report: Report,
) -> Iterator[R]:
    """Results of the `total` items in their order; `work` takes a list and gives one result for each of it.

    Reports every two seconds and at the end. With processes `work`, items and results must be picklable;
    raises BrokenProcessPool when one of them is killed.
    """
    return _map_pooled(work, iter(items), workers, _Progress(stage, total, report))


def map_waiting(
    work: Callable[[list[T]], list[R]], items: Iterable[T], total: int, stage: str, report: Report
) -> Iterator[R]:
    """As `map_chunks`, for work that waits for a volume: in this thread as long as the volume answers at
    once, which further threads only slow down, and in many from where it does not, as over a network. One
    slow chunk is no sign yet: collecting garbage takes as long."""
    progress = _Progress(stage, total, report)
    todo, slow = iter(items), 0
    while chunk := list(islice(todo, _CHUNK)):
        started = time.monotonic()
        results = work(chunk)
        seconds = time.monotonic() - started
        progress.add(len(results))
        yield from results
        slow = slow + 1 if seconds > SLOW_SECONDS * len(chunk) else 0
        if slow == _SLOW_CHUNKS:
            yield from _map_pooled(work, todo, Workers(cpus() * 4), progress)


def _map_pooled(
    work: Callable[[list[T]], list[R]], todo: Iterator[T], workers: Workers, progress: _Progress
) -> Iterator[R]:
    pending: deque[Future[list[R]]] = deque()
    with _executor(workers, progress.stage) as pool:
        while True:
            while len(pending) < workers.count * _AHEAD and (chunk := list(islice(todo, workers.chunk))):
                pending.append(pool.submit(work, chunk))
            if not pending:
                return
            results = pending.popleft().result()
            progress.add(len(results))
            yield from results


def map_parallel(
    work: Callable[[T], R], items: Iterable[T], total: int, workers: int, stage: str, report: Report
) -> Iterator[R]:
    """As `map_chunks`, of one item at a time and in threads."""

    def each(chunk: list[T]) -> list[R]:
        return [work(item) for item in chunk]

    return map_chunks(each, items, total, Workers(workers, chunk=1), stage, report)


class _Progress:
    """Counts items and tells rate and time left."""

    def __init__(self, stage: str, total: int, report: Report) -> None:
        self.stage, self._total, self._report = stage, total, report
        self._done = 0
        self._started = self._last = time.monotonic()

    def add(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._last < REPORT_SECONDS and self._done < self._total:
            return
        self._last = now
        rate = self._done / max(now - self._started, 1e-6)
        self._report(
            stage=self.stage,
            batch=self._done,
            batches=self._total,
            percent=round(100 * self._done / self._total, 1),
            images_per_second=round(rate, 1),
            eta_seconds=round((self._total - self._done) / rate),
        )


@contextmanager
def _executor(workers: Workers, stage: str) -> Iterator[Executor]:
    """A pool whose waiting work is dropped when the block is left early."""
    pool: Executor
    if workers.in_processes:
        # Not forked from here: this process has threads. The server loads the modules once for all of them.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["yolo_trainer.data.locate"])
        pool = ProcessPoolExecutor(workers.count, context, initializer=_end_with_parent)
    else:
        pool = ThreadPoolExecutor(workers.count, thread_name_prefix=stage)
    try:
        yield pool
    except BaseException:
        # Threads write into folders that are cleaned up next; processes only read, and are not waited for.
        pool.shutdown(wait=not workers.in_processes, cancel_futures=True)
        raise
    pool.shutdown()


def _end_with_parent() -> None:
    """A worker ends when the process that it works for does, be it killed: nobody else would end it."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "an initializer runs in a child"

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
