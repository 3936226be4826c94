"""The pods of one Job that train as one: who speaks for them, who ended them, how many there are.

A Job of one pod is a gang of one: the same rules, with nothing to choose.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from yolo_crds.conditions import Reason
from yolo_crds.status import Failure

from .diagnosis import diagnose
from .snapshot import JobView, PodView

FOLLOWERS = frozenset({Reason.PEER_LOST, Reason.INTERRUPTED})
"""What a pod says that ended because another one did, by itself or with the Job."""
_UNSURE = FOLLOWERS | {Reason.HUNG}
"""What another pod may explain: the first pod alone sees that nothing moves any more,
and what it waits for may be a GPU of another node."""


def newest_pods(pods: Iterable[PodView]) -> list[PodView]:
    """Of each index the pod that was created last, in the order of their indices."""
    newest: dict[int, PodView] = {}
    for pod in sorted(pods, key=lambda pod: (pod.created, pod.name)):
        newest[pod.index] = pod
    return [newest[index] for index in sorted(newest)]


def first_of(pods: Iterable[PodView]) -> PodView | None:
    """The pod that alone tells progress and the result."""
    return next((pod for pod in pods if pod.index == 0), None)


def speaker(job: JobView, pods: Sequence[PodView]) -> PodView | None:
    """The pod whose state is that of all: the one that is least far, and the first once all have started.

    None where one is missing: the Job's controller could not make it yet.
    """
    if len(pods) < job.nodes:
        return None
    return min(pods, key=lambda pod: (pod.started_at is not None, pod.node is not None, pod.index))


def culprit(job: JobView, pods: Sequence[PodView], now: datetime) -> tuple[PodView, Failure] | None:
    """The pod that ended the attempt, and how: of several the one with a cause of its own, then the earliest.

    None while nobody failed, or while those that failed only lost another one, or hung, and another one may
    be about to tell why.
    """
    over = [pod for pod in pods if pod.phase == "Failed" or pod.lost(now)]
    found = [(pod, diagnose(job, pod)) for pod in over]
    if not found:
        return None
    pod, why = min(found, key=lambda item: (_doubt(item[1].reason), _ended(item[0]), item[0].index))
    waits = _doubt(why.reason) > 0 and any(not pod.finished and not pod.lost(now) for pod in pods)
    return None if waits else (pod, why)


def count_pods(job: JobView, pods: Sequence[PodView]) -> str:
    """How far they are, in numbers; empty for a Job of one pod."""
    if job.nodes == 1:
        return ""
    failed = sum(pod.phase == "Failed" for pod in pods)
    if failed:
        return f"{failed} of {job.nodes} pods failed for want of another, whose own words are waited for"
    placed = sum(pod.node is not None for pod in pods)
    started = sum(pod.started_at is not None for pod in pods)
    if placed == job.nodes:
        return f"{started} of {job.nodes} pods run"
    return f"{placed} of {job.nodes} pods {'has' if placed == 1 else 'have'} a node"


def _doubt(reason: str) -> int:
    """How little a reason says of the cause."""
    return 0 if reason not in _UNSURE else 2 if reason in FOLLOWERS else 1


def _ended(pod: PodView) -> str:
    return pod.finished_at or pod.gone_by or pod.created
