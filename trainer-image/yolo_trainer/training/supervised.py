"""A mixin for Ultralytics' trainers: whole checkpoints, exact resume, no silent remedies."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import RANK

from yolo_crds.conditions import Reason
from yolo_crds.trainer import ExitCode

from ..errors import TrainerError
from ..process.interrupts import Interrupts
from ..process.report import Report
from ..runfolder.attempt import Attempt
from ..runfolder.attempts import Start
from ..runfolder.retire import STAGING
from . import state
from .cadence import Cadence
from .callbacks import Callbacks


@dataclass
class Session:
    """What a supervised trainer needs besides Ultralytics' arguments."""

    report: Report
    interrupts: Interrupts
    callbacks: Callbacks
    attempt: Attempt
    """What may be done with the run folder."""
    start: Start
    """What to go on from; its results are kept, since Ultralytics deletes those in its own folder."""
    seconds: float = 0.0
    """Training time of earlier attempts."""
    best: dict[str, object] | None = None
    built: list[dict[str, Any]] = field(default_factory=list)


class _NothingLeft(Exception):  # noqa: N818
    """All epochs are done already; unwinds Ultralytics' set-up."""


class SupervisedTrainer(BaseTrainer):  # type: ignore[misc]
    """Comes before a task's trainer in the bases; all hooks call on to it."""

    start_epoch: int
    train_time_start: float
    wdir: Path
    last: Path
    best: Path
    ema: Any

    def __init__(self, session: Session, overrides: Mapping[str, object]) -> None:
        self.session = session
        self._cadence = Cadence()
        super().__init__(overrides=dict(overrides))
        for event, callback in session.callbacks.table().items():
            self.add_callback(event, callback)
        self.add_callback("on_train_batch_start", self._cadence.release)

    def get_dataset(self) -> Any:
        """Stage scan begins with the data set's description."""
        self.session.report(stage="scan")
        return super().get_dataset()

    def _build_train_pipeline(self) -> None:
        self.session.report(stage="cache" if self.args.cache else "scan")
        super()._build_train_pipeline()

    def resume_training(self, ckpt: object) -> None:
        """Goes on from the session's file; Ultralytics' own way ignores new arguments and rounds to fp16."""
        del ckpt
        session = self.session
        session.built = state.built_groups(self.optimizer)
        start = session.start
        if start.stream is None:
            return
        if start.exact:
            saved = state.load(start.stream)
            for warning in state.restore(self, saved):
                session.report.warning(warning)
            self._cadence.restore(self, saved["cadence"], self.start_epoch)
            session.seconds = saved["seconds"]
            session.best = saved["best"]
            self.metrics, self.fitness = saved["metrics"], saved["fitness"]
            if RANK in {-1, 0}:
                if start.results:
                    self.csv.write_text(cut_results(start.results, self.start_epoch), encoding="utf-8")
                session.attempt.carry_best(start)
        else:
            self._start_warm(start)
        session.report.resumed(self.start_epoch, self.epochs, session.best)
        if self._is_complete():
            raise _NothingLeft

    def _do_train(self) -> None:
        try:
            super()._do_train()
        except _NothingLeft:
            self._conclude()

    def preprocess_batch(self, batch: Any) -> Any:
        """The last hook before Ultralytics decides whether this batch ends in a step of the optimizer."""
        self._cadence.hold(self, self._batch_number())
        return super().preprocess_batch(batch)

    def optimizer_step(self) -> None:
        """One step of the optimizer."""
        super().optimizer_step()
        self._cadence.stepped(self._batch_number())

    def save_model(self) -> bool:
        """Ultralytics' checkpoints, made aside and moved to their places whole, then the state."""
        session = self.session
        with session.interrupts.shielded(), self._staged() as staging:
            saved = bool(super().save_model())
            if self.fitness is not None and self.fitness == self.best_fitness:
                session.best = {
                    "epoch": self.epoch + 1,
                    "fitness": self.fitness,
                    "metrics": dict(self.metrics),
                }
            content = state.capture(self, session.built, session.best, time.time() - self.train_time_start)
            content["cadence"] = self._cadence.capture(self)
            session.attempt.save(lambda file: torch.save(content, file), staging)
        return saved

    def final_eval(self) -> None:
        """Strips and validates copies: the checkpoints stay whole until the smaller ones replace them."""
        self.session.callbacks.final = True
        with self._staged(copies=True) as staging:
            super().final_eval()
            if RANK in {-1, 0}:
                with self.session.interrupts.shielded():
                    self.session.attempt.save(None, staging)
        self.session.report(stage="export")

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Says that the training diverged, instead of going back to last.pt in silence."""
        for name, value in (("loss", self.loss), ("fitness", self.fitness)):
            if value is not None and not math.isfinite(float(value)):
                message = f"the {name} is not a finite number in epoch {epoch + 1}"
                raise TrainerError(Reason.DIVERGED, message, exit_code=ExitCode.FAILED)
        return False

    def _is_complete(self) -> bool:
        """Whether the resumed epochs are all that the (perhaps new) arguments ask for."""
        done = self.start_epoch
        patient = done - self.stopper.best_epoch < self.stopper.patience
        in_time = not self.args.time or self.session.seconds < self.args.time * 3600
        return done > 0 and not (done < self.epochs and patient and in_time)

    def _conclude(self) -> None:
        """The end of a training whose attempt was ended between its last epoch and here."""
        self.epoch = self.start_epoch - 1
        self.train_time_start = time.time() - self.session.seconds
        if RANK in {-1, 0}:
            self.save_model()
        self.final_eval()
        if self.args.plots and RANK in {-1, 0}:
            self.plot_metrics()
        self.run_callbacks("on_train_end")

    def _batch_number(self) -> int:
        return int(self.epoch * len(self.train_loader) + self.session.callbacks.batch)

    def _model_train(self) -> None:
        """The first thing of an epoch after Ultralytics has dropped the gradients of earlier ones."""
        super()._model_train()
        self._cadence.begin(self)
        # Times and epochs count from the first attempt on.
        if self.session.seconds:
            self.train_time_start -= self.session.seconds
            self.session.seconds = 0.0
        # From here on only used to average epoch times (argument `time`).
        self.start_epoch = 0

    @contextmanager
    def _staged(self, copies: bool = False) -> Iterator[Path]:
        """Lets Ultralytics write its checkpoints into a folder aside, which ends with the block."""
        places = self.wdir, self.last, self.best
        staging = places[0] / STAGING
        if RANK in {-1, 0}:
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(parents=True)
            for place in places[1:]:
                if copies and place.exists():
                    shutil.copyfile(place, staging / place.name)
        if copies and self.world_size > 1:
            distributed.barrier()  # all ranks look for best.pt
        self.wdir, self.last, self.best = staging, staging / places[1].name, staging / places[2].name
        try:
            yield staging
        finally:
            self.wdir, self.last, self.best = places
            if RANK in {-1, 0}:
                shutil.rmtree(staging, ignore_errors=True)  # on a full disk the result needs the room

    def _start_warm(self, start: Start) -> None:
        """Weights alone, from a checkpoint of Ultralytics: epochs count from the start."""
        from ultralytics.nn.tasks import load_checkpoint

        weights, _ = load_checkpoint(start.path)
        self.model.load(weights)
        self.ema = type(self.ema)(self.model)
        self.session.report.warning(
            "no whole state to resume exactly from; started with the weights of last.pt"
        )


def cut_results(results: str, epochs_done: int) -> str:
    """The lines of a results.csv up to an epoch: its row is written before the epoch is saved."""
    header, *rows = results.splitlines(keepends=True) or [""]
    return header + "".join(row for row in rows if _row_epoch(row) <= epochs_done)


def _row_epoch(row: str) -> float:
    try:
        return float(row.partition(",")[0])
    except ValueError:
        return math.inf
