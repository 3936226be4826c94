"""The benchmark of trainings on a few toy images: both sides are measured, what they reach is not judged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ultralytics")
from .training_process import NAME, make_data

pytestmark = [pytest.mark.image, pytest.mark.timeout(240)]
WANT = [
    "images/s",
    "process start to first batch, s",
    "peak memory, MiB",
    "CPU seconds",
    "mAP50-95, mean",
    "supervisor, MiB",
]


def test_one_round_of_one_epoch_measures_both_sides(tmp_path: Path) -> None:
    make_data(tmp_path / "volume")
    (tmp_path / "volume/datasets" / NAME).rename(tmp_path / "volume/datasets/digits")
    command = [sys.executable, "-m", "bench.train.run", str(tmp_path), "1", "1", "16"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode in (0, 1), done.stderr
    assert done.stderr == ""
    rows = [line[:32].rstrip() for line in done.stdout.splitlines()]
    assert [row for row in rows if row in WANT] == WANT
    missed = [line for line in done.stdout.splitlines() if line.startswith("MISSED")]
    assert done.returncode == bool(missed)
