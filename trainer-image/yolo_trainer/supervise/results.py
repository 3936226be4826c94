"""How an attempt's stage ended, for the operator: `result.json` whole, the termination message shortened."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from yolo_crds.meta import Stage
from yolo_crds.trainer import Result, TrainerConfig

from ..runfolder.attempt import Attempt
from .outcome import Outcome
from .progress import Progress

TERMINATION_LOG = Path("/dev/termination-log")
"""Made by the kubelet; elsewhere there is none, and none is made."""


def build_result(
    config: TrainerConfig,
    stage: Stage,
    outcome: Outcome,
    progress: Progress,
    attempt: Attempt | None,
    started_at: float,
) -> Result:
    """The full truth of one stage; times in Unix seconds. Without an `attempt` the folder is another's."""
    prepared = attempt.prepared if attempt else None
    message = outcome.message
    if stage is Stage.TRAIN and outcome.ok and not message:
        message = f"{progress.epochs_done} of {progress.epochs} epochs trained"
    return Result(
        stage=stage,
        uid=config.uid,
        run=config.run,
        attempt=config.attempt,
        exit_code=int(outcome.exit_code),
        reason=outcome.reason,
        message=message,
        hint=outcome.hint,
        epochs_done=progress.epochs_done,
        epochs=progress.epochs,
        metrics=progress.metrics,
        best=progress.best,
        weights=attempt.weights() if attempt and stage is Stage.TRAIN else None,
        dataset=prepared.dataset if prepared else None,
        warnings=_distinct([*(prepared.warnings if prepared else []), *progress.warnings]),
        started_at=started_at,
        finished_at=time.time(),
    )


def build_finished(config: TrainerConfig, stage: Stage, finished: Result) -> Result:
    """The result of a stage that found its run to have come to an end before, as `finished` tells.

    Train says the same once more, prepare hands it on: there is nothing to train.
    """
    if stage is Stage.TRAIN:
        return finished.model_copy(update={"attempt": config.attempt})
    now = time.time()
    return Result(
        stage=stage,
        uid=config.uid,
        run=config.run,
        attempt=config.attempt,
        exit_code=0,
        message=tell_finished(config, finished),
        started_at=now,
        finished_at=now,
        finished=finished,
    )


def tell_finished(config: TrainerConfig, finished: Result) -> str:
    """Why there is nothing to do: this attempt says so itself, or an earlier one has trained to the end."""
    if finished.attempt == config.attempt:
        return finished.message
    return f"nothing to do: attempt {finished.attempt} trained this run to its end"


def write_termination_message(result: Result, path: Path = TERMINATION_LOG) -> None:
    """Writes where the kubelet looks, if it does."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)  # never O_CREAT
        try:
            os.write(descriptor, result.to_termination_message().encode("ascii"))
        finally:
            os.close(descriptor)


def build_refusal(outcome: Outcome) -> Result:
    """The result when there is not even a configuration to say whose attempt this is."""
    now = time.time()
    return Result(
        stage=Stage.PREPARE,
        uid="",
        run=0,
        attempt=0,
        exit_code=int(outcome.exit_code),
        reason=outcome.reason,
        message=outcome.message,
        hint=outcome.hint,
        started_at=now,
        finished_at=now,
    )


def _distinct(warnings: list[str]) -> list[str]:
    return list(dict.fromkeys(warnings))
