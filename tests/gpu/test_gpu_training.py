"""Trainings on a GPU by the real program, mixed precision on, as a person on a workstation runs them."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ultralytics")
import torch

from trainer.outcomes import rows, state
from trainer.training_process import Training, Volumes
from yolo_crds.conditions import Reason
from yolo_crds.trainer import ExitCode

from .conftest import Card

pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]

EPOCHS = 20
NOISE_FACTOR = 3.0
"""A resumed training may differ from a whole one so many times as much as two whole ones from each other.

Kernels of cuDNN and cuBLAS add in an order that differs from run to run unless `deterministic` is set, and
what is rounded otherwise grows with each step (https://docs.pytorch.org/docs/stable/notes/randomness.html).
"""
ROUNDING = 1e-6


def train(
    volumes: Volumes, card: Card, template: dict[str, Any] | None = None, **fields: Any
) -> tuple[int, Training]:
    """One attempt to its end; its exit code."""
    wanted = {"epochs": EPOCHS, "resources": card.resources} | (template or {})
    with Training(volumes.config(wanted, **fields), volumes.runs.parent, pinned=not card.real) as training:
        return training.finish(500), training


@pytest.mark.gpu
def test_a_training_computes_on_the_gpu_in_mixed_precision(volumes: Volumes, real_card: Card) -> None:
    before = torch.cuda.mem_get_info()[0]
    wanted = {"epochs": 100, "resources": real_card.resources}
    with Training(volumes.config(wanted), volumes.runs.parent, pinned=False) as training:
        _wait_for_rows(volumes, 2)
        assert before - torch.cuda.mem_get_info()[0] > 100 << 20, "no CUDA context of another process"
        assert training.finish(500) == 0, training.output
    assert "CUDA:0" in training.output
    saved = torch.load(volumes.folder.train / "weights" / "last.pt", weights_only=False, map_location="cpu")
    assert saved["train_args"]["amp"] not in (False, None)
    assert volumes.result().epochs_done == 100


@pytest.mark.soak
@pytest.mark.parametrize("deterministic", [True, pytest.param(False, marks=pytest.mark.gpu)])
def test_stopped_and_resumed_it_ends_as_if_nothing_had_been(
    tmp_path: Path, card: Card, deterministic: bool
) -> None:
    template = {"extraArgs": {"plots": "False", "deterministic": str(deterministic)}}
    whole, again, parts = (Volumes(_folder(tmp_path / name)) for name in ("whole", "again", "parts"))
    for volumes in (whole, again):
        code, training = train(volumes, card, template)
        assert code == 0, training.output
    config = parts.config({"epochs": EPOCHS, "resources": card.resources} | template)
    with Training(config, parts.runs.parent, pinned=not card.real) as training:
        _wait_for_rows(parts, 2)
        training.process.send_signal(signal.SIGTERM)
        assert training.finish(60) == ExitCode.INTERRUPTED, training.output
    code, training = train(parts, card, template, attempt=2)
    assert code == 0, training.output
    assert [row["epoch"] for row in rows(parts)] == [str(epoch) for epoch in range(1, EPOCHS + 1)]
    want, noise = state(whole), _distance(state(whole), state(again))
    found = _distance(want, state(parts, attempt=2))
    print(f"deterministic {deterministic}: resumed {found:.2e}, two whole ones {noise:.2e}")
    assert found <= NOISE_FACTOR * noise + ROUNDING


@pytest.mark.gpu
def test_two_trainings_share_a_gpu(tmp_path: Path, real_card: Card) -> None:
    pair = [Volumes(_folder(tmp_path / name)) for name in ("one", "two")]
    wanted = {"epochs": EPOCHS, "resources": real_card.resources}
    running = [Training(volumes.config(wanted), volumes.runs.parent, pinned=False) for volumes in pair]
    try:
        assert [training.finish(500) for training in running] == [0, 0]
    finally:
        for training in running:
            training.end()


@pytest.mark.gpu
def test_a_batch_by_memory_is_chosen_and_trains(volumes: Volumes, real_card: Card) -> None:
    code, training = train(volumes, real_card, {"batch": -1, "model": "yolo11n.yaml", "epochs": 1})
    assert code == 0, training.output


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_train_as_one_by_nccl(volumes: Volumes, real_card: Card) -> None:
    code, training = train(volumes, real_card, {"resources": {"gpus": 2, "cpu": "8"}})
    assert code == 0, training.output
    shutil.rmtree(volumes.folder.train)
    config = volumes.config({"epochs": 500, "resources": {"gpus": 2, "cpu": "8"}}, run=2)
    with Training(config, volumes.runs.parent, pinned=False) as training:
        _wait_for_rows(volumes, 2)
        _rank_of(training, 1).send_signal(signal.SIGKILL)
        assert training.finish(120) == ExitCode.WORKER_KILLED, training.output
    result = volumes.result(run=2)
    assert (result.reason, "rank 1 was killed by signal 9" in result.message) == (Reason.WORKER_KILLED, True)


def _wait_for_rows(volumes: Volumes, count: int) -> None:
    """Until so many epochs are published."""
    end = time.monotonic() + 120
    while not (volumes.folder.train / "results.csv").exists() or len(rows(volumes)) < count:
        assert time.monotonic() < end, "no epoch ends"
        time.sleep(0.02)


def _distance(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of two models and their averages, of a tensor relative to its largest weight."""
    found = [0.0]
    for part in ("model", "ema"):
        for name, tensor in one[part].items():
            if tensor.is_floating_point():
                largest = tensor.abs().max().clamp(min=1e-3)
                found.append(float((other[part][name] - tensor).abs().max() / largest))
    return max(found)


def _rank_of(training: Training, rank: int) -> Any:
    import psutil  # type: ignore[import-untyped]

    for process in psutil.Process(training.process.pid).children(recursive=True):
        if process.environ().get("RANK") == str(rank):
            return process
    raise AssertionError(f"no process of rank {rank}")


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
