"""Optimizer steps over several batches, across a restart.

Small batches sum their gradients until `nbs` images are seen, and an epoch may end amid such a sum.
Ultralytics keeps the sum in the parameters and the batch of the last step in a local variable; here both
are saved, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ultralytics.utils.torch_utils import unwrap_model

_NEVER = 1 << 62


class Cadence:
    """Follows the steps of one training. Batches are numbered from 0 through all epochs."""

    def __init__(self) -> None:
        self._last_step = -1
        self._gradients: Mapping[str, Any] = {}
        self._resumed = False
        self._held: int | None = None

    def stepped(self, batch: int) -> None:
        """The optimizer made a step after this batch."""
        self._last_step = batch
        self._resumed = False

    def capture(self, trainer: Any, trained: int) -> dict[str, Any]:
        """What is under way after so many batches, for `restore`."""
        parameters = unwrap_model(trainer.model).named_parameters()
        return {
            "batches": len(trainer.train_loader),
            "batch": int(trainer.batch_size),
            "since_step": trained - 1 - self._last_step,
            # Before `begin` those that were restored are still here.
            "gradients": self._gradients or {name: p.grad for name, p in parameters if p.grad is not None},
        }

    def restore(self, trainer: Any, saved: Mapping[str, Any], trained: int) -> None:
        """Goes on as saved after so many batches, if epochs have the same ones as then; else the first batch
        makes a step.
        """
        if (saved["batches"], saved["batch"]) != (len(trainer.train_loader), int(trainer.batch_size)):
            return
        self._last_step = trained - 1 - saved["since_step"]
        self._gradients = saved["gradients"]
        self._resumed = True

    def begin(self, trainer: Any) -> None:
        """Before the first batch: Ultralytics has just dropped all gradients."""
        for name, parameter in unwrap_model(trainer.model).named_parameters():
            gradient = self._gradients.get(name)
            if gradient is not None:
                parameter.grad = gradient.to(parameter.device, parameter.dtype)
        self._gradients = {}

    def hold(self, trainer: Any, batch: int) -> None:
        """Keeps Ultralytics, which knows of no step before the restart, from making one too early."""
        if self._resumed and batch - self._last_step < trainer.accumulate:
            self._held = trainer.accumulate
            trainer.accumulate = _NEVER

    def release(self, trainer: Any) -> None:
        """Ends `hold`, before the next batch is prepared."""
        if self._held is not None:
            trainer.accumulate = self._held
            self._held = None
