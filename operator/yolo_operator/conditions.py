"""The conditions and the phase that a verdict means."""

from dataclasses import dataclass

from yolo_crds.conditions import ConditionType, Phase, Reason
from yolo_crds.meta import Stage
from yolo_crds.status import Condition, Failure

from .gang import count_pods
from .snapshot import PodView, Snapshot, print_time
from .verdict import ENDED, State, Verdict

_ENDED_PHASES = {
    State.REFUSED: Phase.FAILED,
    State.FAILED: Phase.FAILED,
    State.SUCCEEDED: Phase.SUCCEEDED,
    State.TERMINATED: Phase.TERMINATED,
    State.SUSPENDED: Phase.SUSPENDED,
}
_PHASE_REASONS = {
    Phase.PREPARING: Reason.PREPARING,
    Phase.QUEUED: Reason.QUEUED,
    Phase.STARTING: Reason.STARTING,
    Phase.RUNNING: Reason.TRAINING,
    Phase.SUCCEEDED: Reason.SUCCEEDED,
    Phase.TERMINATED: Reason.STOPPED_BY_USER,
    Phase.SUSPENDED: Reason.SUSPENDED_BY_USER,
}
_USER_DRIVEN = frozenset({State.LEAVING, State.SUSPENDED, State.TERMINATED})
_TOLD_WHEN_FALSE = frozenset(
    {ConditionType.DATA_READY, ConditionType.ADMITTED, ConditionType.POD_READY, ConditionType.PROGRESSING}
)
_MESSAGE_MAX = 512


@dataclass(frozen=True)
class _Now:
    """What all conditions are told from."""

    phase: Phase
    reason: str
    message: str
    blocked: Failure | None
    """What keeps the pod from starting."""


def derive_phase(view: Snapshot, verdict: Verdict) -> Phase:
    """One word for people."""
    if phase := _ENDED_PHASES.get(verdict.state):
        return phase
    if verdict.held:
        return Phase.QUEUED
    if verdict.state == State.UNDER_WAY:
        return _phase_under_way(verdict.stage, verdict.pod)
    if verdict.state == State.WAITING and verdict.stage == Stage.TRAIN:
        return Phase.QUEUED
    leaving = [pod for pod in view.pods if pod.running and not pod.lost(view.now)]
    if verdict.state == State.LEAVING and leaving:
        return _phase_under_way(leaving[0].stage, leaving[0])
    return Phase.PENDING


def derive_conditions(
    view: Snapshot, verdict: Verdict, phase: Phase, stored: list[Condition], data_ready: bool
) -> list[Condition]:
    """All conditions, each with the time at which its status changed last."""
    blocked = verdict.failure if verdict.state in {State.UNDER_WAY, State.WAITING} else None
    reason = derive_reason(verdict, phase)
    told = verdict.failure.message if verdict.failure else ""
    now = _Now(phase, reason, told or _message(verdict), blocked)
    before = {condition.type: condition for condition in stored}
    generation = view.training["metadata"].get("generation")
    moment = _moment(view, verdict)
    conditions = []
    for type_, (status, why, message) in _statuses(verdict, now, data_ready).items():
        last = before.get(type_)
        unchanged = last is not None and last.status == status
        # What told it may be gone, as a pod that was deleted: then it is now that it is seen.
        changed = print_time(view.now) if last and moment < last.last_transition_time else moment
        conditions.append(
            Condition(
                type=type_,
                status="True" if status == "True" else "False",
                observed_generation=generation,
                last_transition_time=last.last_transition_time if last and unchanged else changed,
                reason=why,
                # The others would only repeat it.
                message=message[:_MESSAGE_MAX] if status == "True" or type_ in _TOLD_WHEN_FALSE else "",
            )
        )
    return conditions


def derive_reason(verdict: Verdict, phase: Phase) -> str:
    """Why the training is where it is."""
    spec = verdict.training.spec if verdict.training else None
    if verdict.state in {State.FAILED, State.REFUSED} and verdict.failure:
        return str(verdict.failure.reason)
    if verdict.state == State.LEAVING and spec:
        return Reason.STOPPED_BY_USER if spec.stop else Reason.SUSPENDED_BY_USER
    if _gave_way(verdict):
        return Reason.GANG_INCOMPLETE
    if verdict.state == State.AGAIN:
        return Reason.RESTARTING if verdict.failure else Reason.SUSPENDED_BY_USER
    if phase == Phase.PENDING:
        return Reason.RESTARTING if verdict.attempt > 1 else Reason.ACCEPTED
    return _PHASE_REASONS[phase]


def _statuses(verdict: Verdict, now: _Now, data_ready: bool) -> dict[ConditionType, tuple[str, str, str]]:
    """(status, reason, message) by type, in the order in which they are written."""
    ended = verdict.state in ENDED or verdict.state == State.REFUSED
    failed = now.phase == Phase.FAILED
    running = now.phase == Phase.RUNNING or (verdict.stage == Stage.PREPARE and _runs(verdict.pod))
    reason, message = now.reason, now.message
    pod_reason = str(now.blocked.reason) if now.blocked else reason

    def row(true: bool, why: str = reason, what: str = message) -> tuple[str, str, str]:
        return "True" if true else "False", why, what

    return {
        # A suspended training is where it is wanted: who waits for it (helm --wait) would wait for a person.
        ConditionType.RECONCILING: row(not ended and now.phase != Phase.SUSPENDED),
        ConditionType.STALLED: row(failed),
        ConditionType.DATA_READY: row(True, Reason.DATA_PREPARED, "") if data_ready else row(False),
        ConditionType.ADMITTED: row(True, Reason.ADMITTED, "")
        if _admitted(verdict)
        else row(False, pod_reason),
        ConditionType.POD_READY: row(running, pod_reason),
        ConditionType.PROGRESSING: row(running, pod_reason),
        ConditionType.SUSPENDED: row(now.phase == Phase.SUSPENDED),
        ConditionType.COMPLETE: row(now.phase == Phase.SUCCEEDED),
        ConditionType.FAILED: row(failed),
        ConditionType.FINISHED: row(ended),
    }


def _phase_under_way(stage: Stage, pod: PodView | None) -> Phase:
    if stage == Stage.PREPARE:
        return Phase.PREPARING
    if pod is None or pod.node is None:
        return Phase.QUEUED
    return Phase.RUNNING if pod.started_at is not None else Phase.STARTING


def _admitted(verdict: Verdict) -> bool:
    """Whether no queue, and nobody else, holds the newest Job."""
    return verdict.job is not None and not verdict.job.suspended


def _gave_way(verdict: Verdict) -> bool:
    """Whether the pods have been given up, or are about to be, since not all of them found a node."""
    waits = verdict.state == State.WAITING and verdict.stage == Stage.PREPARE
    why = verdict.before.failure if waits else verdict.failure
    again = waits or verdict.state == State.AGAIN
    return again and why is not None and why.reason == Reason.GANG_INCOMPLETE


def _runs(pod: PodView | None) -> bool:
    return pod is not None and pod.running


def _message(verdict: Verdict) -> str:
    gave_way = verdict.before.failure.message if _gave_way(verdict) and verdict.before.failure else ""
    messages = {
        State.UNDER_WAY: count_pods(verdict.job, verdict.pods) if verdict.job else "",
        State.WAITING: gave_way or f"attempt {verdict.attempt} is due",
        State.LEAVING: "the pod saves its state and leaves",
        State.SUSPENDED: "goes on from the last checkpoint when spec.suspend is false",
        State.TERMINATED: "stopped; raise spec.run and set resume to go on",
    }
    return messages.get(verdict.state, "")


def _moment(view: Snapshot, verdict: Verdict) -> str:
    """When what is seen came about: told by the objects, where not a person or the clock caused it."""
    if verdict.ended_at is not None and (verdict.state in ENDED or verdict.state == State.AGAIN):
        return verdict.ended_at
    if verdict.state in _USER_DRIVEN:
        return print_time(view.now)
    times = [str(view.training["metadata"]["creationTimestamp"])]
    for job in view.jobs:
        times += [job.created, job.started_at or "", job.suspended_at or "", job.finished_at or ""]
    for pod in view.pods:
        times += [pod.created, pod.started_at or "", pod.finished_at or ""]
    return max(times)
