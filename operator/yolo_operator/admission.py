"""Why a Job is suspended that this operator did not suspend: what Kueue says about it, or that nobody does.

The words are those of Kueue 0.19.2, as seen on the real one; what is not known is told in Kueue's own words.
"""

from datetime import datetime, timedelta

from yolo_crds import meta
from yolo_crds.conditions import Reason
from yolo_crds.status import Failure

from .diagnosis import failure
from .snapshot import JobView, parse_time
from .workload import Admission, ConditionView, WorkloadView

NO_WORKLOAD_AFTER = timedelta(seconds=10)
"""A Job without a Workload so long after it was suspended is none that Kueue has taken up (usual: 0.1 s)."""
_NONE = ConditionView(true=False, reason="", message="")
_NO_QUEUE_HINT = (
    "Kueue holds Jobs without a queue here (manageJobsWithoutQueueName): name one in "
    "spec.template.scheduling (queueName, prepareQueueName) and raise spec.run, or in the Helm values"
)
_NO_WORKLOAD_HINT = (
    "does the WorkloadPriorityClass exist, is Kueue up, and does its managedJobsNamespaceSelector take in "
    "this namespace? Its log says more"
)


def diagnose_suspended(job: JobView, admission: Admission | None, now: datetime) -> Failure:
    """Why the Job waits. `admission` is None where there is no Kueue, or nothing was read of it yet."""
    workload = admission.workload if admission else None
    if workload is not None:
        return _diagnose_workload(workload, now)
    if admission is None or job.queue is None:
        return failure(Reason.SUSPENDED_BY_OTHERS, _tell_suspended(job))
    if now < parse_time(job.suspended_at or job.created) + NO_WORKLOAD_AFTER:
        return failure(Reason.WAITING_FOR_QUOTA, f"waits in queue {job.queue}")
    message = f"Kueue has not taken up the Job {job.name} for queue {job.queue}: there is no Workload for it"
    return failure(Reason.NOT_ADMITTED, message, hint=_NO_WORKLOAD_HINT)


def _tell_suspended(job: JobView) -> str:
    """Since when and by whom, as far as the Job says."""
    since = f" since {job.suspended_at}" if job.suspended_at else ""
    named = f" (its queue is {job.queue})" if job.queue else ""
    if job.suspended_by == meta.MANAGED_BY:
        by = ": by an admission webhook as it was created (Kueue's, with manageJobsWithoutQueueName?)"
    else:
        by = f": by the client {job.suspended_by}" if job.suspended_by else ""
    return f"the Job {job.name} is suspended by somebody else than this operator{since}{named}{by}"


def _diagnose_workload(workload: WorkloadView, now: datetime) -> Failure:
    conditions = workload.conditions
    evicted, quota = conditions.get("Evicted", _NONE), conditions.get("QuotaReserved", _NONE)
    if not workload.active:
        why = evicted.message or "The workload is deactivated"
        return failure(Reason.DEACTIVATED, f"workload {workload.name} is out of its queue: {why}")
    if (ended := conditions.get("Finished", _NONE)).true:
        return failure(Reason.NOT_ADMITTED, f"Kueue takes it for ended: {ended.message}")
    if conditions.get("Admitted", _NONE).true and not evicted.true:
        return failure(Reason.QUEUED, f"admitted: {quota.message}; the Job is about to start")
    if quota.reason == "Inadmissible":
        return _diagnose_inadmissible(workload, quota.message)
    if evicted.true and evicted.reason in _EVICTED:
        return failure(_EVICTED[evicted.reason], f"{evicted.message}{_tries_again(workload, now)}")
    if quota.true:
        return _waits(workload, Reason.NOT_ADMITTED, f"{quota.message}; its admission checks are not done")
    if not quota.message:
        # Kueue looks at one of those alike, and says nothing about the others.
        return _waits(workload, Reason.WAITING_FOR_QUOTA, "")
    return _waits(workload, _pending_reason(quota.message), quota.message)


_EVICTED = {
    "Preempted": Reason.PREEMPTED_IN_QUEUE,
    "PodsReadyTimeout": Reason.PODS_NOT_READY,
    "ClusterQueueStopped": Reason.QUEUE_STOPPED,
    "LocalQueueStopped": Reason.QUEUE_STOPPED,
}
"""Evictions that say more than what Kueue looked for afterwards."""


def _diagnose_inadmissible(workload: WorkloadView, message: str) -> Failure:
    if workload.queue is None:
        return failure(Reason.QUEUE_MISSING, "the Job names no queue", hint=_NO_QUEUE_HINT)
    if "doesn't exist" in message:
        return failure(Reason.QUEUE_MISSING, message)
    stopped = "inactive" in message or "stopped" in message.lower()
    return failure(Reason.QUEUE_STOPPED if stopped else Reason.NOT_ADMITTED, message)


def _pending_reason(message: str) -> Reason:
    # One flavor of several may be too small for ever, while another is only in use.
    if "insufficient unused quota" in message or "Pending the preemption" in message:
        return Reason.WAITING_FOR_QUOTA
    return Reason.EXCEEDS_QUEUE if "maximum capacity" in message else Reason.NOT_ADMITTED


def _waits(workload: WorkloadView, reason: Reason, why: str) -> Failure:
    return failure(reason, f"waits in queue {workload.queue}{f': {why}' if why else ''}")


def _tries_again(workload: WorkloadView, now: datetime) -> str:
    at = workload.requeue_at
    return f"; tried again at {at}" if at and parse_time(at) > now else ""
