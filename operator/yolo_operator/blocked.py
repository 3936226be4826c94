"""What keeps the newest Job or its pods from starting, whoever it is that lets them wait."""

from yolo_crds.conditions import Reason
from yolo_crds.status import Failure, Status, Waiting

from .admission import diagnose_suspended
from .attempt import Attempt
from .diagnosis import diagnose_predecessor, diagnose_waiting
from .gang import count_pods
from .nodes import turn_of
from .snapshot import Snapshot
from .waiting import explain_waiting


def diagnose_blocked(
    view: Snapshot, attempt: Attempt, before: Status
) -> tuple[Failure | None, Waiting | None]:
    """Why it does not start, and what there is to wait for; None and None while all goes its way."""
    job, pod = attempt.job, attempt.pod
    if job is not None and job.suspended:
        admission = view.admissions.get(job.uid)
        waiting = Waiting(since=job.suspended_at, place=admission.place if admission else None)
        return diagnose_suspended(job, admission, view.now), waiting
    blocked = diagnose_waiting(pod, view.events, attempt.stage, job.nodes if job else 1)
    blocked = blocked or diagnose_predecessor(pod, view.now)
    if pod is None or blocked is None or blocked.reason != Reason.UNSCHEDULABLE:
        return _of_several(attempt, blocked), None
    missing = [one for one in attempt.pods if one.waits_for_node] or [pod]
    since, around = before.waiting_since or pod.created, view.surroundings
    # However long the training has waited: pods that were given up meanwhile have lost their place.
    turn = turn_of((one.created, one.uid) for one in missing)
    told, awaited = explain_waiting(
        blocked.message, pod.ask, since, around, view.now, before.waiting, len(missing), turn
    )
    return _of_several(attempt, told), awaited


def _of_several(attempt: Attempt, blocked: Failure | None) -> Failure | None:
    """What keeps the pod that is least far, with the number of those that wait for it."""
    if blocked is None or attempt.job is None or not (counted := count_pods(attempt.job, attempt.pods)):
        return blocked
    return blocked.model_copy(update={"message": f"{counted}; {blocked.message}"})
