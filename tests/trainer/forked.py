"""Stages of the trainer in processes that have torch already: forked from one that imported it.

A stage starts in milliseconds rather than seconds, and is otherwise the worker as the supervisor starts it.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from yolo_crds.meta import CONFIG_ENV

from .training_process import UID, Volumes

# The forked process finds this module by its name, as pytest gave it.
if (_root := str(Path(__file__).parents[2])) not in sys.path:
    sys.path.append(_root)
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.trainer.forked_imports"])
pinned = threading.local()
"""Its `cpu`: where the stages run that a thread starts."""
_WRITING = os.O_WRONLY | os.O_RDWR
_CHANGES = frozenset({"os.rename", "os.remove", "os.link", "os.symlink", "os.mkdir", "os.rmdir"})


@dataclass(frozen=True)
class Fault:
    """What befalls a stage by itself; each is the kernel's doing or stands for it."""

    signal_number: int = signal.SIGKILL
    at_change: int | None = None
    """The signal comes at the change of that number (from 1) to the run folder: a file opened for writing,
    renamed, linked, removed."""
    at_batch: int | None = None
    """The signal comes amid the batch of that number (from 0) that this process trains."""
    at_report: tuple[str, int] | None = None
    """The signal comes when the worker reports this stage for the n-th time (from 1)."""
    at_save: int | None = None
    """The signal comes in the middle of the n-th state (from 1) that is written."""
    save_bytes_per_second: float | None = None
    """States are written to a volume as slow as this."""
    changes_to: str | None = None
    """File that gets a line for each change to the run folder."""
    nan_at_step: int | None = None
    """The optimizer's step of that number (from 0) makes a weight no number."""
    at_byte: int | None = None
    """The process is killed when any file is to become longer than so many bytes."""


def run_stage(
    stage: str, config: dict[str, Any], log: str, record: str | None, fault: Fault, cpu: int
) -> None:
    """In the forked process: becomes the worker of a stage."""
    os.setsid()
    multiprocessing.set_start_method("fork", force=True)  # as in any other process of the trainer
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    # As many as there are data loaders: a training starts no more of them than it has CPUs.
    others = sorted(os.sched_getaffinity(0) - {cpu})
    os.sched_setaffinity(0, {cpu, *others[: max(0, config["template"]["workers"] - 1)]})
    os.environ[CONFIG_ENV] = json.dumps({**config, "stage": stage})
    sys.argv = ["worker", stage]
    from yolo_trainer import worker

    _print_failures()
    if stage == "prepare":
        _claim()
    else:
        _watch_batches(record, fault)
        _watch_reports(fault)
        _watch_saves(fault)
        _watch_steps(fault)
        _arm(config["runsDir"], fault)
    worker.main()


def _claim() -> None:
    """As the supervisor of the prepare stage does it."""
    from yolo_trainer.config import parse_config
    from yolo_trainer.runfolder.attempt import claim

    claim(parse_config(os.environ[CONFIG_ENV]))


def _print_failures() -> None:
    from yolo_trainer.process.report import Report

    Report.failed = lambda self, error, **_: print("FAILED", error.reason, error.message, flush=True)  # type: ignore[method-assign]


def _arm(folder: str, fault: Fault) -> None:
    if fault.at_byte is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault.at_byte, fault.at_byte))
    if fault.at_change is not None or fault.changes_to is not None:
        left = fault.at_change or 0
        listing = os.open(fault.changes_to, os.O_WRONLY | os.O_CREAT) if fault.changes_to else None

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event not in _CHANGES and not (event == "open" and int(arguments[2] or 0) & _WRITING):
                return
            if str(arguments[0]).startswith(folder):
                left -= 1
                if listing is not None:
                    os.write(listing, f"{event} {Path(str(arguments[0])).name}\n".encode())
                if left == 0:
                    os.kill(os.getpid(), fault.signal_number)

        sys.addaudithook(hook)


def _watch_batches(record: str | None, fault: Fault) -> None:
    """Writes down the images of each batch, before it is trained."""
    from yolo_trainer.training.supervised import SupervisedTrainer

    original: Callable[[Any, Any], Any] = SupervisedTrainer.preprocess_batch
    trained = 0

    def preprocess_batch(self: Any, batch: Any) -> Any:
        nonlocal trained
        if record:
            with Path(record).open("a", encoding="utf-8") as file:
                names = [Path(name).name for name in batch["im_file"]]
                file.write(json.dumps({"pid": os.getpid(), "epoch": self.epoch, "images": names}) + "\n")
        if trained == fault.at_batch:
            os.kill(os.getpid(), fault.signal_number)
        trained += 1
        return original(self, batch)

    SupervisedTrainer.preprocess_batch = preprocess_batch  # type: ignore[method-assign]


def _watch_reports(fault: Fault) -> None:
    if fault.at_report is None:
        return
    from yolo_trainer.process.report import Report

    original = Report.__call__
    wanted, left = fault.at_report

    def report(self: Report, **fields: object) -> None:
        nonlocal left
        original(self, **fields)
        if fields.get("stage") == wanted and not fields.get("batch"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), fault.signal_number)

    Report.__call__ = report  # type: ignore[method-assign]


class _Volume:
    """A file on a slow volume, and a signal halfway through it."""

    def __init__(self, file: Any, size: int, fault: Fault, number: int) -> None:
        self._file, self._size, self._fault = file, size, fault
        self._written = 0
        self._left = number == fault.at_save

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), 1 << 14):
            piece = view[start : start + (1 << 14)]
            if self._fault.save_bytes_per_second:
                time.sleep(len(piece) / self._fault.save_bytes_per_second)
            self._file.write(bytes(piece))
            self._written += len(piece)
            if self._left and self._written >= self._size / 2:
                self._left = False
                os.kill(os.getpid(), self._fault.signal_number)
        return len(view)

    def flush(self) -> None:
        self._file.flush()


def _watch_saves(fault: Fault) -> None:
    if fault.at_save is None and fault.save_bytes_per_second is None:
        return
    import io

    import torch

    original = torch.save
    number = 0

    def save(content: Any, file: Any, *arguments: Any, **options: Any) -> None:
        nonlocal number
        if not (isinstance(content, dict) and "epochs_done" in content):
            original(content, file, *arguments, **options)
            return
        number += 1
        whole = io.BytesIO()
        original(content, whole)
        _Volume(file, whole.tell(), fault, number).write(whole.getvalue())

    torch.save = save


def _watch_steps(fault: Fault) -> None:
    if fault.nan_at_step is None:
        return
    import torch

    from yolo_trainer.training.supervised import SupervisedTrainer

    original: Callable[[Any], None] = SupervisedTrainer.optimizer_step
    steps = 0

    def optimizer_step(self: Any) -> None:
        nonlocal steps
        original(self)
        if steps == fault.nan_at_step:
            with torch.no_grad():
                next(self.model.parameters())[0] = float("nan")
        steps += 1

    SupervisedTrainer.optimizer_step = optimizer_step  # type: ignore[method-assign]


class Stage:
    """One stage in a process of its own."""

    def __init__(
        self,
        stage: str,
        config: dict[str, Any],
        folder: Path,
        fault: Fault | None = None,
    ) -> None:
        # One CPU: threads that wait for each other on a busy machine take ten times as long.
        cpu = getattr(pinned, "cpu", min(os.sched_getaffinity(0)))
        self.log = folder / f"{stage}-{time.monotonic_ns()}.log"
        self.record = folder / "batches.jsonl"
        arguments = stage, config, str(self.log), str(self.record), fault or Fault(), cpu
        self.process = _CONTEXT.Process(target=run_stage, args=arguments)
        self.process.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        assert self.process.pid
        with contextlib.suppress(ProcessLookupError):  # as the supervisor does: data loaders, too
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()

    @property
    def output(self) -> str:
        """What this stage printed."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    @property
    def is_stopped(self) -> bool:
        """Whether a SIGSTOP holds it."""
        try:
            status = Path(f"/proc/{self.process.pid}/stat").read_text()
        except FileNotFoundError:
            return False
        return status.rpartition(") ")[2].startswith("T")

    @property
    def batches(self) -> int:
        """How many batches this process began."""
        return sum(1 for line in read_record(self.record) if line["pid"] == self.process.pid)

    def wait_for(self, condition: Callable[[Stage], bool], seconds: float = 60) -> None:
        """Until the condition holds; fails where the stage ends first."""
        end = time.monotonic() + seconds
        while not condition(self):
            assert self.process.is_alive() or condition(self), self.output
            assert time.monotonic() < end, self.output
            time.sleep(0.005)

    def kill(self, number: int) -> None:
        """Sends a signal, if it still runs."""
        pid = self.process.pid
        if self.process.is_alive() and pid is not None:
            os.kill(pid, number)

    def finish(self, seconds: float = 90) -> int:
        """The exit code; minus the number of a signal that killed it."""
        self.process.join(seconds)
        code = self.process.exitcode
        assert code is not None, self.output
        return code


def read_record(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a record of batches."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def run_attempt(
    volumes: Volumes,
    folder: Path,
    template: dict[str, Any] | None = None,
    fault: Fault | None = None,
    **fields: Any,
) -> tuple[int, str]:
    """Prepares and trains one attempt to its end; the exit code and what it printed."""
    config = volumes.config(template, **fields)
    with Stage("prepare", config, folder) as prepare:
        code = prepare.finish()
        if code:
            return code, prepare.output
    with Stage("train", config, folder, fault) as train:
        return train.finish(), train.output


__all__ = ["UID", "Fault", "Stage", "read_record", "run_attempt"]
