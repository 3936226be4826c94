"""Attempts as tests play them on a run folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from yolo_crds.meta import Stage
from yolo_crds.trainer import Result, TrainerConfig
from yolo_trainer.runfolder import files
from yolo_trainer.runfolder.attempt import Attempt


def config(root: Path, uid: str = "object-1", **fields: Any) -> TrainerConfig:
    template = {"model": "yolo11n.yaml", "data": {"train": "d"}, "resources": {"gpus": 0}}
    wire = {"name": "toy", "modelName": "toy", "runsDir": str(root), "template": template, "uid": uid}
    return TrainerConfig.model_validate({**wire, **fields})


def save(attempt: Attempt, epoch: int, *extra: str) -> None:
    """What the train stage does at the end of an epoch."""
    staging = attempt.path / "weights" / ".staging"
    staging.mkdir(parents=True, exist_ok=True)
    for name in ("last.pt", "best.pt", *extra):
        (staging / name).write_text(f"{name} {attempt.token} {epoch}")
    with (attempt.path / "results.csv").open("a") as table:
        table.write(f"{epoch},0.5\n")
    attempt.save(partial(_write, f"{attempt.token} {epoch}".encode()), staging)


def _write(content: bytes, file: files.Sink) -> None:
    file.write(content)


def started_from(attempt: Attempt) -> str | None:
    with attempt.start() as start:
        return start.stream.read().decode() if start.stream and start.exact else None


def result(attempt: Attempt, code: int = 0) -> Result:
    mine = {"uid": attempt.claim.uid, "run": attempt.claim.run, "attempt": attempt.claim.attempt}
    return Result.model_validate({**mine, "stage": Stage.TRAIN, "exit_code": code})
