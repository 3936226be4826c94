"""Two nodes, each with a launcher and a rank: real gloo on the CPU, real Ultralytics."""

from __future__ import annotations

import copy
import os
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

pytest.importorskip("ultralytics")
import torch

from yolo_crds.conditions import Reason
from yolo_crds.meta import CPU_REQUEST_ENV
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
    with mock.patch.dict(os.environ, {CPU_REQUEST_ENV: "2"}):  # one a rank, as on the nodes
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


def test_two_nodes_train_as_two_ranks_of_one_pod_do(one_pod: tuple[Volumes, Path], tmp_path: Path) -> None:
    volumes, other = Volumes(tmp_path), one_pod[0]
    follower = tmp_path / "follower"
    follower.mkdir()

    ended = train_on_nodes(volumes, tmp_path, TEMPLATE)

    assert set(ended.codes.values()) == {ExitCode.DONE}
    assert not ended.follower_wrote
    assert volumes.result().epochs_done == 3
    assert images(tmp_path, 1) == images(one_pod[1], 1)
    for epoch in images(tmp_path, 1).values():
        assert set(Counter(name for batch in epoch for name in batch).values()) == {1}
    assert rows(volumes) == rows(other)
    for part in ("model", "ema"):
        for name, tensor in state(other)[part].items():
            assert torch.equal(tensor, state(volumes)[part][name]), (part, name)


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.soak), 1])
def test_killed_rank_is_told_by_its_pod_and_lost_to_the_other(tmp_path: Path, rank: int) -> None:
    volumes = Volumes(tmp_path)

    ended = train_on_nodes(volumes, tmp_path, TEMPLATE, Fault(rank, WITHIN_SECOND_EPOCH))

    own, other = ended.results[rank], ended.results[1 - rank]
    assert own is not None
    assert other is not None
    assert (ended.codes[rank], own.reason) == (ExitCode.WORKER_KILLED, Reason.WORKER_KILLED)
    assert own.message == f"rank {rank} was killed by signal 9 (SIGKILL)"
    assert (ended.codes[1 - rank], other.reason) == (ExitCode.PEER_LOST, Reason.PEER_LOST)
    assert other.message == f"rank {rank} on pod {rank} was killed by signal 9 (SIGKILL)"
    assert max(ended.seconds(0), ended.seconds(1)) < 15
    assert not ended.follower_wrote


@pytest.mark.parametrize(
    "kind", ["nodes", *(pytest.param(kind, marks=pytest.mark.soak) for kind in ("ranks", "process"))]
)
def test_stopped_nodes_go_on_at_the_same_batch_anywhere(
    one_pod: tuple[Volumes, Path], stopped: tuple[Volumes, Path], tmp_path: Path, kind: str
) -> None:
    volumes = copy.copy(stopped[0])
    volumes.runs = tmp_path / "runs"
    shutil.copytree(stopped[0].runs, volumes.runs, symlinks=True)
    shutil.copy(stopped[1] / "batches-1.jsonl", tmp_path)
    saved = state(volumes)
    assert (saved["epochs_done"], saved["place"]["batches"]) == (1, 2)

    again: dict[str, Any] = {"attempt": 2, "resume": True}
    if kind == "nodes":
        assert set(train_on_nodes(volumes, tmp_path, TEMPLATE, **again).codes.values()) == {ExitCode.DONE}
    else:
        with mock.patch.dict(os.environ, {CPU_REQUEST_ENV: "2"}):
            ranks = 2 if kind == "ranks" else 1
            assert train(volumes, tmp_path, ranks, TEMPLATE, **again).code is ExitCode.DONE

    assert images(tmp_path, 1, 2) == images(one_pod[1], 1)
    if kind != "process":
        assert_same(volumes, one_pod[0])


@pytest.mark.parametrize("index", [pytest.param(0, marks=pytest.mark.soak), 1])
def test_stop_of_one_pod_saves_and_ends_both(tmp_path: Path, index: int) -> None:
    volumes = Volumes(tmp_path)
    fault = Fault(index, WITHIN_SECOND_EPOCH, signal.SIGTERM)

    ended = train_on_nodes(volumes, tmp_path, TEMPLATE, fault, stops=(index,))

    assert set(ended.codes.values()) == {ExitCode.INTERRUPTED}
    other = ended.results[1 - index]
    assert other is not None
    assert other.message == f"pod {index} was asked to end"
    assert (state(volumes)["epochs_done"], state(volumes)["place"]["batches"]) == (1, 2)
    assert max(ended.seconds(0), ended.seconds(1)) < 25


@pytest.mark.soak
@pytest.mark.parametrize("index", [0, 1])
def test_pod_that_falls_silent_is_lost_and_never_waited_for(tmp_path: Path, index: int) -> None:
    """As one whose node has died, or whose network is cut: no connection is closed."""
    volumes = Volumes(tmp_path)

    ended = train_on_nodes(volumes, tmp_path, TEMPLATE, Fault(index, WITHIN_SECOND_EPOCH, 0), freezes=index)

    other = ended.results[1 - index]
    assert other is not None
    assert (ended.codes[1 - index], other.reason) == (ExitCode.PEER_LOST, Reason.PEER_LOST)
    assert other.message.startswith(f"pod {index} was lost: it has been silent for ")
    assert ended.seconds(1 - index) < SILENT_SECONDS + 12
    assert ended.codes[index] is ExitCode.PEER_LOST
