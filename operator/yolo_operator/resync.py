"""A look at everything from time to time, and the proof that what we watch with is alive."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from yolo_kube.errors import KubeError
from yolo_kube.reflector import Reflector

from .kube import Kube
from .metrics import Metrics
from .store import Key, Store, parse_version

logger = logging.getLogger(__name__)

GRACE_SECONDS = 30.0
"""A watch that has not shown an object's version so long after a list did is dead (usual: under a second)."""
IDLE_SECONDS = 300.0
"""A reflector tries again after 30 s at most, and its watches last a minute."""
_SLICE = 100
"""Trainings that come into the queue at a time: events go on between them."""


class UnhealthyError(Exception):
    """The operator has to be restarted."""


class Resync:
    """Looks at all trainings anew, and compares a list of them with what kopf's watch has shown."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        namespaces: Iterable[str],
        seconds: float,
        add: Callable[[Key], None],
        reflectors: Sequence[Reflector] = (),
    ) -> None:
        self._kube = kube
        self._store = store
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._seconds = seconds
        self._add = add
        self._reflectors = reflectors
        self._ticked = time.monotonic()
        self._behind = 0

    async def run(self, metrics: Metrics) -> None:
        """Compare until cancelled; sooner again while something is amiss."""
        while True:
            await asyncio.sleep(GRACE_SECONDS if self._behind else self._seconds)
            try:
                await self._compare()
            except KubeError as error:
                # An API server that does not answer is no reason to restart the operator.
                logger.warning("resync failed", extra={"why": error.message})
            self._ticked = time.monotonic()
            metrics.watches_behind.set(self._behind)

    def check(self) -> None:
        """Raises UnhealthyError when a watch does not follow, or what watches and compares does not run."""
        if self._behind:
            raise UnhealthyError(f"the watch has missed {self._behind} trainings")
        if any(reflector.idle > IDLE_SECONDS for reflector in self._reflectors):
            raise UnhealthyError("Jobs or pods are not watched any more")
        if time.monotonic() - self._ticked > 2 * self._seconds + 600:
            raise UnhealthyError("the resync does not come round")

    async def _compare(self) -> None:
        versions, oldest = await self._list()
        drop_phantoms(self._store, versions, oldest)
        await self._look_at_all()
        missed = list_behind(self._store, versions)
        if missed:
            await asyncio.sleep(GRACE_SECONDS)
            still_there, _ = await self._list()
            missed = list_behind(self._store, {uid: versions[uid] for uid in missed if uid in still_there})
        self._behind = len(missed)
        if missed:
            logger.error("the watch does not follow", extra={"missed": len(missed)})

    async def _list(self) -> tuple[dict[str, str], int]:
        """resourceVersion of each training by uid, and the oldest version that a list had."""
        versions: dict[str, str] = {}
        lists = []
        for namespace in self._namespaces:
            found, version = await self._kube.list_versions(namespace)
            versions |= found
            lists.append(parse_version(version))
        return versions, min(lists)

    async def _look_at_all(self) -> None:
        keys = self._store.list_keys()
        for start in range(0, len(keys), _SLICE):
            for key in keys[start : start + _SLICE]:
                self._add(key)
            await asyncio.sleep(min(0.1, self._seconds / len(keys)))


def drop_phantoms(store: Store, versions: Mapping[str, str], oldest: int) -> None:
    """Forget what was deleted while the watch was down: kopf lists anew then and tells of no deletion.

    `versions` has what is there by uid; what is known from after the version `oldest` may be newer than that.
    """
    for uid, (key, version) in store.versions().items():
        if uid not in versions and version < oldest:
            store.drop_training(key, uid)


def list_behind(store: Store, versions: Mapping[str, str]) -> list[str]:
    """uids of the trainings that the watch has not shown, or not in this version."""
    known = store.versions()
    never = (("", ""), -1)
    return [uid for uid, version in versions.items() if known.get(uid, never)[1] < parse_version(version)]
