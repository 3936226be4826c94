"""In which order a reconcile looks, stores and acts: one pure function says the next step.

Each look may change the decision, so it is made anew after each step, and the order is a table: what comes
first is done first, and what has been done in this pass is not done again; but a stored status may let follow
what has waited for it. So a pass ends where nothing is left to do, and needs no echo of its own writes.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from typing import Self

from .decision import Decision
from .patch import status_patch
from .plan import wants_events, wants_last_events, wants_share
from .snapshot import Snapshot


class Step(Enum):
    """What a pass can do next, in the order in which it is asked for."""

    READ_LIVE = auto()
    """The training, its Jobs and pods from the API server: what follows weighs."""
    READ_LAST_EVENTS = auto()
    """Of a pod that is gone without a word."""
    READ_LAST_WORDS = auto()
    """The progress that a pod which has ended told last."""
    READ_SHARE = auto()
    """Into how many parts nodes divide their GPUs, for the batch of the next Job."""
    READ_EVENTS = auto()
    """Of a Job or pod that should long have started."""
    STORE_FIRST = auto()
    """The status, since it counts or ends something: before what follows from it."""
    ACT = auto()
    """Create and delete what the plan says."""
    READ_QUEUE = auto()
    """Kueue's words on a Job that is held."""
    READ_NODES = auto()
    """What there is for a pod that waits for a node."""
    STORE = auto()
    """The status, if there is anything new in it."""
    WAIT = auto()
    """Nothing is left to do: until an event, or a moment."""


_AFTER_STORING = frozenset({Step.STORE_FIRST, Step.ACT, Step.STORE})
"""What may be due once more when a status has been stored."""


@dataclass(frozen=True)
class Pass:
    """What one reconcile has found out and done so far."""

    view: Snapshot
    done: frozenset[Step] = frozenset()
    again: tuple[float, ...] = ()
    """Seconds after which something that was read has to be read again."""

    def after(self, step: Step) -> Self:
        """The pass with this step behind it."""
        stored = step in {Step.STORE_FIRST, Step.STORE}
        return replace(self, done=self.done - _AFTER_STORING if stored else self.done | {step})


def next_step(so_far: Pass, decision: Decision, now: datetime) -> Step:
    """The first step of the order that is due and has not been done."""
    return next(step for step in Step if step not in so_far.done and _due(step, so_far, decision, now))


def _due(step: Step, so_far: Pass, decision: Decision, now: datetime) -> bool:
    view, verdict = so_far.view, decision.verdict
    match step:
        case Step.READ_LIVE:
            return decision.weighs
        case Step.READ_LAST_EVENTS:
            return Step.READ_LIVE in so_far.done and wants_last_events(verdict) is not None
        case Step.READ_LAST_WORDS:
            pod = verdict.first
            return Step.READ_LIVE in so_far.done and pod is not None and pod.finished
        case Step.READ_SHARE:
            return wants_share(verdict)
        case Step.READ_EVENTS:
            stuck_at = wants_events(verdict)
            return stuck_at is not None and stuck_at <= view.now
        case Step.STORE_FIRST:
            return decision.turns and _is_new(view, decision, now)
        case Step.ACT:
            return bool(decision.plan.actions)
        case Step.READ_QUEUE:
            return verdict.held
        case Step.READ_NODES:
            return any(pod.waits_for_node for pod in view.pods)
        case Step.STORE:
            return _is_new(view, decision, now)
        case Step.WAIT:
            return True


def _is_new(view: Snapshot, decision: Decision, now: datetime) -> bool:
    return bool(status_patch(view.training["status"], decision.status, now))
