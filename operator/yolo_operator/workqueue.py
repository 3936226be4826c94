"""One queue of keys: at most one worker a key at a time, coalescing, with back-off after errors."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from .store import Key

logger = logging.getLogger(__name__)

Work = Callable[[Key], Awaitable[float | None]]
"""Does what is due for a key; returns after how many seconds to do so again without an event."""

BACKOFF_FIRST = 1.0
BACKOFF_MOST = 60.0
WORKERS = 16


class KeyedQueue:
    """Runs `work` for each added key; a key added while its work runs is worked on once more afterwards."""

    def __init__(self, work: Work, workers: int = WORKERS) -> None:
        self._work = work
        self._workers = workers
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._busy: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._errors: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._again)

    def add(self, key: Key) -> None:
        """Have the key worked on as soon as possible."""
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._run_worker())

    async def _run_worker(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._busy.add(key)
            if timer := self._timers.pop(key, None):
                timer.cancel()
            try:
                delay = await self._attempt(key)
            finally:
                self._busy.discard(key)
            if delay is not None:
                self._timers[key] = asyncio.get_running_loop().call_later(delay, self._ring, key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            # A settled training awaits nothing: thousands of them must not keep all else from running.
            await asyncio.sleep(0)

    async def _attempt(self, key: Key) -> float | None:
        try:
            wake = await self._work(key)
        except Exception as error:
            # Whatever went wrong with one training must not stop the others.
            count = self._errors[key] = self._errors.get(key, 0) + 1
            delay: float = min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** min(count - 1, 10))
            context = {"namespace": key[0], "training": key[1], "retry_seconds": delay}
            logger.warning("reconcile failed", extra=context, exc_info=error)
            return delay
        self._errors.pop(key, None)
        return wake

    def _ring(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)
