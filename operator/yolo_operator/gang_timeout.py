"""All or nothing, where no queue sees to it: pods that hold GPUs which others lack are given up for a while.

Without it two trainings that each hold half of the GPUs would wait for each other for ever.
"""

import hashlib
from datetime import datetime, timedelta

from yolo_crds.conditions import Reason
from yolo_crds.status import Failure

from .attempt import Attempt
from .avoidance import PATIENCE
from .diagnosis import failure
from .gang import count_pods
from .snapshot import parse_time

RETRY_FIRST = timedelta(seconds=30)
RETRY_MOST = timedelta(minutes=10)
_RETRY_DOUBLINGS = 5


def incomplete_until(attempt: Attempt, timeout: timedelta) -> datetime | None:
    """Until when those that have a node hold it while others have none; None where none is held for nothing.

    A pod that has its node is on its way, however long an image takes. A queue counts GPUs for all pods at
    once. Where nodes are avoided, those come into question first (`avoidance`).
    """
    job, pods = attempt.job, attempt.pods
    if job is None or job.nodes == 1 or job.interruptible or any(pod.finished for pod in pods):
        return None
    placed = [pod.scheduled_at for pod in pods if pod.scheduled_at]
    if not placed or len(placed) == job.nodes:
        return None
    # One that was deleted by force is replaced alone; it has the same time to find a node.
    since = max(min(placed), *(pod.created for pod in pods))
    return parse_time(since) + timeout + (PATIENCE if job.avoids else timedelta(0))


def incomplete_too_long(
    attempt: Attempt, timeout: timedelta, now: datetime, told: Failure | None = None
) -> Failure | None:
    """Why the attempt is given up, so that others may use its GPUs; None while it may wait on.

    `told` is what the status said before: it alone knows of a pod that the API server refuses.
    """
    until = incomplete_until(attempt, timeout)
    if until is None or now < until or attempt.job is None:
        return None
    missing = next((f": {pod.unscheduled}" for pod in attempt.pods if pod.unscheduled), "")
    refused = told if told and told.attempt is None and len(attempt.pods) < attempt.job.nodes else None
    if refused is not None:
        missing = f": {refused.message.removeprefix(f'{count_pods(attempt.job, attempt.pods)}; ')}"
    message = (
        f"only {count_pods(attempt.job, attempt.pods)} after {timeout.total_seconds():g} s; what was held is "
        f"free until the next attempt{missing}"
    )
    hint = refused.hint if refused else None
    return failure(Reason.GANG_INCOMPLETE, message, attempt=attempt.number, hint=hint)


def retry_delay(uid: str, attempt: int) -> timedelta:
    """How long the GPUs of a gang that was given up stay free, before `attempt` asks for them again.

    Half to one and a half of a time that doubles: two that hold what the other needs draw ever farther apart.
    Derived from the object, so that a restart of the operator does not draw again.
    """
    digest = hashlib.sha256(f"{uid}/{attempt}".encode()).digest()
    share = int.from_bytes(digest[:4]) / 2**32
    doublings = min(max(attempt - 2, 0), _RETRY_DOUBLINGS)
    middle = min(RETRY_MOST, RETRY_FIRST * 2.0**doublings)
    return middle * (0.5 + share)
