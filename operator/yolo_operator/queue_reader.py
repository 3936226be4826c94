"""Reads what Kueue says about suspended Jobs: seldom, softly, and not at all where there is no Kueue."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from yolo_kube.errors import KubeError

from .kube import Kube
from .snapshot import JobView
from .store import Store
from .workload import Admission, WorkloadView, view_workload

logger = logging.getLogger(__name__)

INTERVAL = 15.0
"""Seconds between two reads of one Job; the first follow after 1, 2, 4 and 8: most changes come early."""
READS_PER_SECOND = 5.0
"""Most reads a second over all suspended Jobs, but for the first of each."""
ABSENT_SECONDS = 60.0
"""How long nothing is asked after the API server knows no Workloads, or does not show us a namespace's."""
_UNKNOWN, _FORBIDDEN = 404, 403
_FORGOTTEN_AFTER = 60.0
"""What was not read again so many seconds after it was due belongs to a Job or a queue that is gone."""
_Queue = tuple[str, str]
"""Namespace and name of a LocalQueue."""


@dataclass(frozen=True)
class _Turn:
    due: float
    reads: int = 0


@dataclass(frozen=True)
class _Places:
    read_at: float
    by_job: dict[str, int]
    """Place by the Job's uid."""


class QueueReader:
    """Keeps the store's `Admission` of each suspended Job current."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._store = store
        self._interval = interval
        self._clock = clock
        self._absent_until: dict[str | None, float] = {}
        """By namespace; None: in all of them."""
        self._turns: dict[str, _Turn] = {}
        self._places: dict[_Queue, _Places] = {}

    async def read(self, namespace: str, job: JobView) -> float:
        """Read what is due about a suspended Job; seconds until it is due again."""
        now = self._clock()
        if absent := self._absent_for(namespace, now):
            self._store.put_admission(job.uid, None)
            return absent
        turn = self._turns.get(job.uid, _Turn(now))
        if now < turn.due:
            return turn.due - now
        self._forget_old(now)
        await self._refresh(namespace, job, now)
        if absent := self._absent_for(namespace, now):
            return absent
        delay = max(min(self._interval, 2.0**turn.reads), (len(self._turns) + 1) / READS_PER_SECOND)
        self._turns[job.uid] = _Turn(now + delay, min(turn.reads + 1, 16))
        return delay

    def forget(self, uid: str) -> None:
        """The Job with this uid is not suspended any more: what was said of it no longer holds."""
        self._turns.pop(uid, None)
        self._store.put_admission(uid, None)

    def _absent_for(self, namespace: str, now: float) -> float:
        """Seconds for which the namespace's Workloads are not asked for; 0 where they are."""
        return max(0.0, *(self._absent_until.get(where, 0.0) - now for where in (None, namespace)))

    def _forget_old(self, now: float) -> None:
        """What no event tells of: Jobs deleted while they were read, and queues that nobody waits in."""
        for uid in [uid for uid, turn in self._turns.items() if now >= turn.due + _FORGOTTEN_AFTER]:
            self.forget(uid)
        kept = self._places.items()
        self._places = {queue: p for queue, p in kept if now < p.read_at + self._interval + _FORGOTTEN_AFTER}

    async def _refresh(self, namespace: str, job: JobView, now: float) -> None:
        try:
            found = await self._kube.list_workloads(namespace, job.uid)
        except KubeError as error:
            if error.code in {_UNKNOWN, _FORBIDDEN}:
                self._absent_until[namespace if error.code == _FORBIDDEN else None] = now + ABSENT_SECONDS
                self._store.put_admission(job.uid, None)
            else:
                # What was read last still tells most.
                logger.warning("workload was not read", extra={"job": job.name, "why": error.message})
            return
        workload = view_workload(found[0]) if found else None
        place = await self._place(namespace, job, workload, now)
        self._store.put_admission(job.uid, Admission(workload, place))

    async def _place(
        self, namespace: str, job: JobView, workload: WorkloadView | None, now: float
    ) -> int | None:
        if workload is None or workload.queue is None:
            return None
        queue = (namespace, workload.queue)
        known = self._places.get(queue)
        age = now - known.read_at if known else self._interval
        if known is None or age >= self._interval or (job.uid not in known.by_job and age >= 1):
            known = self._places[queue] = _Places(now, await self._read_places(queue))
        return known.by_job.get(job.uid)

    async def _read_places(self, queue: _Queue) -> dict[str, int]:
        try:
            pending = await self._kube.list_pending(*queue)
        except KubeError:
            return {}
        return {
            owner["uid"]: int(item["positionInClusterQueue"]) + 1
            for item in pending
            for owner in item["metadata"].get("ownerReferences") or ()
        }
