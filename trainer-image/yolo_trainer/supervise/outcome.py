"""Why a worker ended: its own word, its exit status and the kernel's counters, weighed once."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from yolo_crds.conditions import HINTS, Reason
from yolo_crds.trainer import ExitCode

from ..errors import TrainerError


class Ending(Enum):
    """Why the supervisor itself ended a worker."""

    INTERRUPTED = "interrupted"
    DEADLINE = "deadline"
    HUNG = "hung"


@dataclass(frozen=True)
class Outcome:
    """How a stage ended."""

    exit_code: ExitCode
    reason: Reason | None = None
    message: str = ""
    hint: str | None = None

    @classmethod
    def of(cls, error: TrainerError) -> Outcome:
        """What an expected failure means."""
        return cls(error.exit_code, error.reason, error.message, error.hint)

    @property
    def ok(self) -> bool:
        return self.exit_code is ExitCode.DONE


def _outcome(code: ExitCode, reason: Reason, message: str) -> Outcome:
    return Outcome(code, reason, message, HINTS.get(reason))


def more_telling(known: Mapping[str, object] | None, told: Mapping[str, object]) -> Mapping[str, object]:
    """Which of two last words of a worker's processes says why it ended; the first one, as a rule.

    A process that lost another one, or stopped with it, speaks first and of that alone, and the launcher then
    asks the rest to end: neither knows why. The launcher does, where it has seen the other one killed or has
    heard that another pod was asked to end.
    """
    if known is None or (_is_hearsay(known) and not _is_hearsay(told)):
        return told
    if told.get("seen") is not True:
        return known
    knows_more = told.get("reason") != Reason.INTERRUPTED
    return told if knows_more or (_is_hearsay(known) and known.get("seen") is not True) else known


def _is_hearsay(failure: Mapping[str, object]) -> bool:
    return failure.get("secondhand") is True or failure.get("reason") == Reason.INTERRUPTED


def decide(
    returncode: int,
    failure: Mapping[str, object] | None,
    ending: Ending | None,
    ending_message: str,
    oom_kills: int,
    *,
    ranks: int = 1,
) -> Outcome:
    """The outcome of a worker.

    `returncode` as of subprocess (negative: a signal), `failure` the worker's last word, `ending` why the
    supervisor ended it (and a sentence), `oom_kills` how many processes the kernel killed for memory, `ranks`
    how many processes train: where they leave no word, nobody knows which of them was killed.
    """
    if returncode == 0:
        return Outcome(ExitCode.DONE)
    if ending is Ending.HUNG:
        return _outcome(ExitCode.HUNG, Reason.HUNG, ending_message)
    if failure is not None and failure.get("reason") != Reason.INTERRUPTED:
        return _told(failure, oom_kills)
    if ending is Ending.DEADLINE:
        return _outcome(ExitCode.FAILED, Reason.DEADLINE_EXCEEDED, ending_message)
    if ending is Ending.INTERRUPTED:
        return _outcome(
            ExitCode.INTERRUPTED, Reason.INTERRUPTED, ending_message or "the worker was interrupted"
        )
    if failure is not None and failure.get("seen") is True:
        return _told(failure, oom_kills)
    return _untold(returncode, oom_kills, killed=failure is not None or ranks > 1)


def error_of_killed(number: int, who: str) -> TrainerError:
    """What it means that a signal of this number ended `who`, a process of the training."""
    if number == signal.SIGBUS:
        reason, message = Reason.SHARED_MEMORY_EXHAUSTED, f"{who} died of a bus error: /dev/shm is full"
    else:
        name = signal.Signals(number).name
        reason, message = Reason.WORKER_KILLED, f"{who} was killed by signal {number} ({name})"
    return TrainerError(reason, message, exit_code=ExitCode.WORKER_KILLED)


def _told(failure: Mapping[str, object], oom_kills: int) -> Outcome:
    reason = Reason(str(failure["reason"]))
    message = str(failure["message"])
    if reason is Reason.WORKER_KILLED and oom_kills:
        return _outcome(ExitCode.WORKER_KILLED, Reason.OOM_KILLED, f"out of memory (cgroup): {message}")
    hint = failure.get("hint")
    code = ExitCode(int(str(failure["exit_code"])))
    return Outcome(code, reason, message, str(hint) if hint else HINTS.get(reason))


def _untold(returncode: int, oom_kills: int, *, killed: bool) -> Outcome:
    """Of a worker that left no word; `killed` when, all the same, it did not end by itself."""
    if oom_kills:
        return _outcome(
            ExitCode.WORKER_KILLED,
            Reason.OOM_KILLED,
            "the kernel killed the training process: out of memory (cgroup)",
        )
    if returncode < 0:
        return Outcome.of(error_of_killed(-returncode, "the training process"))
    if killed:
        return _outcome(
            ExitCode.WORKER_KILLED,
            Reason.WORKER_KILLED,
            "one of the training's processes was killed, and none of them says why",
        )
    return _outcome(
        ExitCode.FAILED,
        Reason.TRAINING_FAILED,
        f"the training process ended with status {returncode} and no word why",
    )
