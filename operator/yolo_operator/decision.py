"""All that follows from one snapshot: what it means, what is told of it, and what is to be done."""

from dataclasses import dataclass

from yolo_crds.conditions import ConditionType
from yolo_crds.status import Status

from .plan import Plan, plan
from .settings import Settings
from .snapshot import Snapshot
from .status import observe
from .verdict import State, Verdict, condition_reason, judge, parse_status


@dataclass(frozen=True)
class Decision:
    """Pure: the same snapshot gives the same one."""

    stored: Status
    """What the training says now."""
    verdict: Verdict
    status: Status
    """What it should say."""
    plan: Plan

    @property
    def weighs(self) -> bool:
        """Whether acting on a stale snapshot could do harm."""
        return (
            bool(self.plan.actions)
            or self.turns
            or self.verdict.taken_back_seconds > 0
            or self._drops_a_name
            or (self.verdict.terminal and self.verdict.state not in {State.SETTLED, State.REFUSED})
        )

    @property
    def turns(self) -> bool:
        """Whether the status has to be stored before anything else: it counts, or it ends something."""
        if condition_reason(self.status, ConditionType.FINISHED) and self.verdict.state != State.SETTLED:
            return True
        if self.verdict.state == State.AGAIN:
            return True
        now = (self.status.run, self.status.attempt, self.status.restarts)
        before = (self.stored.run, self.stored.attempt, self.stored.restarts)
        return self.stored.run is not None and now != before

    @property
    def _drops_a_name(self) -> bool:
        """Whether a Job or pod counts as gone; after a restart it may be that no watch has shown it yet."""
        job_gone = self.stored.job_name is not None and self.status.job_name is None
        return job_gone or (self.stored.pod_name is not None and self.status.pod_name is None)


def decide(view: Snapshot, settings: Settings) -> Decision:
    """What the snapshot means."""
    verdict = judge(view, settings)
    return Decision(
        parse_status(view.training), verdict, observe(view, verdict), plan(view, verdict, settings)
    )
