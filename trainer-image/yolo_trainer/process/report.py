"""The worker's side of the conversation with the supervisor: JSON lines into a FIFO.

A FIFO and not an inherited descriptor: it reaches the ranks of a training through their launcher, and lines
of at most PIPE_BUF bytes from several processes do not mix.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from yolo_crds.base import readable

from ..errors import TrainerError
from .interrupts import Interrupted

EVENTS_ENV = "YOLO_TRAINER_EVENTS"
"""Path of the FIFO; unset: nobody listens."""
_BATCH_SECONDS = 0.5


def finite(value: object) -> object:
    """A JSON value without NaN and infinities (they become null); numpy and torch scalars as numbers, text as
    `readable`.
    """
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, str):
        return readable(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    with contextlib.suppress(TypeError, ValueError):
        number = float(value)  # type: ignore[arg-type]
        return number if math.isfinite(number) else None
    return str(value)


class Report:
    """Tells the supervisor what the worker does.

    Called with the fields of a `trainer.ProgressLine` it reports progress. In a group of several ranks
    only the first one reports progress; any may report its failure.
    """

    def __init__(self, fifo: Path | None, rank: int = 0) -> None:
        self._descriptor = os.open(fifo, os.O_WRONLY) if fifo else None
        self._rank = rank
        self._last_batch: tuple[object, float] = (None, 0.0)

    @classmethod
    def from_environment(cls) -> Report:
        """The report to the supervisor that started this process."""
        path = os.environ.get(EVENTS_ENV)
        return cls(Path(path) if path else None, max(0, int(os.environ.get("RANK", "0"))))

    def __call__(self, **fields: object) -> None:
        if self._rank == 0:
            self._send("progress", fields)

    def batch(self, stage: str, done: int, total: int, now: float) -> None:
        """One more batch is through; told at most twice a second, and always the last one."""
        last_stage, last = self._last_batch
        if stage == last_stage and now - last < _BATCH_SECONDS and done < total:
            return
        self._last_batch = (stage, now)
        self(stage=stage, batch=done, batches=total)

    def started(self) -> None:
        """This process runs our code; the supervisor asks it for its stacks when it hangs."""
        self._send("started", {"pid": os.getpid()})

    def resumed(self, epoch: int, epochs: int, best: Mapping[str, object] | None) -> None:
        """So many epochs of so many are already done."""
        if self._rank == 0:
            self._send("resumed", {"epoch": epoch, "epochs": epochs, "best": best})

    def epoch_started(self, epoch: int, epochs: int, batches: int) -> None:
        """Epoch number `epoch` (from 1) of `epochs` begins."""
        if self._rank == 0:
            self._send("epoch_started", {"epoch": epoch, "epochs": epochs, "batches": batches})

    def epoch_finished(self, epoch: int, **fields: object) -> None:
        """It is trained, validated and saved; fields are those of a progress line."""
        if self._rank == 0:
            self._send("epoch_finished", {"epoch": epoch, **fields})

    def finished(self, **fields: object) -> None:
        """All is done; fields as `metrics`."""
        if self._rank == 0:
            self._send("finished", fields)

    def warning(self, message: str) -> None:
        """Something that the user should know and that does not stop the training."""
        if self._rank == 0:
            print(f"WARNING {message}", file=sys.stderr, flush=True)
            self._send("warning", {"message": message})

    def gpu_failed(self, message: str) -> None:
        """A GPU of another pod has failed: the training may hang from now on."""
        self._send("gpu_failed", {"message": message})

    @property
    def is_first(self) -> bool:
        """Whether this process speaks for the training: its only one, or rank 0 of several."""
        return self._rank == 0

    @property
    def has_peers(self) -> bool:
        """Whether other pods train with this one."""
        return int(os.environ.get("GROUP_WORLD_SIZE", "1")) > 1

    def failed(self, error: TrainerError, *, seen: bool = False) -> None:
        """The worker gives up; `seen`: it was killed, and who started it tells."""
        rank = f"rank {self._rank}: " if self._rank else ""
        self._send(
            "failed",
            {
                "reason": error.reason,
                "message": f"{rank}{error.message[:2000]}",
                "hint": error.hint,
                "exit_code": int(error.exit_code),
                "secondhand": error.secondhand,
                "seen": seen,
            },
        )

    def _send(self, event: str, fields: Mapping[str, object]) -> None:
        if self._descriptor is None:
            return
        line = json.dumps(
            {"event": event, **{k: finite(v) for k, v in fields.items()}}, separators=(",", ":")
        )
        try:
            os.write(self._descriptor, line.encode() + b"\n")
        except BrokenPipeError as error:
            raise Interrupted("the supervisor is gone") from error
