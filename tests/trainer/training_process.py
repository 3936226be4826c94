"""A real `python -m yolo_trainer` on a toy data set, as a process that tests can wait for and interrupt."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from yolo_crds.layout import RunFolder
from yolo_crds.meta import attempt_token
from yolo_crds.trainer import ProgressLine, Result, parse_progress, parse_result

UID = "0123456789abcdef"
NAME = "toy"
MODEL = """nc: 2
backbone:
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
head:
  - [[2, 3], 1, Detect, [nc]]
"""


def make_data(root: Path, train: int = 16, val: int = 8) -> None:
    """A YOLO folder of coloured squares in two classes, and a small architecture."""
    random = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            (root / "datasets" / NAME / kind / split).mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(0, 80, (64, 64, 3), dtype=np.uint8)
            x, y = random.integers(2, 40, 2)
            pixels[y : y + 20, x : x + 20] = [(255, 0, 0), (0, 255, 0)][index % 2]
            folder = root / "datasets" / NAME
            Image.fromarray(pixels).save(folder / "images" / split / f"{index}.png")
            line = f"{index % 2} {(x + 10) / 64} {(y + 10) / 64} {20 / 64} {20 / 64}\n"
            (folder / "labels" / split / f"{index}.txt").write_text(line)
    names = "names: {0: red, 1: green}"
    (root / "datasets" / NAME / "data.yaml").write_text(f"train: images/train\nval: images/val\n{names}\n")
    (root / "weights").mkdir()
    (root / "weights" / "tiny.yaml").write_text(MODEL)


class Volumes:
    """The two volumes of a test."""

    def __init__(self, root: Path) -> None:
        self.data = root / "data"
        self.runs = root / "runs"
        self.runs.mkdir()
        make_data(self.data)

    @property
    def folder(self) -> RunFolder:
        return RunFolder(NAME, self.runs)

    def attempt(self, run: int = 1, attempt: int = 1) -> Path:
        return self.folder.attempt(attempt_token(UID, run, attempt))

    def result(self, run: int = 1, attempt: int = 1) -> Result:
        found = parse_result(self.folder.result(attempt_token(UID, run, attempt)).read_text())
        assert found is not None
        return found

    def config(self, template: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        base: dict[str, Any] = {
            "model": "tiny.yaml",
            "data": {"train": f"datasets/{NAME}"},
            "epochs": 3,
            "batch": 4,
            "imgsz": 64,
            "workers": 0,
            "optimizer": "AdamW",
            "resources": {"gpus": 0},
            "extraArgs": {"plots": "False"},
        }
        return {
            "name": NAME,
            "uid": UID,
            "modelName": NAME,
            "dataDir": str(self.data),
            "runsDir": str(self.runs),
            "template": {**base, **(template or {})},
            **fields,
        }


class Training:
    """One running trainer; its standard output is read as it comes."""

    def __init__(self, config: dict[str, Any], folder: Path, *, pinned: bool = True) -> None:
        path = folder / f"config-{time.monotonic_ns()}.json"
        path.write_text(json.dumps(config))
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        # To one CPU: threads that wait for each other on a busy machine take ten times as long.
        one_cpu = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))] if pinned else []
        self.process = subprocess.Popen(
            [*one_cpu, sys.executable, "-m", "yolo_trainer", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def end(self) -> None:
        """Leaves nothing of it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()

    def wait_for(self, text: str, seconds: float = 120) -> str:
        """The next line that has `text` in it."""
        end = time.monotonic() + seconds
        while (line := self._queue.get(timeout=max(0.1, end - time.monotonic()))) is not None:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"no line with {text!r} in:\n" + "\n".join(self.lines))

    def finish(self, seconds: float = 120) -> int:
        """The exit code, once it ended."""
        end = time.monotonic() + seconds
        while (line := self._queue.get(timeout=max(0.1, end - time.monotonic()))) is not None:
            self.lines.append(line)
        return self.process.wait(timeout=10)

    def stop(self) -> int:
        """Asks it to end; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.finish(60)

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def progress(self) -> list[ProgressLine]:
        return [p for line in self.lines if (p := parse_progress(line))]

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self._queue.put(line.rstrip("\n"))
        self._queue.put(None)


def run(config: dict[str, Any], folder: Path) -> Training:
    """Runs a training to its end."""
    with Training(config, folder) as training:
        training.finish()
        return training
