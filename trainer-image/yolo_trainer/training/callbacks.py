"""Ultralytics' callbacks: tell the supervisor, obey stops, and keep each epoch's randomness its own.

In an epoch they come as: train_epoch_start, train_batch_*, train_epoch_end, val_*, (csv, save_model),
fit_epoch_end. The final evaluation of best.pt calls val_* and fit_epoch_end once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..process.interrupts import Interrupts
from ..process.report import Report
from . import randomness
from .place import Place, start_at

_NO_MORE_RETRIES = 3
"""Ultralytics halves the batch after CUDA OOM up to so many times; the operator does that, and says so."""


class Callbacks:
    """Callbacks of one training. `final` is set while best.pt is evaluated at its end."""

    def __init__(self, report: Report, interrupts: Interrupts) -> None:
        self.final = False
        self._report = report
        self._interrupts = interrupts
        self._epoch_began = 0.0
        self._images_per_second: float | None = None
        self._first = 0
        """The batch that the epoch's pass began with."""

    def table(self) -> dict[str, Callable[[Any], None]]:
        """By Ultralytics' event names."""
        return {
            "on_train_epoch_start": self.epoch_started,
            "on_train_batch_start": self.batch_started,
            "on_train_batch_end": self.batch_finished,
            "on_train_epoch_end": self.epoch_trained,
            "on_val_start": self.validation_started,
            "on_val_batch_end": self.validation_batch_finished,
            "on_val_end": self.validation_finished,
            "on_fit_epoch_end": self.epoch_finished,
        }

    def epoch_started(self, trainer: Any) -> None:
        """A new epoch begins with new random numbers and a new data-loader iterator."""
        self._epoch_began = time.monotonic()
        self._first = trainer.place.batches
        start_at(trainer.train_loader, self._first)
        randomness.reset(trainer)
        if self._first:
            randomness.restore(trainer, trainer.place.randomness)
        self._report.epoch_started(trainer.epoch + 1, trainer.epochs, len(trainer.train_loader))
        if self._first:
            self._report(stage="epoch", batch=self._first, batches=len(trainer.train_loader))
        if not trainer.args.val:
            trainer.fitness = None  # what is there belongs to an epoch of an earlier attempt

    def batch_started(self, trainer: Any) -> None:
        """A step is not torn; and on CUDA OOM Ultralytics raises instead of halving the batch in silence."""
        self._interrupts.hold()
        trainer._oom_retries = _NO_MORE_RETRIES
        if trainer.place.batches == self._first:
            trainer.tloss = trainer.place.losses or None

    def batch_finished(self, trainer: Any) -> None:
        """One batch is trained."""
        trainer.place.batches += 1
        self._report.batch("epoch", trainer.place.batches, len(trainer.train_loader), time.monotonic())
        trainer.pause()

    def epoch_trained(self, trainer: Any) -> None:
        """All batches are trained; validation follows."""
        place, batches = trainer.place, len(trainer.train_loader)
        if self._first == batches:  # an attempt was ended between here and the end of the epoch
            trainer.tloss = place.losses
            trainer.lr = {f"lr/pg{i}": rate for i, rate in enumerate(place.rates)}
        seconds = time.monotonic() - self._epoch_began
        images = len(trainer.train_loader.dataset) * (place.batches - self._first) / max(1, batches)
        self._images_per_second = round(images / seconds, 2) if seconds > 0 and images else None
        place.batches = batches  # the argument `time` may have cut the epoch short
        self._interrupts.release()

    def validation_started(self, validator: Any) -> None:
        """Validation begins, in an epoch or at the end."""
        self._report(stage="val", batch=0, batches=len(validator.dataloader))

    def validation_batch_finished(self, validator: Any) -> None:
        """One batch is validated."""
        self._interrupts.check()
        self._report.batch("val", validator.batch_i + 1, len(validator.dataloader), time.monotonic())

    def validation_finished(self, validator: Any) -> None:
        """What follows is metrics, plots and the checkpoint."""
        del validator
        self._report(stage="save")

    def epoch_finished(self, trainer: Any) -> None:
        """The epoch is saved; not told for the final evaluation, which is no epoch."""
        if self.final:
            return
        trainer.place = Place(trainer.epoch + 1)
        trainer.follow_first_rank()
        validated = trainer.validated == trainer.epoch
        self._report.epoch_finished(
            trainer.epoch + 1,
            epochs=trainer.epochs,
            metrics=trainer.metrics if validated else {},
            fitness=trainer.fitness if validated else None,
            best=trainer.session.best,
            images_per_second=self._images_per_second,
            losses=trainer.label_loss_items(trainer.tloss, prefix="train")
            if trainer.tloss is not None
            else {},
            gpu_gib=trainer._get_memory(),
        )
