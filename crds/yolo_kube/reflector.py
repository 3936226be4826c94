"""A collection of objects followed as they change: a list, page by page, then a chain of watches."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

from .connection import Connection, Manifest, Page, Patience, WatchEvent
from .errors import GoneError, KubeError

logger = logging.getLogger(__name__)

WATCH_SECONDS = 60
"""After so long the API server ends a watch; asking again is how a half-open connection is noticed."""
_SILENT_SECONDS = 600.0
"""After watches without a word for so long it is listed anew. Mostly nothing happened; but a watch from a
version that a store which was restored from a backup has not reached hears nothing either, and no error."""
_BACK_OFF = (0.5, 30.0)
_LIST_PATIENCE = Patience(seconds=60.0, tries=1)


class Source(Protocol):
    """Where a collection is had from."""

    def pages(self) -> AsyncIterator[Page]:
        """All objects. Raises KubeError."""
        ...

    def watch(self, version: str) -> AsyncIterator[WatchEvent]:
        """Changes since a version of the collection. Raises GoneError, KubeError."""
        ...


@dataclass(frozen=True)
class Collection:
    """Objects of one kind at the API server."""

    connection: Connection
    path: str
    """Such as `/api/v1/namespaces/lab/pods`."""
    resource: str
    """Such as `pods`, for metrics."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Selectors."""

    def pages(self) -> AsyncIterator[Page]:
        return self.connection.pages(self.path, self.resource, self.query, patience=_LIST_PATIENCE)

    def watch(self, version: str) -> AsyncIterator[WatchEvent]:
        return self.connection.watch(self.path, self.resource, version, self.query, seconds=WATCH_SECONDS)


class Listener(Protocol):
    """Who wants to know what is there. What it raises is logged and keeps it from no other object."""

    def put(self, body: Manifest) -> object:
        """The object is there, in this state; perhaps told before, perhaps already known in a newer one."""
        ...

    def drop(self, body: Manifest) -> None:
        """The object, which was last in this state, is gone."""
        ...

    def keep(self, uids: AbstractSet[str], version: int) -> None:
        """Of what is known from before `version`, only objects with these uids are still there."""
        ...

    def forget(self) -> None:
        """The store was restored from a backup: nothing that is known holds, deletions included."""
        ...


class Reflector:
    """Tells a listener what is there and what is not any more, deletions while nobody watched included."""

    def __init__(self, source: Source, listener: Listener, name: str) -> None:
        self._source = source
        self._listener = listener
        self._name = name
        self._version: str | None = None
        self._newest = 0
        self._told = 0.0
        self._heard: float | None = None
        self._tried = time.monotonic()
        self.synced = asyncio.Event()
        """Set when all has been told once."""

    @property
    def age(self) -> float:
        """Seconds since the API server was last heard of this collection; infinite before the first list."""
        return float("inf") if self._heard is None else time.monotonic() - self._heard

    @property
    def idle(self) -> float:
        """Seconds since it last tried or heard anything: this very task is dead when they are many."""
        return time.monotonic() - max(self._tried, self._heard or 0.0)

    async def run(self) -> None:
        """Follow the collection until cancelled; no failure ends it."""
        low, high = _BACK_OFF
        delay = low
        while True:
            started = self._tried = time.monotonic()
            try:
                if self._version is None:
                    await self._list()
                await self._watch()
            except GoneError:
                self._version = None
                logger.info("the history of %s is gone; listed again", self._name)
            except KubeError as error:
                logger.warning("%s are not heard of", self._name, extra={"why": error.message})
            except Exception:
                self._version = None
                logger.exception("%s are not heard of, unexpectedly", self._name)
            else:
                if time.monotonic() - started >= 1.0:  # a watch that came to its end
                    delay = low
                    continue
            delay = low if time.monotonic() - started > high else min(delay * 2, high)
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret

    async def _list(self) -> None:
        uids: set[str] = set()
        version = "0"
        async for page in self._source.pages():
            self._hear()
            version = page.resource_version
            if int(version) < self._newest:
                # A store that was restored from a backup counts from there.
                logger.warning("the history of %s has gone back", self._name)
                self._listener.forget()
                self._newest = 0
            for body in page.items:
                uids.add(body["metadata"]["uid"])
                self._tell(self._listener.put, body)
            await asyncio.sleep(0)
        self._listener.keep(uids, int(version))
        self._reach(version)
        self.synced.set()

    async def _watch(self) -> None:
        assert self._version is not None
        async for event in self._source.watch(self._version):
            self._hear()
            if event.kind == "DELETED":
                self._tell(self._listener.drop, event.object)
            elif event.kind != "BOOKMARK":
                self._tell(self._listener.put, event.object)
            self._reach(event.object["metadata"]["resourceVersion"])
        self._hear()
        if time.monotonic() - self._told >= _SILENT_SECONDS:
            self._version = None

    def _reach(self, version: str) -> None:
        self._version = version
        self._newest = int(version)
        self._told = time.monotonic()

    def _tell(self, listener: Callable[[Manifest], object], body: Manifest) -> None:
        try:
            listener(body)
        except Exception:
            metadata = body.get("metadata") or {}
            named = {"namespace": metadata.get("namespace"), "object": metadata.get("name")}
            logger.exception("one of the %s is passed over", self._name, extra=named)

    def _hear(self) -> None:
        self._heard = time.monotonic()
