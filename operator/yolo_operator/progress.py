"""Progress from the log tails of running pods: polled, not followed, so there is no stream to lose."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from yolo_crds.trainer import ProgressLine, parse_progress

from .kube import Kube
from .snapshot import PodView
from .store import Key, Store

logger = logging.getLogger(__name__)

POLLS_PER_SECOND = 20.0
"""Most log requests a second, over all trainings."""
POLLS_AT_ONCE = 16
"""Most of them that wait for their kubelet: those of nodes that do not answer must not pile up."""


def last_progress(log: str) -> ProgressLine | None:
    """The newest progress line in a log tail; torn and foreign lines are passed over."""
    for line in reversed(log.splitlines()):
        if (progress := parse_progress(line)) is not None:
            return progress
    return None


class ProgressPoller:
    """Reads each running pod's tail every `interval` seconds."""

    def __init__(self, kube: Kube, store: Store, interval: float) -> None:
        self._kube = kube
        self._store = store
        self._interval = interval
        self._polled: dict[str, float] = {}
        self._asked: set[str] = set()
        """uids of the pods whose answer is awaited."""

    async def run(self, told: Callable[[Key], None]) -> None:
        """Poll until cancelled; whose turn was longest ago comes first. `told` gets the keys with news."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                for key, pod in self._due(loop.time()):
                    if len(self._asked) >= POLLS_AT_ONCE:
                        break
                    self._polled[pod.uid] = loop.time()
                    self._asked.add(pod.uid)
                    group.create_task(self._poll(key, pod, told))
                    await asyncio.sleep(1 / POLLS_PER_SECOND)
                await asyncio.sleep(min(1.0, self._interval / 2))

    async def read(self, namespace: str, pod: PodView) -> bool:
        """Read a pod's tail now; whether it says something new."""
        line = last_progress(await self._kube.get_log_tail(namespace, pod.name))
        return line is not None and self._store.put_progress(pod.uid, line)

    def _due(self, now: float) -> list[tuple[Key, PodView]]:
        wall = datetime.now(UTC)
        running = [
            (key, pod)
            for key, pod in self._store.pods()
            if pod.running and pod.index == 0 and not pod.lost(wall)
        ]
        self._polled = {pod.uid: self._polled.get(pod.uid, float("-inf")) for _, pod in running}
        due = [
            (key, pod)
            for key, pod in running
            if now - self._polled[pod.uid] >= self._interval and pod.uid not in self._asked
        ]
        return sorted(due, key=lambda item: self._polled[item[1].uid])

    async def _poll(self, key: Key, pod: PodView, told: Callable[[Key], None]) -> None:
        try:
            if await self.read(key[0], pod):
                told(key)
        except Exception as error:
            # The next poll may do better; a training does not fail for want of its progress.
            logger.warning(
                "progress was not read", extra={"namespace": key[0], "pod": pod.name}, exc_info=error
            )
        finally:
            self._asked.discard(pod.uid)
