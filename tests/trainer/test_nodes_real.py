"""Two nodes, each with a launcher and a rank: real gloo on the CPU, real Ultralytics."""

from __future__ import annotations

import copy
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ultralytics")
import torch

from yolo_crds.conditions import Reason
from yolo_crds.trainer import ExitCode

from .nodes import SILENT_SECONDS, train_on_nodes
from .outcomes import assert_same, rows, state
from .ranked import Fault, images, train
from .training_process import Volumes

pytestmark = [pytest.mark.image, pytest.mark.timeout(120)]

TEMPLATE: dict[str, Any] = {"epochs": 3, "batch": 6, "hyperparameters": {"nbs": 12, "warmup_epochs": 1}}
WITHIN_SECOND_EPOCH = 4


@pytest.fixture(scope="module")
def one_pod(tmp_path_factory: pytest.TempPathFactory) -> tuple[Volumes, Path]:
    """The training on two ranks of one pod."""
    folder = tmp_path_factory.mktemp("one-pod")
    volumes = Volumes(folder)
    assert train(volumes, folder, 2, TEMPLATE).code is ExitCode.DONE
    return volumes, folder


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Volumes, Path]:
    """A training on two nodes both of which are told to end within the second epoch."""
    folder = tmp_path_factory.mktemp("stopped")
    volumes = Volumes(folder)
    fault = Fault(1, WITHIN_SECOND_EPOCH, signal.SIGTERM)
    ended = train_on_nodes(volumes, folder, TEMPLATE, fault, stops=(0, 1))
    assert set(ended.codes.values()) == {ExitCode.INTERRUPTED}
    return volumes, folder


def files(folder: Path) -> dict[str, int]:
    """All that is in a folder, with times of change."""
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def test_two_nodes_train_as_two_ranks_of_one_pod_do(one_pod: tuple[Volumes, Path], tmp_path: Path) -> None:
    volumes, other = Volumes(tmp_path), one_pod[0]
    follower = tmp_path / "follower"
    follower.mkdir()

    ended = train_on_nodes(volumes, tmp_path, TEMPLATE)

    assert set(ended.codes.values()) == {ExitCode.DONE}
    assert volumes.result().epochs_done == 3
    assert images(tmp_path, 1) == images(one_pod[1], 1)
    for epoch in images(tmp_path, 1).values():
        assert set(Counter(name for batch in epoch for name in batch).values()) == {1}
    assert rows(volumes) == rows(other)
    for part in ("model", "ema"):
        for name, tensor in state(other)[part].items():
            assert torch.equal(tensor, state(volumes)[part][name]), (part, name)
