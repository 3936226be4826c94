"""What makes trainings faster, seen in real ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ultralytics")
import torch

from bench.train.measure import METRIC
from yolo_crds.meta import CONFIG_ENV, Stage
from yolo_crds.trainer import ExitCode, TrainerConfig
from yolo_trainer.supervise.workers import Workers

from .training_process import Volumes, run

pytestmark = [pytest.mark.image, pytest.mark.timeout(240)]
HOOKS = Path(__file__).parents[1] / "bench/train/hooks"


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    return Volumes(tmp_path)


def test_labels_are_plotted_after_the_first_epoch(
    volumes: Volumes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the stamps of the benchmark come in both programs."""
    stamps = tmp_path / "stamps"
    monkeypatch.setenv("BENCH_STAMPS", str(stamps))
    monkeypatch.setenv("PYTHONPATH", f"{HOOKS}:{os.environ['PYTHONPATH']}")
    training = run(volumes.config({"extraArgs": {}, "epochs": 1}), tmp_path)
    assert training.process.returncode == 0, training.output
    events = {name: (at, metrics) for name, at, metrics in map(json.loads, stamps.read_text().splitlines())}
    assert METRIC in events["on_fit_epoch_end"][1]
    drawn = (volumes.attempt() / "labels.jpg").stat().st_mtime
    assert events["on_train_batch_start"][0] < events["on_train_epoch_end"][0] < drawn + 1
    assert (volumes.folder.train / "labels.jpg").exists()


def test_models_are_channels_last_on_the_cpu(volumes: Volumes, tmp_path: Path) -> None:
    training = run(volumes.config({"epochs": 1}), tmp_path)
    assert training.process.returncode == 0, training.output
    state = torch.load(volumes.attempt() / "state.pt", weights_only=True)
    weights = [value for value in state["model"].values() if value.dim() == 4 and min(value.shape[1:]) > 1]
    assert weights
    assert all(value.is_contiguous(memory_format=torch.channels_last) for value in weights)


def test_a_held_worker_that_nobody_releases_ends(volumes: Volumes) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yolo_trainer.worker", "train", "--held"],
        env={**os.environ, CONFIG_ENV: json.dumps(volumes.config())},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == ExitCode.INTERRUPTED, done.stderr


def test_the_train_worker_imports_beside_prepare(volumes: Volumes) -> None:
    workers = Workers(TrainerConfig.model_validate(volumes.config()))
    with workers.running(Stage.PREPARE, 1) as prepare:
        assert workers._held is not None
        beside, _ = workers._held
        assert workers.pids == {prepare.pid, beside.pid}
        assert len(workers.pids) == 2
        assert beside.returncode is None
    with workers.running(Stage.TRAIN, 2) as train:
        assert train is beside
    assert workers._held is None
    assert train.returncode == -signal.SIGKILL


def test_a_run_of_one_stage_has_one_worker(volumes: Volumes) -> None:
    workers = Workers(TrainerConfig.model_validate(volumes.config(stage="prepare")))
    with workers.running(Stage.PREPARE, 1):
        assert workers._held is None
