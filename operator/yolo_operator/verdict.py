"""What the objects mean, taken together: the one place where a run's course is decided.

`judge` is pure and level-based: `plan` turns its verdict into actions and `observe` into the status, so the
two never disagree, and a replay after a restart at any point comes to the same end.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import ValidationError

from yolo_crds import meta
from yolo_crds.conditions import BEGIN_ANEW, GO_ON, GOES_ON, NO_WAY_ON, RETRYABLE, ConditionType, Reason
from yolo_crds.meta import Stage
from yolo_crds.status import Failure, Remedy, Status, Waiting
from yolo_crds.trainer import Result
from yolo_crds.training import YoloTraining

from .attempt import Attempt, newest_attempt
from .avoidance import kept_away_too_long, patience_ends
from .blocked import diagnose_blocked
from .diagnosis import failure
from .gang import first_of
from .gang_timeout import incomplete_too_long, incomplete_until
from .rejected import rejected_too_often
from .remedies import choose_remedy
from .settings import Settings
from .sharing import refuse_parts
from .snapshot import JobView, PodView, Snapshot, Wire, print_time
from .timing import (
    attempt_start_time,
    deadline_passed,
    deadlines,
    next_job_due,
    taken_back_seconds,
    trained_seconds,
    ttl_over_at,
)

NOT_COUNTED = frozenset(
    {
        Reason.ADMISSION_REFUSED,
        Reason.GANG_INCOMPLETE,
        Reason.INTERRUPTED,
        Reason.EVICTED,
        Reason.PREEMPTED,
        Reason.NODE_LOST,
        Reason.PEER_LOST,
        Reason.POD_DELETED,
        Reason.UNSCHEDULABLE,
    }
)
"""Retryable reasons that are not the training's fault, and so cost none of its `maxRestarts`."""

REFUSED = frozenset({Reason.NAME_MISMATCH, Reason.INVALID_SPEC})
_NAME_HINT = "delete the object and create it under a name that fits"


class State(StrEnum):
    """Where a training stands."""

    REFUSED = "refused"
    """The object itself is wrong; nothing was or is started."""
    SETTLED = "settled"
    """The run has ended and its terminal status is stored."""
    WAITING = "waiting"
    """The next Job is due, now or when the back-off is over and older pods are gone."""
    UNDER_WAY = "underWay"
    """The newest Job is neither complete nor failed."""
    AGAIN = "again"
    """The attempt is over and another one follows."""
    LEAVING = "leaving"
    """Stopped or suspended; pods are saving."""
    SUSPENDED = "suspended"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TERMINATED = "terminated"


ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.TERMINATED})


@dataclass(frozen=True)
class Verdict:
    """Where a training stands, and what that was read from."""

    state: State
    training: YoloTraining | None
    """None only when the spec cannot be read."""
    before: Status
    """The status of this run so far: the stored one, emptied when a new run or a retry begins."""
    run: int
    attempt: int
    stage: Stage = Stage.PREPARE
    """The stage that the newest Job has, or the next one will have."""
    job: JobView | None = None
    pod: PodView | None = None
    """The one that speaks for the newest Job's pods, and after a failure the one that it came from."""
    pods: tuple[PodView, ...] = ()
    """All of them, by index."""
    prepared: Result | None = None
    """What this attempt's prepare told."""
    result: Result | None = None
    """What the end told."""
    failure: Failure | None = None
    """Why it ended, or what keeps it from starting."""
    remedy: Remedy | None = None
    """What the next attempt does otherwise."""
    ended_at: str | None = None
    trained_seconds: int = 0
    """How long the newest attempt has trained, so far or until its end."""
    taken_back_seconds: int = 0
    """How long it trained in a pod that a queue took back, where that is not counted yet."""
    attempt_start_time: str | None = None
    """Since when it trains, or trained."""
    waiting: Waiting | None = None
    """What it waits for that has no node, or is held in a queue."""
    wakes: tuple[datetime, ...] = field(default=())
    """Moments at which the clock alone can change the verdict."""

    @property
    def first(self) -> PodView | None:
        """The pod that alone tells progress."""
        return first_of(self.pods)

    @property
    def counted(self) -> bool:
        """Whether the failed attempt counts against `maxRestarts`."""
        return self.failure is not None and self.failure.reason not in NOT_COUNTED

    @property
    def held(self) -> bool:
        """Whether the newest Job is suspended, though this training does not ask for it."""
        return self.state == State.UNDER_WAY and self.job is not None and self.job.suspended

    @property
    def terminal(self) -> bool:
        return self.state in ENDED or self.state in {State.SETTLED, State.REFUSED}


def judge(view: Snapshot, settings: Settings) -> Verdict:
    """Where the training stands."""
    stored = parse_status(view.training)
    try:
        training = YoloTraining.model_validate({**view.training, "status": {}})
    except ValueError as error:
        return _refuse(view, stored, None, failure(Reason.INVALID_SPEC, explain(error)))
    try:
        wanted_name = training.wanted_name
    except ValueError as error:  # of the object's own name: `spec.modelName` is checked above
        why = failure(Reason.NAME_MISMATCH, f"metadata.name: {error}", hint=_NAME_HINT)
        return _refuse(view, stored, None, why)
    if wanted_name != training.name:
        message = f"model name {training.model_name!r} belongs to an object named {wanted_name!r}"
        return _refuse(view, stored, training, failure(Reason.NAME_MISMATCH, message))
    if is_settled(training, stored):
        run, attempt = training.spec.run, stored.attempt or 1
        return Verdict(State.SETTLED, training, stored, run, attempt, wakes=ttl_over_at(training, stored))
    before = _status_of_run(training, stored)
    return _judge_run(view, training, before, settings)


def _judge_run(view: Snapshot, training: YoloTraining, before: Status, settings: Settings) -> Verdict:
    attempt = newest_attempt(view, training, before)
    busy = [pod for pod in view.pods if not pod.finished and not pod.lost(view.now)]
    leaving = tuple(at for pod in busy if (at := pod.lost_at()))
    base = Verdict(
        State.WAITING,
        training,
        before,
        training.spec.run,
        attempt.number,
        stage=attempt.stage,
        job=attempt.job,
        pod=attempt.pod,
        pods=attempt.pods,
        prepared=attempt.prepared,
        result=attempt.result,
        failure=attempt.failure,
        ended_at=attempt.ended_at,
        trained_seconds=trained_seconds(view, attempt, before),
        taken_back_seconds=taken_back_seconds(view, attempt, before),
        attempt_start_time=attempt_start_time(attempt, before),
        wakes=leaving,
    )
    alive = bool(busy) or any(not job.finished for job in view.jobs)
    if attempt.done:
        return replace(base, state=State.FAILED if attempt.failure else State.SUCCEEDED)
    if training.spec.stop:
        if alive:
            return replace(base, state=State.LEAVING, failure=None)
        return replace(base, state=State.TERMINATED, failure=None, ended_at=print_time(view.now))
    if attempt.failure:
        return _judge_failure(base, attempt.failure, training)
    if training.spec.suspend:
        if attempt.job is not None or before.job_name:
            return replace(base, state=State.AGAIN)
        return replace(base, state=State.LEAVING if alive else State.SUSPENDED)
    if late := deadline_passed(view, training, attempt, before):
        return replace(base, state=State.FAILED, failure=late, ended_at=print_time(view.now))
    if attempt.job is None:
        return _judge_without_job(base, view, attempt)
    timeout = timedelta(seconds=settings.gang_timeout_seconds)
    away = kept_away_too_long(training, attempt, view.now)
    if waited := away or incomplete_too_long(attempt, timeout, view.now, before.failure):
        return replace(base, state=State.AGAIN, failure=waited, ended_at=print_time(view.now))
    blocked, waiting = diagnose_blocked(view, attempt, before)
    patience = (patience_ends(training, attempt), incomplete_until(attempt, timeout))
    wakes = (*deadlines(training, attempt, before), *leaving, *(at for at in patience if at))
    return replace(base, state=State.UNDER_WAY, failure=blocked, waiting=waiting, wakes=wakes)


def _judge_without_job(base: Verdict, view: Snapshot, attempt: Attempt) -> Verdict:
    """Whether the attempt's next Job is due, or can never be."""
    wrong = None
    if view.refusal is not None and view.refusal.reason == Reason.INVALID_SPEC:
        wrong = view.refusal.model_copy(update={"attempt": attempt.number})
    elif base.training and (parts := refuse_parts(base.training.spec.template.resources)):
        wrong = failure(Reason.GPUS_SHARED, parts, attempt=attempt.number)
    if wrong is not None:
        return replace(base, state=State.FAILED, failure=wrong, ended_at=print_time(view.now))
    due = next_job_due(view, base.before, attempt)
    return replace(base, failure=view.refusal, wakes=(due, *base.wakes) if due else base.wakes)


def _judge_failure(base: Verdict, why: Failure, training: YoloTraining) -> Verdict:
    """Whether another attempt can end otherwise and is allowed, and what it changes."""
    before, remedy = base.before, None
    if too_often := rejected_too_often(before, why):
        return replace(base, state=State.FAILED, failure=too_often)
    if base.stage == Stage.TRAIN:
        remedy = choose_remedy(why, base.attempt, training.spec.template, before.remedies)
    allowed = why.reason in NOT_COUNTED or before.restarts < training.spec.lifecycle.max_restarts
    if not allowed or (why.reason not in RETRYABLE and remedy is None):
        way = GO_ON if why.reason in RETRYABLE else BEGIN_ANEW
        return replace(base, state=State.FAILED, failure=_with_way_on(why, way))
    return replace(base, state=State.AGAIN, remedy=remedy, failure=_with_way_on(why, GOES_ON))


def _with_way_on(why: Failure, way: str) -> Failure:
    """With what the hint leaves open: who sees to it that the training goes on."""
    if why.reason in NOT_COUNTED | NO_WAY_ON or "spec.run" in (why.hint or ""):
        return why
    return why.model_copy(update={"hint": f"{why.hint}; {way}" if why.hint else way})


def parse_status(training: Wire) -> Status:
    """The stored status; an unreadable one, as another version may leave it, counts as none."""
    try:
        return Status.model_validate(training.get("status") or {})
    except ValidationError:
        return Status()


def explain(error: ValueError) -> str:
    """What is wrong with a spec, in one sentence a field."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors()[:5]
    )


def condition_reason(status: Status, type_: ConditionType) -> str | None:
    """The reason of a condition that is True; None otherwise."""
    return next((c.reason for c in status.conditions if c.type == type_ and c.status == "True"), None)


def is_settled(training: YoloTraining, stored: Status) -> bool:
    """Whether this run's end is stored and nobody asked for another try."""
    reason = condition_reason(stored, ConditionType.FINISHED)
    if stored.run is None or reason is None or _object_refused(stored):
        return False
    return training.spec.run <= stored.run and not _retry_wanted(training, stored)


def _object_refused(stored: Status) -> bool:
    """Whether the run ended before it began; when the API server refuses its Job, an attempt has failed."""
    failed = stored.failure is not None and stored.failure.attempt is not None
    return condition_reason(stored, ConditionType.FINISHED) in REFUSED and not failed


def retry_nonce(training: YoloTraining) -> str | None:
    """The value of the retry annotation."""
    annotations = training.metadata.get("annotations")
    value = annotations.get(meta.ANNOTATION_RETRY) if isinstance(annotations, dict) else None
    return str(value) if value else None


def _retry_wanted(training: YoloTraining, stored: Status) -> bool:
    nonce = retry_nonce(training)
    can = condition_reason(stored, ConditionType.COMPLETE) is None and not training.spec.stop
    return can and nonce is not None and nonce != stored.retry


def _refuse(view: Snapshot, stored: Status, training: YoloTraining | None, why: Failure) -> Verdict:
    run = view.training.get("spec", {}).get("run", 1)
    return Verdict(
        State.REFUSED,
        training,
        stored,
        run=run if isinstance(run, int) else 1,
        attempt=stored.attempt or 1,
        failure=why,
        ended_at=view.training["metadata"]["creationTimestamp"],
    )


def _status_of_run(training: YoloTraining, stored: Status) -> Status:
    """The stored status as far as it speaks of the wanted run; a retry goes on with the next attempt."""
    if stored.run != training.spec.run:
        return Status(run=training.spec.run, avoided_nodes=stored.avoided_nodes)
    if condition_reason(stored, ConditionType.FINISHED) is None:
        return stored
    if _object_refused(stored):
        return Status(run=training.spec.run, avoided_nodes=stored.avoided_nodes)
    return Status(
        run=stored.run,
        attempt=(stored.attempt or 0) + 1,
        start_time=stored.start_time,
        progress=stored.progress,
        printed=stored.printed,
        best=stored.best,
        weights=stored.weights,
        dataset=stored.dataset,
        remedies=stored.remedies,
        avoided_nodes=stored.avoided_nodes,
    )
