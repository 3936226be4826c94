"""How an attempt's stage ended, for the operator: `result.json` whole, the termination message shortened."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from yolo_crds.layout import RunFolder
from yolo_crds.meta import Stage
from yolo_crds.trainer import Result, TrainerConfig

from ..runfolder.publish import published_weights
from ..runfolder.records import read_prepared
from .outcome import Outcome
from .progress import Progress

TERMINATION_LOG = Path("/dev/termination-log")
"""Made by the kubelet; elsewhere there is none, and none is made."""


def build_result(
    config: TrainerConfig,
    stage: Stage,
    outcome: Outcome,
    progress: Progress,
    folder: RunFolder,
    token: str,
    started_at: float,
    finished: Result | None = None,
) -> Result:
    """The full truth of one stage; times in Unix seconds."""
    prepared = read_prepared(folder, token)
    message = outcome.message
    if stage is Stage.TRAIN and outcome.ok:
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
        weights=published_weights(folder, token) if stage is Stage.TRAIN else None,
        dataset=prepared.dataset if prepared else None,
        warnings=_distinct([*(prepared.warnings if prepared else []), *progress.warnings]),
        started_at=started_at,
        finished_at=time.time(),
        finished=finished,
    )


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
