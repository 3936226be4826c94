"""Back-off, deadlines, training time: all from times in the objects, so that no restart changes them."""

from datetime import datetime, timedelta

from yolo_crds.conditions import Reason
from yolo_crds.meta import Stage
from yolo_crds.status import Failure, Status
from yolo_crds.training import YoloTraining

from .attempt import Attempt
from .diagnosis import diagnose_predecessor, diagnose_waiting, failure
from .gang_timeout import retry_delay
from .snapshot import PodView, Snapshot, parse_time

BACKOFF_FIRST = timedelta(seconds=10)
BACKOFF_MOST = timedelta(minutes=5)
_BACKOFF_DOUBLINGS = 5
STEADY = timedelta(minutes=10)
"""An attempt that ran so long was sound: the next one starts after the shortest back-off."""
DEADLINE_SLACK = timedelta(seconds=60)
"""The pod itself keeps the active deadline; the operator steps in this long after the grace period."""


def next_job_due(view: Snapshot, before: Status, attempt: Attempt) -> datetime | None:
    """When the next Job may be created; None when at once.

    Counted from the end of the attempt before, so that a restart of the operator does not start it anew.
    """
    if attempt.number == 1 or attempt.stage != Stage.PREPARE or before.failure is None:
        return None
    moments = [parse_time(condition.last_transition_time) for condition in before.conditions]
    if before.failure.reason == Reason.GANG_INCOMPLETE:
        uid = str(view.training["metadata"]["uid"])
        due = max(moments, default=view.now) + retry_delay(uid, attempt.number)
        return due if due > view.now else None
    last = _last_ended(view, before, attempt.number - 1)
    ran = timedelta(0)
    if last is not None and last.finished_at is not None:
        ended = parse_time(last.finished_at)
        ran = ended - parse_time(last.started_at or last.finished_at)
    elif moments:
        ended = max(moments)
    else:
        return None
    doublings = 0 if ran >= STEADY else min(attempt.number - 2, _BACKOFF_DOUBLINGS)
    due = ended + min(BACKOFF_MOST, BACKOFF_FIRST * 2**doublings)
    return due if due > view.now else None


def _last_ended(view: Snapshot, before: Status, attempt: int) -> PodView | None:
    """The pod with which an earlier attempt ended, if it is still there: not a prepare that ended well."""
    ended = [
        pod
        for pod in view.pods
        if (pod.run, pod.attempt) == (before.run, attempt)
        and (pod.phase == "Failed" or (pod.finished and pod.stage == Stage.TRAIN))
    ]
    return max(ended, key=lambda pod: (pod.created, pod.name), default=None)


def trained_seconds(view: Snapshot, attempt: Attempt, before: Status) -> int:
    """How long the newest attempt has trained, so far or until its end; 0 where its training never began.

    Where its pod is gone without a trace, until the last progress that was stored.
    """
    pod = attempt.pod if attempt.pod is not None and attempt.pod.stage == Stage.TRAIN else None
    started = (pod and pod.started_at) or attempt_start_time(attempt, before)
    if started is None:
        return 0
    if pod is not None and pod.finished_at is not None:
        ended = parse_time(pod.finished_at)
    elif pod is not None or attempt.job is not None:
        ends = (pod and pod.gone_by, attempt.ended_at)
        ended = min([view.now, *(parse_time(end) for end in ends if end)])
    else:
        told = before.progress.updated_at if before.progress else None
        ended = min(view.now, parse_time(told or started))
    return max(0, round((ended - parse_time(started)).total_seconds()))


def taken_back_seconds(view: Snapshot, attempt: Attempt, before: Status) -> int:
    """How long the attempt's last pod trained, once it is clear that the attempt goes on without it.

    Else 0; so also once it has been counted, since the start is then no longer stored.
    """
    start, job = before.attempt_start_time, attempt.job
    if start is None or job is None or not _went_on(attempt, before):
        return 0
    ends = [p.finished_at for p in view.pods if p.started_at == start and p.finished_at]
    told = before.progress.updated_at if before.progress else None
    ended = (ends and ends[0]) or job.suspended_at or told or start
    return max(0, round((parse_time(ended) - parse_time(start)).total_seconds()))


def _went_on(attempt: Attempt, before: Status) -> bool:
    """Whether the attempt goes, or went, on without the pod whose start is stored: its Job is suspended and
    that pod gone, or another one has its place."""
    if before.attempt != attempt.number or attempt.job is None or not attempt.job.interruptible:
        return False
    pod, over = attempt.pod, attempt.ended_at is not None
    if pod is None:
        return attempt.job.suspended and not over
    if before.attempt_start_time in {one.started_at for one in attempt.pods}:
        return False
    # One that ended and does not say when it began may be that very pod.
    return pod.started_at is not None or not over


def attempt_start_time(attempt: Attempt, before: Status) -> str | None:
    """Since when the newest attempt trains or trained, also once its pod is gone.

    None before that, and again when its pod was taken back and the time of it is counted.
    """
    pod = attempt.pod
    if pod is not None and pod.stage == Stage.TRAIN and pod.started_at is not None:
        return pod.started_at
    if before.attempt != attempt.number or _went_on(attempt, before):
        return None
    return before.attempt_start_time


def deadlines(training: YoloTraining, attempt: Attempt, before: Status) -> list[datetime]:
    """When the newest Job's waiting or training is over at the latest; nothing counts while it is held."""
    lifecycle = training.spec.lifecycle
    if attempt.job is None or attempt.job.finished or attempt.job.suspended:
        return []
    started_at = attempt.pod.started_at if attempt.pod else None
    if started_at is None:
        pending, since = lifecycle.pending_deadline_seconds, _pod_awaited_since(training, attempt, before)
        return [since + timedelta(seconds=pending)] if pending and since else []
    left = lifecycle.active_seconds_left(before.active_seconds or 0)
    if left is None or attempt.stage != Stage.TRAIN:
        return []
    grace = timedelta(seconds=lifecycle.termination_grace_period_seconds)
    return [parse_time(started_at) + timedelta(seconds=max(1, left)) + grace + DEADLINE_SLACK]


def _pod_awaited_since(training: YoloTraining, attempt: Attempt, before: Status) -> datetime | None:
    """Since when the newest Job waits for its pod to start; None where nobody may hold that against it."""
    job, pod = attempt.job, attempt.pod
    if job is None:
        return None
    if not job.interruptible:
        return parse_time(min(before.waiting_since or job.created, job.created))
    if job.started_at is None or (pod is None and before.start_time is not None):
        return None
    # A queue hands quota on before the pod that it takes it from has left the node.
    leaves = timedelta(seconds=training.spec.lifecycle.termination_grace_period_seconds)
    return parse_time(max(job.started_at, pod.created if pod else "")) + leaves


def deadline_passed(
    view: Snapshot, training: YoloTraining, attempt: Attempt, before: Status
) -> Failure | None:
    """Why the run ends now; None while it may go on waiting, or training."""
    lifecycle = training.spec.lifecycle
    left = lifecycle.active_seconds_left(before.active_seconds or 0)
    # Not before prepare has looked whether the run had ended well: that needs no GPU.
    used_up = attempt.job is None and attempt.stage == Stage.TRAIN and left is not None and left <= 0
    if not used_up and not any(view.now >= deadline for deadline in deadlines(training, attempt, before)):
        return None
    if used_up or (attempt.pod is not None and attempt.pod.started_at is not None):
        whose = "the run's attempts" if lifecycle.active_deadline_scope == "Run" else "the attempt"
        message = f"{whose} trained for {lifecycle.active_deadline_seconds} s, which is the limit"
        reason = Reason.DEADLINE_EXCEEDED
    else:
        nodes = attempt.job.nodes if attempt.job else 1
        why = diagnose_waiting(attempt.pod, view.events, attempt.stage, nodes)
        why = why or diagnose_predecessor(attempt.pod, view.now)
        return _never_started(lifecycle.pending_deadline_seconds, attempt, why or _blocked_so_far(before))
    return failure(reason, message, attempt=attempt.number)


def _never_started(seconds: int | None, attempt: Attempt, why: Failure | None) -> Failure:
    message, hint = f"no pod started within {seconds} s", None
    if why is not None:
        message = f"{message}: {why.reason}: {why.message}"
        hint = f"{why.hint}; to let it wait longer, raise spec.lifecycle.pendingDeadlineSeconds and spec.run"
    return failure(Reason.PENDING_TOO_LONG, message, attempt=attempt.number, hint=hint)


def _blocked_so_far(before: Status) -> Failure | None:
    """What kept the attempt from starting when that was looked at last."""
    return before.failure if before.failure and before.failure.attempt is None else None


def ttl_over_at(training: YoloTraining, stored: Status) -> tuple[datetime, ...]:
    ttl = training.spec.lifecycle.ttl_seconds_after_finished
    if ttl is None or stored.completion_time is None:
        return ()
    return (parse_time(stored.completion_time) + timedelta(seconds=ttl),)
