"""One training as a program of its own: how long, how much memory and CPU, how good."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bench.data.processes import own_memory, tree_memory

_SAMPLE_SECONDS = 1.0  # a look at a large process takes the kernel tens of milliseconds
_HOOKS = Path(__file__).parent / "hooks"
METRIC = "metrics/mAP50-95(B)"


@dataclass(frozen=True)
class Trained:
    """What was seen of one training; times in seconds, memory in bytes."""

    images_per_second: float
    """From the first batch to the end of the last epoch: training, validation and saving."""
    first_batch: float
    """Since the start of the process."""
    peak: int
    """Of the process and all below it at once; pages that they share are counted once (PSS)."""
    first_process: int
    """The most that the program's first process took by itself, counted likewise."""
    cpu: float
    quality: float
    """mAP50-95 of the last epoch's validation."""


def measure(command: list[str], folder: Path, images: int, epochs: int) -> Trained:
    """Runs a training of so many images and epochs to its end. Raises SystemExit with the end of its log."""
    stamps, log = folder / "stamps", folder / "log"
    environment = {**os.environ, "BENCH_STAMPS": str(stamps)}
    environment["PYTHONPATH"] = f"{_HOOKS}:{environment.get('PYTHONPATH', '')}"
    with log.open("w") as stream:
        started = time.time()
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
        watch = _Watch(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        watch.end()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        print(log.read_text(errors="replace")[-3000:], file=sys.stderr)
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    events = [json.loads(line) for line in stamps.read_text().splitlines()]
    first = next(at for name, at, _ in events if name == "on_train_batch_start")
    # The final evaluation of best.pt is told as one epoch more.
    ends = [(at, metrics) for name, at, metrics in events if name == "on_fit_epoch_end"][:epochs]
    if len(ends) < epochs:
        raise SystemExit(f"{' '.join(command)} trained {len(ends)} of {epochs} epochs")
    return Trained(
        images_per_second=images * epochs / (ends[-1][0] - first),
        first_batch=first - started,
        peak=watch.peak,
        first_process=watch.first_process,
        cpu=usage.ru_utime + usage.ru_stime,
        quality=ends[-1][1][METRIC],
    )


class _Watch:
    """Looks at the memory of a program until `end`."""

    def __init__(self, pid: int) -> None:
        self.peak = self.first_process = 0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self.peak = max(self.peak, tree_memory(self._pid))
            self.first_process = max(self.first_process, own_memory(self._pid))
