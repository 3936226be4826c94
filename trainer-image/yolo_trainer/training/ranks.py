"""A mixin for Ultralytics' trainers: several processes that train as one, and agree on what they do.

Ultralytics starts the processes of several GPUs itself, by a command of its own making; here they are there
already (`supervise.ranks`), and Ultralytics takes them for the ones it started.
"""

from __future__ import annotations

import datetime
import io
import os
from pathlib import Path
from typing import IO, Any

import torch
from torch import distributed
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import LOCAL_RANK, RANK
from ultralytics.utils.torch_utils import unwrap_model

from ..runfolder.attempts import Start
from .node_ranks import NODE_RANK, NODES

_TIMEOUT = datetime.timedelta(hours=3)  # as Ultralytics has it; what hangs is found by the supervisor

_CHUNK = 64 << 20
"""Bytes that are sent at a time."""


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

    def share_start(self, start: Start) -> Start:
        """What all go on from: of several nodes what the first rank has found, in the bytes that it has read.

        A network volume may show each node something else, and ranks that go on from different states
        would train on without a sign of it.
        """
        if NODES == 1:
            return start
        said = [(start.exact, start.of_this_run, start.stream is not None)]
        distributed.broadcast_object_list(said, src=0, group=self._control)
        exact, of_this_run, is_there = said[0]
        if RANK == 0:
            if exact and start.stream:
                self.send_file(start.stream)
                start.stream.seek(0)
            return start
        content = io.BytesIO()
        if exact:
            self.send_file(content)
            content.seek(0)
        return Start(content if is_there else None, exact, of_this_run=of_this_run)

    def send_file(self, file: IO[bytes]) -> None:
        """The rest of the first rank's file into those of all others; called by all together."""
        while True:
            data = bytearray(file.read(_CHUNK) if RANK == 0 else b"")
            size = torch.tensor([len(data)])
            distributed.broadcast(size, src=0, group=self._control)
            if not int(size):
                return
            chunk = torch.frombuffer(data or bytearray(int(size)), dtype=torch.uint8)
            distributed.broadcast(chunk, src=0, group=self._control)
            if RANK != 0:
                file.write(chunk.numpy().tobytes())

    def share_weights(self) -> None:
        """Of several nodes, the first rank's; called by all together."""
        if NODES > 1:
            for tensor in unwrap_model(self.model).state_dict().values():
                distributed.broadcast(tensor, src=0)

    def show_best(self, path: Path) -> None:
        """Brings the first rank's checkpoint to `path` in the pods that follow, for the final validation."""
        if NODES == 1:
            return
        said = [path.exists()]
        distributed.broadcast_object_list(said, src=0, group=self._control)
        if not said[0]:
            return
        takes = NODE_RANK > 0 and LOCAL_RANK == 0
        if takes:
            path.parent.mkdir(parents=True, exist_ok=True)
        with (
            path.open("rb" if RANK == 0 else "wb")
            if RANK == 0 or takes
            else Path(os.devnull).open("wb") as file
        ):
            self.send_file(file)

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
