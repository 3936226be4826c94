"""Run one measurement as a process of its own and see how much memory it and its children take."""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SAMPLE_SECONDS = 0.2


@dataclass(frozen=True)
class Measurement:
    """What a process measured of itself, and its memory."""

    images: int
    seconds: float
    peak: int
    """Bytes of the process and all below it at once; pages that they share are counted once (PSS)."""

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds


def measure(command: Sequence[str]) -> Measurement:
    """Runs Python with these arguments; its last line is JSON with `images` and `seconds`."""
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        ended = threading.Event()
        peaks: list[int] = [0]

        def watch() -> None:
            while not ended.wait(_SAMPLE_SECONDS):
                peaks.append(tree_memory(process.pid))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        output, _ = process.communicate()
        ended.set()
        watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    found = json.loads(output.splitlines()[-1])
    return Measurement(found["images"], found["seconds"], max(peaks))


def tree_memory(pid: int) -> int:
    """Bytes of a process and all below it, each page in its part of those who share it."""
    return own_memory(pid) + sum(tree_memory(child) for child in _children(pid))


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []  # it has ended


def own_memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
