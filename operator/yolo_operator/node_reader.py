"""Reads nodes, and what other pods take of them: only while a training waits for one, seldom, and softly."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from yolo_kube.errors import KubeError

from .kube import Kube
from .store import Key, Store

logger = logging.getLogger(__name__)

INTERVAL = 30.0
"""Seconds between two reads, and until the words of a training that waits are looked at again."""
_COST_PART = 0.05
"""Most of the time that reads may take: measured, 1,000 nodes take 0.2 s and 10,000 pods 5.5 s."""
WORDS_PER_SECOND = 2.0
"""Most waiting trainings that are looked at anew a second: each takes 0.1 s where 1,000 nodes have GPUs."""
FORBIDDEN_SECONDS = 600.0
"""How long nothing is asked of a kind that the installer does not let the operator read."""
_FORBIDDEN = 403


class _Kind:
    """One kind of object that is read, and when again; what goes wrong with it concerns no other kind."""

    def __init__(self, name: str, read: Callable[[], Awaitable[None]], forget: Callable[[], None]) -> None:
        self.name = name
        self._read = read
        self._forget = forget
        self._due = float("-inf")

    async def refresh(self) -> None:
        """Read it if it is due."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if began < self._due:
            return
        pause = INTERVAL
        try:
            await self._read()
        except KubeError as error:
            if error.code == _FORBIDDEN:
                self._forget()
                pause = FORBIDDEN_SECONDS
                logger.info("not readable", extra={"kind": self.name, "why": error.message})
            else:
                # What was read last still tells most.
                logger.warning("not read", extra={"kind": self.name, "why": error.message})
        ended = loop.time()
        self._due = ended + max(pause, (ended - began) / _COST_PART)


class NodeReader:
    """Keeps the store's nodes current for those that ask."""

    def __init__(self, kube: Kube, store: Store, namespaces: list[str]) -> None:
        self._kube = kube
        self._store = store
        self._served = namespaces
        self._reading = asyncio.Lock()
        self._nodes = _Kind("nodes", self._read_nodes, lambda: store.put_nodes(()))
        self._pods = _Kind("pods of all namespaces", self._read_pods, lambda: store.put_others(None))
        self._waiting: dict[Key, float] = {}

    async def read(self, key: Key) -> float:
        """Read what is due for a training that has no node; seconds until it is to be looked at again."""
        now = asyncio.get_running_loop().time()
        delay = max(INTERVAL, len(self._waiting) / WORDS_PER_SECOND)
        self._waiting[key] = now
        if len(self._waiting) > 1:
            self._waiting = {k: at for k, at in self._waiting.items() if now - at < 2 * delay}
        async with self._reading:
            await self._nodes.refresh()
            await self._pods.refresh()
        return delay

    async def read_nodes(self) -> None:
        """Read the nodes alone, if they are due."""
        async with self._reading:
            await self._nodes.refresh()

    async def _read_nodes(self) -> None:
        self._store.put_nodes(await self._kube.list_nodes())

    async def _read_pods(self) -> None:
        self._store.put_others(await self._kube.sum_pods(self._served))
