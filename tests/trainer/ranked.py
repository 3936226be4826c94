"""Trainings on several ranks, the supervisor in this process: what befalls a rank comes amid a given batch.

Also the launcher and the worker of such a training: `python -m tests.trainer.ranked launch|work …`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from yolo_crds.meta import Stage
from yolo_crds.trainer import ExitCode, TrainerConfig
from yolo_trainer.process.report import Report
from yolo_trainer.supervise.ranks import Ranks
from yolo_trainer.supervise.stop import StopSignal
from yolo_trainer.supervise.supervisor import Supervisor

from .training_process import Volumes

FAULT_ENV = "TEST_RANK_FAULT"
RECORD_ENV = "TEST_RANK_RECORD"


@dataclass(frozen=True)
class Fault:
    """What befalls a rank of this attempt."""

    rank: int
    at_batch: int | None = None
    """Amid the batch of that number (from 0) that it trains; None: when it first validates."""
    signal_number: int = signal.SIGKILL
    """Sent to the rank; SIGTERM comes to the supervisor, and the rank waits for what that makes of it."""


@dataclass(frozen=True)
class Ended:
    """How an attempt ended."""

    code: ExitCode
    seconds_after_fault: float


def train(
    volumes: Volumes,
    folder: Path,
    ranks: int,
    template: dict[str, Any],
    fault: Fault | None = None,
    **fields: Any,
) -> Ended:
    """Prepares and trains one attempt to its end on so many stand-ins for GPUs; one rank is the CPU."""
    resources = {"resources": {"gpus": ranks if ranks > 1 else 0}}
    marker = folder / "fault-happens"
    marker.unlink(missing_ok=True)
    environment = {
        "YOLO_STAND_IN_GPUS": "cpu",
        RECORD_ENV: str(folder / f"batches-{fields.get('attempt', 1)}.jsonl"),
        FAULT_ENV: json.dumps({**asdict(fault), "marker": str(marker)}) if fault else "",
    }
    stop, over, seen = StopSignal(), threading.Event(), time.monotonic()

    def follow() -> None:
        nonlocal seen
        while not over.wait(0.01):
            if marker.exists():
                seen = time.monotonic()
                if fault and fault.signal_number == signal.SIGTERM:
                    stop.number = signal.SIGTERM
                return

    watcher = threading.Thread(target=follow)
    watcher.start()
    try:
        config = TrainerConfig.model_validate(volumes.config(template | resources, **fields))
        with mock.patch.dict(os.environ, environment):
            code = Supervisor(config, stop, _command).run()
        return Ended(code, time.monotonic() - seen)
    finally:
        over.set()
        watcher.join()


def images(folder: Path, *attempts: int) -> dict[int, list[tuple[str, ...]]]:
    """By epoch (from 0) the images of each batch that was trained whole, over all ranks."""
    found: dict[int, list[tuple[str, ...]]] = {}
    for attempt in attempts:
        batches: dict[tuple[int, int], list[list[str]]] = {}
        ranks = 1
        for line in (folder / f"batches-{attempt}.jsonl").read_text().splitlines():
            entry = json.loads(line)
            ranks = entry["ranks"]
            batches.setdefault((entry["epoch"], entry["batch"]), []).append(entry["images"])
        for (epoch, _), parts in sorted(batches.items()):
            assert len(parts) == ranks
            found.setdefault(epoch, []).append(tuple(sorted(name for part in parts for name in part)))
    return found


def _command(stage: Stage, config: TrainerConfig) -> list[str]:
    ranks = config.template.resources.gpus
    if stage is Stage.PREPARE:
        return [sys.executable, "-m", "yolo_trainer.worker", "prepare"]
    way = ["launch", str(ranks)] if ranks > 1 else ["work"]
    return [sys.executable, "-m", "tests.trainer.ranked", *way]


def _launch(count: int) -> int:
    command = [sys.executable, "-m", "tests.trainer.ranked", "work"]
    ranks = Ranks(command, count, Report.from_environment())
    signal.signal(signal.SIGTERM, ranks.stop)
    return ranks.run()


def _work() -> None:
    """The worker of a rank; writes down each batch that it has trained."""
    from yolo_trainer import worker
    from yolo_trainer.training.supervised import SupervisedTrainer

    def befall(trainer: Any, batch: int | None) -> None:
        if not fault or (rank, batch) != (fault["rank"], fault["at_batch"]):
            return
        Path(fault["marker"]).touch()
        if fault["signal_number"] != signal.SIGTERM:
            os.kill(os.getpid(), fault["signal_number"])
        while not trainer.session.interrupts.requested:
            time.sleep(0.005)

    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    fault = json.loads(os.environ[FAULT_ENV] or "null")
    trained, names = 0, []
    preprocess, pause = SupervisedTrainer.preprocess_batch, SupervisedTrainer.pause
    validate_as_before = SupervisedTrainer.validate

    def preprocess_batch(self: Any, batch: Any) -> Any:
        nonlocal names
        names = [Path(name).name for name in batch["im_file"]]
        befall(self, trained)
        return preprocess(self, batch)

    def validate(self: Any) -> Any:
        befall(self, None)
        return validate_as_before(self)

    def write_down(self: Any) -> None:
        nonlocal trained
        trained += 1
        entry = {"epoch": self.epoch, "batch": self.place.batches, "ranks": ranks, "images": names}
        with Path(os.environ[RECORD_ENV]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        pause(self)

    SupervisedTrainer.preprocess_batch = preprocess_batch  # type: ignore[method-assign]
    SupervisedTrainer.pause = write_down  # type: ignore[method-assign]
    SupervisedTrainer.validate = validate  # type: ignore[method-assign]
    sys.argv = ["worker", "train"]
    worker.main()


if __name__ == "__main__":
    if sys.argv[1] == "launch":
        sys.exit(_launch(int(sys.argv[2])))
    _work()
