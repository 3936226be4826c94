"""The conditions and the phase that a verdict means."""

from dataclasses import dataclass

from yolo_crds.conditions import ConditionType, Phase, Reason
from yolo_crds.meta import Stage
from yolo_crds.status import Condition, Dataset, Failure

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
_TOLD_ONCE_TRUE = frozenset({ConditionType.STALLED, ConditionType.SUSPENDED, ConditionType.FAILED})
"""What is out of the ordinary: left out until it is true, as in a Job's status, and after that told as false
while the run goes on, for those who wait for that."""
_NOT_ENDED = "the run has not ended"
_ENDED = "the run has ended"
_AGAIN = "another attempt was asked for"
_MESSAGE_MAX = 512


@dataclass(frozen=True)
class _Now:
    """What all conditions are told from."""

    phase: Phase
    reason: str
    message: str
    """Where it stands."""
    blocked: Failure | None
    """What keeps the pod from starting."""
    dataset: Dataset | None


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
    view: Snapshot,
    verdict: Verdict,
    phase: Phase,
    stored: list[Condition],
    data_ready: bool,
    *,
    dataset: Dataset | None = None,
) -> list[Condition]:
    """All conditions that say something, each with the time at which its status changed last."""
    blocked = verdict.failure if verdict.state in {State.UNDER_WAY, State.WAITING} else None
    reason = derive_reason(verdict, phase)
    told = verdict.failure.message if verdict.failure else ""
    now = _Now(phase, reason, told or _message(verdict, phase), blocked, dataset)
    before = {condition.type: condition for condition in stored}
    told_before = before if view.training["status"].get("run") == verdict.run and not _ended(verdict) else {}
    generation = view.training["metadata"].get("generation")
    moment = _moment(view, verdict)
    conditions = []
    for type_, (status, why, message) in _statuses(verdict, now, data_ready).items():
        last = before.get(type_)
        if type_ in _TOLD_ONCE_TRUE and status == "False" and type_ not in told_before:
            continue
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
                message=message[:_MESSAGE_MAX],
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
    ended = _ended(verdict)
    failed, suspended = now.phase == Phase.FAILED, now.phase == Phase.SUSPENDED
    succeeded, admitted = now.phase == Phase.SUCCEEDED, _admitted(verdict)
    running = now.phase == Phase.RUNNING or (verdict.stage == Stage.PREPARE and _runs(verdict.pod))
    reason, said = now.reason, now.message
    pod_reason = str(now.blocked.reason) if now.blocked else reason

    def row(true: bool, yes: str = said, no: str = said, why: str = reason) -> tuple[str, str, str]:
        return ("True", why, yes) if true else ("False", why, no)

    rest = _ENDED if ended else None
    absent = "while it is suspended" if suspended else "now" if verdict.job is None else None
    # Of those that wait for each other the first has the words; the next would only repeat them.
    no_data = "its data is not checked yet" if verdict.attempt == 1 else "each attempt checks its data again"
    if ended:
        no_data = said if verdict.state == State.FAILED else "the run ended before its data was checked"
    no_job = rest or (f"no Job {absent}" if absent and not now.blocked else said)
    no_pod = rest or (f"no pod {absent}" if absent else said if admitted else "its Job is not admitted")
    outcome = {Phase.FAILED: f"the run failed: {reason}", Phase.TERMINATED: "the run was stopped"}
    return {
        # A suspended training is where it is wanted: who waits for it (helm --wait) would wait for a person.
        ConditionType.RECONCILING: row(not ended and not suspended, no=rest or said),
        ConditionType.STALLED: row(failed, no=_AGAIN),
        ConditionType.DATA_READY: row(True, _count(now.dataset), why=Reason.DATA_PREPARED)
        if data_ready
        else row(False, no=no_data),
        ConditionType.ADMITTED: row(True, _who_admits(verdict), why=Reason.ADMITTED)
        if admitted
        else row(False, no=no_job, why=pod_reason),
        ConditionType.POD_READY: row(running, _where(verdict), no_pod, pod_reason),
        ConditionType.PROGRESSING: row(running, no=rest or "its pod does not run", why=pod_reason),
        ConditionType.SUSPENDED: row(suspended, no="no longer suspended"),
        ConditionType.COMPLETE: row(succeeded, no=outcome.get(now.phase, _NOT_ENDED)),
        ConditionType.FAILED: row(failed, no=_AGAIN),
        ConditionType.FINISHED: row(ended, yes=outcome[Phase.FAILED] if failed else said, no=_NOT_ENDED),
    }


def _count(dataset: Dataset | None) -> str:
    """What was found in the data."""
    if dataset is None:
        return "the data is checked"
    parts = f" ({dataset.train_images} to train, {dataset.val_images} to validate)"
    boxes = f", {dataset.boxes} boxes" if dataset.boxes else ""
    classes = f" in {len(dataset.classes)} classes" if dataset.classes else ""
    return f"{dataset.images} images{parts if dataset.val_images else ''}{boxes}{classes}"


def _who_admits(verdict: Verdict) -> str:
    queue = verdict.job.queue if verdict.job else None
    return f"queue {queue} lets it run" if queue else "no queue holds it"


def _where(verdict: Verdict) -> str:
    """Which pod runs, and how many where there are several."""
    pod = verdict.pod
    if pod is None:
        return "its pod runs"
    counted = count_pods(verdict.job, verdict.pods) if verdict.job else ""
    return counted or f"pod {pod.name} runs on node {pod.node}"


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


def _ended(verdict: Verdict) -> bool:
    return verdict.state in ENDED or verdict.state == State.REFUSED


def _runs(pod: PodView | None) -> bool:
    return pod is not None and pod.running


_PHASE_WORDS = {
    Phase.PENDING: "accepted; its data is checked next",
    Phase.PREPARING: "its data is checked, before a GPU is asked for",
    Phase.QUEUED: "its data is ready; the pod waits for a node",
    Phase.STARTING: "the pod has a node; its image and volumes come",
    Phase.RUNNING: "the training runs",
    Phase.SUCCEEDED: "trained to its end",
}


def _message(verdict: Verdict, phase: Phase) -> str:
    """Where it stands, in words for those phases and states that no failure explains."""
    gave_way = verdict.before.failure.message if _gave_way(verdict) and verdict.before.failure else ""
    messages = {
        State.UNDER_WAY: count_pods(verdict.job, verdict.pods) if verdict.job else "",
        State.WAITING: gave_way or ("" if verdict.attempt == 1 else f"attempt {verdict.attempt} is due"),
        State.AGAIN: "the pod is gone, since spec.suspend is set",
        State.LEAVING: "the pod saves its state and leaves",
        State.SUSPENDED: "goes on from the last checkpoint when spec.suspend is false",
        State.TERMINATED: "stopped; raise spec.run and set resume to go on",
    }
    if told := messages.get(verdict.state):
        return told
    if phase == Phase.PREPARING and not _runs(verdict.pod):
        return "the pod that checks its data does not run yet"
    return _PHASE_WORDS.get(phase, "")


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
