"""A list of everything from time to time: finds what a watch missed, and a watch that is dead."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping

from yolo_crds import meta

from .kube import Kube, KubeError
from .metrics import Metrics
from .store import Key, Store, parse_version

logger = logging.getLogger(__name__)

RESOURCES = (meta.PLURAL, "jobs", "pods")
GRACE_SECONDS = 30.0
"""A watch that has not shown an object's version so long after a list did is dead (usual: under a second)."""


class UnhealthyError(Exception):
    """The operator has to be restarted."""


class Resync:
    """Compares lists with what the watches have shown."""

    def __init__(
        self, kube: Kube, store: Store, namespaces: Iterable[str], seconds: float, add: Callable[[Key], None]
    ) -> None:
        self._kube = kube
        self._store = store
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._seconds = seconds
        self._add = add
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
        """Raises UnhealthyError when the watches do not follow, or this very loop does not run."""
        if self._behind:
            raise UnhealthyError(f"the watches have missed {self._behind} objects")
        if time.monotonic() - self._ticked > 2 * self._seconds + 600:
            raise UnhealthyError("the resync does not come round")

    async def _compare(self) -> None:
        versions: dict[str, str] = {}
        oldest: int | None = None
        for resource in RESOURCES:
            for namespace in self._namespaces:
                found, version = await self._kube.list_versions(resource, namespace)
                versions |= found
                oldest = min(oldest or parse_version(version), parse_version(version))
        drop_phantoms(self._store, versions, oldest or 0)
        for key in self._store.list_keys():
            self._add(key)
        if count_behind(self._store, versions):
            await asyncio.sleep(GRACE_SECONDS)
        self._behind = count_behind(self._store, versions)
        if self._behind:
            logger.error("the watches do not follow", extra={"missed": self._behind})


def drop_phantoms(store: Store, versions: Mapping[str, str], oldest: int) -> None:
    """Forget what was deleted while a watch was down: kopf lists anew then and tells of no deletion.

    `versions` has what is there by uid; what is known from after the version `oldest` may be newer than that.
    """
    for uid, (key, version) in store.versions().items():
        if uid not in versions and version < oldest:
            store.drop_training(key, uid)
            store.drop_child(key, uid)


def count_behind(store: Store, versions: Mapping[str, str]) -> int:
    """How many objects the watches have not shown, or not in this version."""
    known = store.versions()
    never = (("", ""), -1)
    return sum(known.get(uid, never)[1] < parse_version(version) for uid, version in versions.items())
