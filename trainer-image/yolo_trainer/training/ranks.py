"""A mixin for Ultralytics' trainers: several processes that train as one, and agree on what they do.

Ultralytics starts the processes of several GPUs itself, by a command of its own making; here they are there
already (`supervise.ranks`), and Ultralytics takes them for the ones it started.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import RANK

_TIMEOUT = datetime.timedelta(hours=3)  # as Ultralytics has it; what hangs is found by the supervisor


class RankedTrainer(BaseTrainer):  # type: ignore[misc]
    """Comes before a task's trainer in the bases. With one process all of it changes nothing."""

    world_size: int
    epochs: int
    _control: Any = None
    """Group of all ranks on the CPU: what they agree on need not wait for a GPU."""

    def __init__(self, overrides: dict[str, object]) -> None:
        if RANK >= 0:
            # An earlier start's: Ultralytics looks whether it is there and deletes it, in all ranks at once.
            Path(str(overrides["save_dir"]), "results.csv").unlink(missing_ok=True)
        super().__init__(overrides=overrides)
        if RANK >= 0:
            # Ultralytics counts the GPUs of `device`: none, where they are stand-ins.
            self.world_size = int(os.environ["WORLD_SIZE"])

    def agree(self, *wishes: bool) -> list[bool]:
        """Each wish, whether any rank has it; called by all ranks together."""
        said = torch.tensor(wishes, dtype=torch.uint8)
        distributed.all_reduce(said, op=distributed.ReduceOp.MAX, group=self._control)
        return [bool(wish) for wish in said]

    def gather(self, value: object) -> list[Any] | None:
        """The values of all ranks, in the first one; called by all together."""
        found: list[Any] | None = [None] * self.world_size if RANK == 0 else None
        distributed.gather_object(value, found, dst=0, group=self._control)
        return found

    def follow_first_rank(self) -> None:
        """After an epoch with the argument `time`: each rank has estimated the number of epochs by its own
        clock, and learning rates go by it.
        """
        if self.world_size <= 1 or not self.args.time:
            return
        said = [self.epochs]
        distributed.broadcast_object_list(said, src=0, group=self._control)
        if said[0] != self.epochs:
            self.epochs = self.args.epochs = said[0]
            self._setup_scheduler()
            self.scheduler.last_epoch = self.epoch

    def _setup_ddp(self) -> None:
        if self.device.type == "cpu":
            from .stand_in import train_ranks_on_cpu

            train_ranks_on_cpu()
            distributed.init_process_group("gloo", timeout=_TIMEOUT)
        else:
            super()._setup_ddp()
            self._control = distributed.new_group(backend="gloo", timeout=_TIMEOUT)
