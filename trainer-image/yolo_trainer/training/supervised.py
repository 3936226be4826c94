"""A mixin for Ultralytics' trainers: whole checkpoints, exact resume, no silent remedies."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from ultralytics.utils import RANK
from ultralytics.utils.torch_utils import unwrap_model

from yolo_crds.conditions import Reason
from yolo_crds.trainer import ExitCode

from ..errors import TrainerError
from ..process.interrupts import Interrupted
from ..runfolder.attempts import Start
from ..runfolder.retire import STAGING
from ..volume import write_atomic
from . import randomness, state
from .cadence import Cadence
from .place import Place, follow
from .ranks import RankedTrainer
from .results import cut_results, fit_results
from .schedule import Schedule
from .session import Session


class _NothingLeft(Exception):  # noqa: N818
    """All epochs are done already; unwinds Ultralytics' set-up."""


def _diverged(what: str, epoch: int) -> TrainerError:
    message = f"{what} is not a finite number in epoch {epoch + 1}"
    return TrainerError(Reason.DIVERGED, message, exit_code=ExitCode.FAILED)


class SupervisedTrainer(RankedTrainer):
    """Comes before a task's trainer in the bases; all hooks call on to it."""

    start_epoch: int
    train_time_start: float
    wdir: Path
    last: Path
    best: Path
    ema: Any
    epochs: int
    stop: bool = False

    def __init__(self, session: Session, overrides: Mapping[str, object]) -> None:
        self.session = session
        self.place = Place()
        self.validated: int | None = None
        """The last epoch (from 0) that was validated."""
        self._saved = self.place.key
        self._saved_at = time.monotonic()
        self._cadence = Cadence()
        super().__init__(overrides=dict(overrides))
        self.args.workers = overrides["workers"]  # Ultralytics takes none on a CPU, whatever was asked for
        self._schedule = Schedule(self.args)
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
        follow(self)

    def _close_dataloader_mosaic(self) -> None:
        super()._close_dataloader_mosaic()
        self._schedule.mosaic_closed = True

    def resume_training(self, ckpt: object) -> None:
        """Goes on from the session's file; Ultralytics' own way ignores new arguments and rounds to fp16."""
        del ckpt
        session = self.session
        session.built = state.built_groups(self.optimizer)
        if not self.args.val:
            session.report.warning("val is false: epochs have no metrics, and best.pt is the last one saved")
        start = session.start = self.share_start(session.start)
        if start.stream is None:
            return
        if not start.exact:
            self._start_warm(start)
            return
        saved = state.load(start.stream)
        start.stream.close()  # an older attempt's is deleted at the first save: open, it would take room
        self._restore(saved)
        if RANK in {-1, 0}:
            # Ultralytics has deleted the table of an attempt that starts again; there is no other one.
            if results := saved.get("results") or start.results:
                write_atomic(self.csv, cut_results(results, self.start_epoch))
            session.attempt.carry_best(start)
        over = self._why_over(saved)
        session.report.resumed(
            self.start_epoch,
            self.epochs if over is None else max(self.epochs, self.start_epoch),
            session.best,
        )
        if over is not None:
            if over:
                session.report.warning(f"nothing was left to train: {over}")
            raise _NothingLeft
        if self.start_epoch and not self.place.batches and self._has_checkpoints():
            self._save_resumed()  # killed amid that save, an attempt has the state and not these

    def _restore(self, saved: state.State) -> None:
        """Puts everything that a state holds where it belongs."""
        session = self.session
        done, seconds = saved["epochs_done"], saved["seconds"]
        place = saved.get("place", {})
        part = place["batches"] / place["split"]["batches"] if place.get("batches") else 0.0
        self._schedule.restore(self, saved.get("schedule", {}), done + part, seconds)
        for warning in state.restore(self, saved):
            session.report.warning(warning)
        self._setup_scheduler()  # for the epochs that there are now
        if not self.place.restore(self, done, place):
            session.report.warning(f"epoch {done + 1} starts over: its batches are others than before")
        self._saved = self.place.key
        self._cadence.restore(self, saved["cadence"], done * len(self.train_loader) + self.place.batches)
        session.seconds = seconds
        session.best = saved["best"]
        self.metrics, self.fitness = saved["metrics"], saved["fitness"]

    def _do_train(self) -> None:
        # Only the first rank saves: the others stay in their collectives until it has, and end with it.
        waiting = self.session.interrupts.shielded() if RANK > 0 else nullcontext()
        try:
            with waiting:
                super()._do_train()
        except _NothingLeft:
            self._conclude()
        except Interrupted:
            self._save_before_leaving()
            raise

    def preprocess_batch(self, batch: Any) -> Any:
        """The last hook before Ultralytics decides whether this batch ends in a step of the optimizer."""
        self._cadence.hold(self, self._batch_number())
        return super().preprocess_batch(batch)

    def optimizer_step(self) -> None:
        """One step of the optimizer."""
        super().optimizer_step()
        self._cadence.stepped(self._batch_number())

    def validate(self) -> Any:
        """Notes that this epoch has metrics of its own."""
        self.validated = self.epoch
        return super().validate()

    def save_metrics(self, metrics: Mapping[str, object]) -> None:
        """One more row of results.csv, below a header that fits it."""
        if self.csv.exists() and (table := self.csv.read_text(encoding="utf-8")):
            fitted = fit_results(table, ["epoch", "time", *metrics])
            if fitted != table:
                write_atomic(self.csv, fitted)
        super().save_metrics(metrics)

    def save_model(self) -> bool:
        """Saves at the end of an epoch: the state and Ultralytics' checkpoints, all or nothing."""
        done = self.epoch + 1
        self.place = Place(done)
        is_best = self.fitness is not None and self.fitness == self.best_fitness
        if is_best:
            self.session.best = {"epoch": done, "fitness": self.fitness, "metrics": dict(self.metrics)}
        is_last = self.stop or done >= self.epochs
        is_due = self._is_numbered(self.epoch) or done % self.session.interval.epochs == 0
        if not (is_best or is_last or is_due):
            return False
        self._save_epoch()
        return True

    def pause(self) -> None:
        """Between two batches: ends here if asked to, and saves when the interval has passed.

        Of several ranks all do it after the same batch, whichever was asked, and else they are not ended
        within an epoch: each has random numbers of its own to be kept.
        """
        interrupts, minutes = self.session.interrupts, self.session.interval.minutes
        is_due = minutes > 0 and time.monotonic() - self._saved_at >= minutes * 60
        if self.world_size <= 1:
            self.place.randomness = [randomness.capture(self)]
            interrupts.release()
        else:
            stop, is_due = self.agree(interrupts.requested, is_due and RANK == 0)
            self.place.randomness = self.gather(randomness.capture(self)) if stop or is_due else None
            if stop:
                raise Interrupted
        if is_due and RANK in {-1, 0}:
            self._save_within()

    def _save_before_leaving(self) -> None:
        """What was trained since the last save is kept."""
        if RANK in {-1, 0} and self.place.key != self._saved:
            with self.session.interrupts.shielded():
                self._save_within()

    def _save_epoch(self) -> None:
        """The state first: killed before the checkpoints are in their places, a resume makes them anew.

        One that has diverged is not saved: what was saved before is what a resume goes on from.
        """
        if not state.is_finite(self.model):
            raise _diverged("a weight of the model", self.epoch)
        with self._staged() as staging:
            super().save_model()
            content = self._capture()
            with self.session.interrupts.shielded():
                self.session.attempt.save(lambda file: torch.save(content, file), staging)
                self._saved, self._saved_at = self.place.key, time.monotonic()

    def _save_within(self) -> None:
        """The state alone, within an epoch; not one that has diverged."""
        if not state.is_finite(self.model):
            return
        if self.loss is not None and not math.isfinite(float(self.loss)):
            return
        content = self._capture()
        with self.session.interrupts.shielded():
            self.session.attempt.save_state(lambda file: torch.save(content, file))
            self._saved, self._saved_at = self.place.key, time.monotonic()

    def _capture(self) -> state.State:
        """The state at the place that the training has come to."""
        session, place = self.session, self.place
        # Until the first epoch of this attempt begins, `seconds` are those of the earlier ones.
        seconds = session.seconds or time.time() - self.train_time_start
        content = state.capture(self, place.epochs, session.built, session.best, seconds)
        content["results"] = self.csv.read_text(encoding="utf-8") if self.csv.exists() else ""
        content["place"] = place.capture(self)
        content["schedule"] = self._schedule.capture(self, place.epochs, seconds)
        trained = place.epochs * len(self.train_loader) + place.batches
        content["cadence"] = self._cadence.capture(self, trained)
        return content

    def final_eval(self) -> None:
        """Strips and validates copies: the checkpoints stay whole until the smaller ones replace them."""
        self.session.callbacks.final = True
        if RANK in {-1, 0} and self.place.key != self._saved:
            self._save_epoch()  # the argument `time` can make an epoch the last one after it was not saved
        with self._staged(copies=True) as staging:
            super().final_eval()
            if RANK in {-1, 0}:
                with self.session.interrupts.shielded():
                    self.session.attempt.save(None, staging)
        self.session.report(stage="export")

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Says that the training diverged, instead of going back to last.pt in silence."""
        for name, value in (("loss", self.loss), ("fitness", self.fitness)):
            number = value.detach() if isinstance(value, torch.Tensor) else value
            if number is not None and not math.isfinite(float(number)):
                raise _diverged(f"the {name}", epoch)
        return False

    def _has_checkpoints(self) -> bool:
        """Whether the epoch that the state is of has checkpoints that no later epoch makes."""
        best = self.session.best["epoch"] if self.session.best else self.start_epoch
        return best == self.start_epoch or self._is_numbered(self.start_epoch - 1)

    def _is_numbered(self, epoch: int) -> bool:
        """Whether the epoch (from 0) has a checkpoint of its own name, as Ultralytics decides it."""
        return bool(self.save_period > 0 and epoch % self.save_period == 0)

    def _why_over(self, saved: state.State) -> str | None:
        """Why there is nothing left to train, "" if a save was merely the last one's; None if there is."""
        if self.place.batches and self.start_epoch < self.epochs:
            return None
        why = self._schedule.why_over(self, saved.get("schedule", {}), self.start_epoch, self.session.seconds)
        return "" if why and self.session.start.of_this_run else why

    def _save_resumed(self) -> None:
        """Saves what was resumed as this attempt's own."""
        self.epoch = self.start_epoch - 1
        if RANK in {-1, 0}:
            self._save_epoch()

    def _conclude(self) -> None:
        """The end of a training whose attempt was ended between its last epoch and here."""
        self.train_time_start = time.time() - self.session.seconds
        self.stop = True
        self._save_resumed()
        self.final_eval()
        if self.args.plots and RANK in {-1, 0}:
            self.plot_metrics()
        self.run_callbacks("on_train_end")

    def _batch_number(self) -> int:
        return int(self.epoch * len(self.train_loader) + self.place.batches)

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
            self.session.attempt.guard()  # a folder that was cleared does not come back
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(parents=True, exist_ok=True)  # NFS may keep it
            for place in places[1:]:
                if copies and place.exists():
                    shutil.copyfile(place, staging / place.name)
        if copies and self.world_size > 1:
            self.show_best(staging / places[2].name)
            distributed.barrier()  # all ranks look for best.pt
        self.wdir, self.last, self.best = staging, staging / places[1].name, staging / places[2].name
        try:
            yield staging
        except FileNotFoundError:
            self.session.attempt.guard()  # a newer attempt may have cleared the folder away
            raise
        finally:
            self.wdir, self.last, self.best = places
            if RANK in {-1, 0}:
                shutil.rmtree(staging, ignore_errors=True)  # on a full disk the result needs the room

    def _start_warm(self, start: Start) -> None:
        """Weights alone, from a checkpoint of Ultralytics: epochs count from the start."""
        from ultralytics.nn.tasks import load_checkpoint

        if start.path is not None:
            weights, _ = load_checkpoint(start.path)
            unwrap_model(self.model).load(weights)
        self.share_weights()
        self.ema = type(self.ema)(self.model)
        self.session.report.warning(
            "no whole state to resume exactly from; started with the weights of last.pt"
        )
