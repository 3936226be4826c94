"""`status.message`: one sentence that says where a training stands, and what a person can do."""

from yolo_crds.conditions import Phase
from yolo_crds.status import Failure, Printed, Status
from yolo_crds.trainer import NOTHING_LEFT

from .gang import count_pods
from .printed import print_count
from .verdict import State, Verdict

MESSAGE_MOST = 700
"""Characters: the longest words on waiting (`waiting.MESSAGE_MOST`) with their advice."""
_COUNT_MOST = len("; 20 warnings, see status.warnings")


def build_message(verdict: Verdict, status: Status) -> str:
    """The sentence for a status that is complete but for it."""
    told = _tell(verdict, status, status.printed or Printed())
    if status.warnings:
        told = f"{told}; {print_count(status.warnings)}, see status.warnings"
    return _cut(told, MESSAGE_MOST)


def _tell(verdict: Verdict, status: Status, printed: Printed) -> str:
    why, phase = status.failure, status.phase
    if why is not None and (phase == Phase.FAILED or why.attempt is None):
        return _advise(why)
    at = f" at epoch {printed.epoch}" if printed.epoch else ""
    if phase == Phase.SUSPENDED:
        return f"suspended{at}; goes on from the last checkpoint when spec.suspend is false"
    if phase == Phase.TERMINATED:
        again = f"spec.resume: true and spec.run: {verdict.run + 1}"
        return f"stopped{at}; to go on from the last checkpoint set spec.stop: false, {again}"
    if verdict.state == State.LEAVING or (verdict.state == State.AGAIN and verdict.failure is None):
        return f"asked to end{at}: the pod saves its state and leaves"
    if phase == Phase.SUCCEEDED:
        if nothing := find_nothing_left(status):
            return nothing
        reached = _reached(status, printed) or "trained to its end"
        return reached + _early(verdict, status) + _weights(status)
    return _under_way(status, verdict, printed) + _earlier(status)


def find_nothing_left(status: Status) -> str | None:
    """The warning of a run that had nothing to train; None for one that trained."""
    return next((told for told in status.warnings if told.startswith(NOTHING_LEFT)), None)


def _advise(why: Failure) -> str:
    if not why.hint:
        return why.message
    helps = f" What helps: {why.hint}"
    told = why.message if why.message.endswith("?") else why.message.rstrip(".") + "."
    return f"{_cut(told, MESSAGE_MOST - _COUNT_MOST - len(helps))}{helps}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(0, most - 2)]} …"


def _under_way(status: Status, verdict: Verdict, printed: Printed) -> str:
    node = f" on {status.node_name}" if status.node_name else ""
    pods = f" ({count})" if verdict.job and (count := count_pods(verdict.job, verdict.pods)) else ""
    pod = verdict.pod
    match status.phase:
        case Phase.PREPARING if pod and pod.started_at:
            return f"its data is checked{node}, before a GPU is asked for"
        case Phase.PREPARING if node:
            return f"the check of its data starts{node}: the image and the volumes come"
        case Phase.PREPARING:
            return "the check of its data waits for a node"
        case Phase.QUEUED:
            return f"its data is ready; waits for a node{pods}"
        case Phase.STARTING:
            return f"its pod starts{node}{pods}: the image and the volumes come"
        case Phase.RUNNING:
            left = f", {printed.eta} left" if printed.eta else ""
            reached = _reached(status, printed) or "before the first epoch"
            return f"trains{node}{pods}: {reached}{left}"
    return (
        f"attempt {status.attempt} starts soon"
        if status.attempt != 1
        else "accepted; its data is checked next"
    )


def _reached(status: Status, printed: Printed) -> str:
    epoch = f"epoch {printed.epoch}" if printed.epoch else ""
    if status.phase == Phase.SUCCEEDED and printed.epoch:
        epoch = f"trained {printed.epoch} epochs"
    return ", ".join(part for part in (epoch, printed.metric) if part)


def _early(verdict: Verdict, status: Status) -> str:
    """Which of the template's limits may have ended a training that was not stopped before its last epoch."""
    done = status.progress
    if (
        verdict.training is None
        or done is None
        or not done.epoch
        or not done.epochs
        or done.epoch >= done.epochs
    ):
        return ""
    template = verdict.training.spec.template
    limits = [
        words
        for words, is_set in (
            ("no better epoch within template.patience", template.patience > 0),
            ("template.time is over", template.time is not None),
        )
        if is_set
    ]
    return f"; ended early: {' or '.join(limits)}" if limits else ""


def _earlier(status: Status) -> str:
    """Why there was an attempt before this one, and what this one does otherwise."""
    why = status.last_failure or status.failure
    if why is None or why.attempt is None:
        return ""
    changed = [
        f"{r.argument} {r.after} instead of {r.before}"
        for r in status.remedies
        if r.attempt == why.attempt + 1
    ]
    return f"; attempt {why.attempt} ended as {why.reason}" + (
        f", now {', '.join(changed)}" if changed else ""
    )


def _weights(status: Status) -> str:
    best = status.weights.best if status.weights else None
    return f"; the best weights are {best.path} on the run volume" if best else ""
