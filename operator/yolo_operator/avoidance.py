"""Nodes that a training keeps away from after a GPU fault there: for a day, and while another one has room.

No node is touched: tainting or repairing it is its administrator's work. What is known is in the status, so
it outlives other failures in between, new runs, and the operator.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from yolo_crds.conditions import Reason
from yolo_crds.status import AvoidedNode, Failure, Status
from yolo_crds.training import YoloTraining

from .attempt import Attempt
from .diagnosis import failure
from .snapshot import parse_time

AVOIDED_FOR = timedelta(hours=24)
"""Longer than a reset or a restart of the node takes; a fault that is still there costs one attempt more."""
AVOIDED_MOST = 4
"""The newest ones: a run that fails on more nodes than this has another fault than theirs."""
PATIENCE = timedelta(minutes=10)
"""How long a pod waits for a node that is not avoided, before any will do; a queue's victim leaves before."""


def still_avoided(nodes: Iterable[AvoidedNode], now: datetime) -> list[AvoidedNode]:
    """Those whose time is not over."""
    return [node for node in nodes if now < parse_time(node.since) + AVOIDED_FOR]


def avoided_after(before: Status, why: Failure | None, ended_at: str | None) -> list[AvoidedNode]:
    """The avoided nodes once an attempt has failed so; none any more when no other node had room."""
    if why is None or ended_at is None:
        return before.avoided_nodes
    if why.reason == Reason.UNSCHEDULABLE:
        return []
    if why.reason != Reason.GPU_FAULT or why.node is None:
        return before.avoided_nodes
    others = [node for node in before.avoided_nodes if node.name != why.node]
    return [*others, AvoidedNode(name=why.node, since=ended_at)][-AVOIDED_MOST:]


def patience_ends(training: YoloTraining, attempt: Attempt) -> datetime | None:
    """Until when the newest pod waits for another node than its Job avoids; None where it does not."""
    job, pod = attempt.job, attempt.pod
    if job is None or not job.avoids or pod is None or pod.unscheduled is None or pod.finished:
        return None
    # A queue hands quota on before the pod that it takes it from has left the node.
    leaves = training.spec.lifecycle.termination_grace_period_seconds if job.interruptible else 0
    return parse_time(pod.created) + PATIENCE + timedelta(seconds=leaves)


def kept_away_too_long(training: YoloTraining, attempt: Attempt, now: datetime) -> Failure | None:
    """Why the attempt is given up for one that may go to any node; None while it may wait on."""
    ends = patience_ends(training, attempt)
    if ends is None or now < ends or attempt.job is None or attempt.pod is None:
        return None
    names = ", ".join(attempt.job.avoids)
    minutes = (ends - parse_time(attempt.pod.created)) // timedelta(minutes=1)
    return failure(
        Reason.UNSCHEDULABLE,
        f"for {minutes} minutes no node had room but those where a GPU failed ({names}); the next attempt "
        f"may go there again: {attempt.pod.unscheduled}",
        attempt=attempt.number,
        hint="look at the GPUs of the named nodes, or add a node",
    )
