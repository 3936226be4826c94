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
from .state import seed_epoch

_NO_MORE_RETRIES = 3
"""Ultralytics halves the batch after CUDA OOM up to so many times; the operator does that, and says so."""


class Callbacks:
    """Callbacks of one training.

    `final` is set while best.pt is evaluated at its end, `batch` counts the epoch's finished batches.
    """

    def __init__(self, report: Report, interrupts: Interrupts) -> None:
        self.final = False
        self._report = report
        self._interrupts = interrupts
        self.batch = 0
        self._epoch_began = 0.0
        self._images_per_second: float | None = None

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
        self.batch = 0
        self._epoch_began = time.monotonic()
        reset_randomness(trainer)
        self._report.epoch_started(trainer.epoch + 1, trainer.epochs, len(trainer.train_loader))

    def batch_started(self, trainer: Any) -> None:
        """Makes Ultralytics raise on CUDA OOM instead of halving the batch in silence."""
        trainer._oom_retries = _NO_MORE_RETRIES

    def batch_finished(self, trainer: Any) -> None:
        """One batch is trained."""
        self._interrupts.check()
        self.batch += 1
        self._report.batch("epoch", self.batch, len(trainer.train_loader), time.monotonic())

    def epoch_trained(self, trainer: Any) -> None:
        """All batches are trained; validation follows."""
        seconds = time.monotonic() - self._epoch_began
        images = len(trainer.train_loader.dataset) * self.batch / max(1, len(trainer.train_loader))
        self._images_per_second = round(images / seconds, 2) if seconds > 0 else None

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
        self._report.epoch_finished(
            trainer.epoch + 1,
            epochs=trainer.epochs,
            metrics=trainer.metrics,
            fitness=trainer.fitness,
            images_per_second=self._images_per_second,
        )


def reset_randomness(trainer: Any) -> None:
    """Seeds, loader and image buffer as if the program began with this epoch."""
    seed = seed_epoch(trainer.args.seed, trainer.epoch)
    loader = trainer.train_loader
    generator = getattr(loader, "generator", None)
    if generator is not None:
        generator.manual_seed(seed)
    if hasattr(loader, "reset"):
        loader.reset()
    dataset = loader.dataset
    if getattr(dataset, "cache", "ram") == "ram" or not hasattr(dataset, "buffer"):
        return
    # Mosaic draws from recently read images; with loaders in this process they outlive the epoch.
    for index in dataset.buffer:
        dataset.ims[index] = dataset.im_hw0[index] = dataset.im_hw[index] = None
    dataset.buffer.clear()
