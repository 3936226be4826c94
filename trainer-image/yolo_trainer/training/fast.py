"""A mixin for Ultralytics' trainers: what makes them faster and changes no result beyond rounding."""

from __future__ import annotations

from typing import Any

import torch
from ultralytics.engine.trainer import BaseTrainer


class FastTrainer(BaseTrainer):  # type: ignore[misc]
    """Comes before a task's trainer in the bases."""

    model: Any
    _labels_wanted = False

    def set_model_attributes(self) -> None:
        """The first hook after the model came to its device, before optimizer and EMA take its parameters.

        Ultralytics lays models out channels-last on CUDA alone. On a CPU a step of yolo11n took a fifth less
        CPU time so (docs/benchmarks.md); a resumed run has the same layout again.
        """
        if self.device.type == "cpu" and self.args.channels_last is not False:
            self.model = self.model.to(memory_format=torch.channels_last)
        super().set_model_attributes()

    def plot_training_labels(self) -> None:
        """Put off until the first epoch is trained: labels.jpg and the import of pyplot take as long as three
        batches, and nobody needs them before there are any.
        """
        self._labels_wanted = True

    def run_callbacks(self, event: str) -> None:
        """Ultralytics' callbacks of an event, and what waited for it."""
        super().run_callbacks(event)
        if event == "on_train_epoch_end" and self._labels_wanted:
            self._labels_wanted = False
            super().plot_training_labels()
