"""Kubernetes Events for people: what has changed of a training, each change once.

A change is seen where one status is replaced by another, and told once the new one is stored. So nothing is
told again by a restart of the operator or for a training that has ended, and of two operators only that one
tells whose patch was taken. The name is a function of the change: what comes back, as a wait that had another
reason in between, is there already (409).
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from yolo_crds import meta
from yolo_crds.conditions import TERMINAL_PHASES, Phase, Reason
from yolo_crds.status import Failure, Status

from .kube import Kube
from .message import find_nothing_left
from .snapshot import Wire, print_time
from .verdict import State, Verdict

logger = logging.getLogger(__name__)

WAITING_MOST = 1000
"""Events that are not written yet; more are dropped: what counts is in the status."""
_MESSAGE_MAX = 1024
"""As events.k8s.io has it for its notes; the older kind has no bound."""
_MENDED_BY_TIME = frozenset(
    {
        Reason.GANG_INCOMPLETE,
        Reason.PREEMPTED_IN_QUEUE,
        Reason.QUOTA_EXCEEDED,
        Reason.WAITING_FOR_QUOTA,
    }
)


@dataclass(frozen=True)
class Change:
    """What there is to tell."""

    reason: str
    message: str
    key: tuple[object, ...]
    """What tells it from all others of the same object."""
    warning: bool = False


def find_change(before: Status, after: Status, verdict: Verdict) -> Change | None:
    """What a person would want to hear of the step from one stored status to the next; mostly nothing."""
    if before.run != after.run:
        before = Status()
    if after.phase in TERMINAL_PHASES:
        return None if _end(before) == _end(after) else _finished(after)
    if verdict.state == State.AGAIN and verdict.failure is not None and before.attempt != after.attempt:
        return _restarting(after, verdict, verdict.failure)
    if after.phase == Phase.RUNNING and before.attempt_start_time != after.attempt_start_time:
        where = ", ".join(f"pod {pod.name} on node {pod.node}" for pod in verdict.pods)
        message = f"run {after.run}, attempt {after.attempt} trains in {where}"
        return Change("Started", message, (after.attempt, after.attempt_start_time))
    waits = _blocked(after)
    if waits is None or waits.reason == (was.reason if (was := _blocked(before)) else None):
        return None
    return _waiting(after, waits)


def build_event(training: Wire, run: int | None, change: Change, now: datetime) -> dict[str, Any]:
    """The Event. Of the older kind (core v1): kubectl sorts those by the time, and shows their age, in all
    versions; it reads both from there.
    """
    metadata = training["metadata"]
    told = repr((metadata["uid"], run, change.reason, *change.key))
    moment = print_time(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name']}.{hashlib.sha256(told.encode()).hexdigest()[:16]}",
            "namespace": metadata["namespace"],
        },
        "involvedObject": {
            "apiVersion": meta.API_VERSION,
            "kind": meta.KIND,
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "type": "Warning" if change.warning else "Normal",
        "reason": change.reason,
        "message": change.message[:_MESSAGE_MAX],
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "source": {"component": meta.MANAGED_BY},
        "reportingComponent": f"{meta.GROUP}/{meta.MANAGED_BY}",
    }


class Announcer:
    """Writes Events beside the reconciling, which neither waits for one nor fails with it."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._queue: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue(WAITING_MOST)

    def tell(self, event: Mapping[str, Any]) -> None:
        """Have it written, unless too many wait already."""
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            logger.warning("event dropped", extra={"event": event["metadata"]["name"]})

    async def run(self) -> None:
        """Write until cancelled, each one once."""
        while True:
            event = await self._queue.get()
            try:
                await self._kube.create_event(event["metadata"]["namespace"], event)
            except Exception as error:
                # Whatever it is: the status tells the same.
                context = {"event": event["metadata"]["name"], "why": str(error)}
                logger.warning("event not written", extra=context)


def _end(status: Status) -> tuple[object, ...]:
    return status.attempt, status.phase, status.failure.reason if status.failure else None


def _finished(after: Status) -> Change:
    printed, key = after.printed, (after.attempt,)
    reached = f" at epoch {printed.epoch}" if printed and printed.epoch else ""
    metric = f", {printed.metric}" if printed and printed.metric else ""
    if after.phase == Phase.SUCCEEDED:
        nothing = find_nothing_left(after)
        told = f"run {after.run}: {nothing}" if nothing else f"run {after.run} succeeded{reached}{metric}"
        return Change(Reason.SUCCEEDED, told, key)
    if after.phase == Phase.TERMINATED:
        return Change(Reason.STOPPED_BY_USER, f"run {after.run} was stopped{reached}{metric}", key)
    why = after.failure
    message = f"run {after.run} failed{reached}: {_words(why)}" if why else f"run {after.run} failed{reached}"
    return Change("Failed", message, (*key, why.reason if why else None), warning=True)


def _restarting(after: Status, verdict: Verdict, why: Failure) -> Change:
    if why.reason == Reason.GANG_INCOMPLETE:
        # It takes its turns for hours, and starts nothing anew.
        return Change(Reason.GANG_INCOMPLETE, _words(why), (after.waiting_since,))
    message = f"attempt {verdict.attempt} ended: {why.reason}: {why.message}; attempt {after.attempt} follows"
    if remedy := verdict.remedy:
        message += f" with {remedy.argument} {remedy.after} instead of {remedy.before}"
    return Change("Restarting", message, (after.attempt,), warning=True)


def _waiting(after: Status, why: Failure) -> Change:
    # Attempts that were given up for want of nodes wait on: as one wait, told once.
    since = after.waiting_since or after.attempt
    return Change(str(why.reason), _words(why), (since,), warning=why.reason not in _MENDED_BY_TIME)


def _blocked(status: Status) -> Failure | None:
    """What keeps the newest attempt from starting; a failure with an attempt is that of an earlier one."""
    why = status.failure
    return why if why is not None and why.attempt is None else None


def _words(why: Failure) -> str:
    hint = f" ({why.hint})" if why.hint else ""
    return f"{why.reason}: {why.message}{hint}"
