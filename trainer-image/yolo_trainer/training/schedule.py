"""How many epochs a training has, across attempts: asked for, or estimated from the argument `time`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..runfolder import remaining


class Schedule:
    """What was asked for, and what a state says of it."""

    def __init__(self, arguments: Any) -> None:
        self.asked = {name: getattr(arguments, name) for name in remaining.ASKED}
        self.mosaic_closed = False

    def capture(self, trainer: Any, epochs_done: int, seconds: float) -> dict[str, Any]:
        """The schedule as a part of a state, after so many epochs and seconds of training."""
        epochs = int(trainer.epochs)
        if self.asked["time"] and epochs_done:  # as Ultralytics does after each epoch
            epochs = math.ceil(self.asked["time"] * 3600 / max(seconds / epochs_done, 1e-6))
        return {
            "asked": self.asked,
            "epochs": epochs,
            "stop": bool(trainer.stop),
            "mosaic_closed": self.mosaic_closed,
        }

    def restore(self, trainer: Any, saved: Mapping[str, Any], epochs: float, seconds: float) -> None:
        """Puts the estimate back after `epochs` epochs of training; call before the scheduler is set up."""
        if not self.asked["time"]:
            return
        trainer.epochs = remaining.epochs_of(self.asked, saved, epochs, seconds)
        trainer.args.epochs = trainer.epochs
        if saved.get("mosaic_closed") and trainer.args.close_mosaic:
            # Closed, it stays so: the estimate may since have grown.
            trainer.args.close_mosaic = max(trainer.args.close_mosaic, trainer.epochs - int(epochs))

    def why_over(self, trainer: Any, saved: Mapping[str, Any], done: int, seconds: float) -> str | None:
        """Why there is no epoch to train after `done` of them, for a state of this schedule; None where there
        is one."""
        best_epoch = trainer.stopper.best_epoch
        return remaining.nothing_left(self.asked, trainer.epochs, done, seconds, best_epoch) or (
            f"the training had come to its end; {remaining.RAISE_EPOCHS}"
            if remaining.ended(self.asked, saved)
            else None
        )
