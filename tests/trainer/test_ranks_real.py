"""Several ranks, as GPUs of one pod would be: real gloo on the CPU, real Ultralytics, our launcher."""

from __future__ import annotations

import copy
import math
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

from .outcomes import assert_same, rows, state
from .ranked import Fault, images, train
from .training_process import Volumes

pytestmark = [pytest.mark.image, pytest.mark.timeout(120)]

TEMPLATE: dict[str, Any] = {"epochs": 3, "batch": 6, "hyperparameters": {"nbs": 12, "warmup_epochs": 1}}
"""Batches of 6 of 16 images: a last one of 4, which three ranks cannot share evenly."""
WITHIN_SECOND_EPOCH = 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Volumes, Path]:
    """A training on two ranks that nothing happens to."""
    folder = tmp_path_factory.mktemp("whole")
    volumes = Volumes(folder)
    assert train(volumes, folder, 2, TEMPLATE).code is ExitCode.DONE
    return volumes, folder


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Volumes, Path]:
    """The same, stopped within its second epoch."""
    folder = tmp_path_factory.mktemp("stopped")
    volumes = Volumes(folder)
    ended = train(volumes, folder, 2, TEMPLATE, Fault(1, WITHIN_SECOND_EPOCH, signal.SIGTERM))
    assert ended.code is ExitCode.INTERRUPTED
    assert ended.seconds_after_fault < 25
    return volumes, folder


def test_two_ranks_train_every_image_once_an_epoch_and_publish_once(whole: tuple[Volumes, Path]) -> None:
    volumes, folder = whole

    result = volumes.result()

    assert (result.exit_code, result.epochs_done) == (0, 3)
    assert result.weights is not None
    assert (
        "the 2 GPU(s) of the pod are stand-ins (YOLO_STAND_IN_GPUS=cpu): trained on the CPU"
        in result.warnings
    )
    assert [row["epoch"] for row in rows(volumes)] == ["1", "2", "3"]
    for epoch in images(folder, 1).values():
        assert [len(batch) for batch in epoch] == [6, 6, 4]
        assert set(Counter(name for batch in epoch for name in batch).values()) == {1}
    for name in ("best.pt", "last.pt"):
        assert torch.load(volumes.folder.train / "weights" / name, weights_only=False)["epoch"] == -1


@pytest.mark.parametrize("ranks", [2, 1, 3])
def test_stopped_ranks_go_on_at_the_same_batch_with_any_number_of_ranks(
    whole: tuple[Volumes, Path], stopped: tuple[Volumes, Path], tmp_path: Path, ranks: int
) -> None:
    volumes = copy.copy(stopped[0])
    volumes.runs = tmp_path / "runs"
    shutil.copytree(stopped[0].runs, volumes.runs, symlinks=True)
    shutil.copy(stopped[1] / "batches-1.jsonl", tmp_path)
    saved = state(volumes)
    assert (saved["epochs_done"], saved["place"]["batches"]) == (1, 2)

    ended = train(volumes, tmp_path, ranks, TEMPLATE, attempt=2, resume=True)

    assert ended.code is ExitCode.DONE
    assert images(tmp_path, 1, 2) == images(whole[1], 1)  # the very same batches, shared by more or fewer
    if ranks == 2:
        assert_same(volumes, whole[0])


def test_stop_in_validation_ends_all_ranks_and_validates_again(
    whole: tuple[Volumes, Path], tmp_path: Path
) -> None:
    """The first rank saves and leaves; the other one waits for it in a collective, and is not waited for."""
    volumes = Volumes(tmp_path)

    ended = train(volumes, tmp_path, 2, TEMPLATE, Fault(0, signal_number=signal.SIGTERM))

    assert ended.code is ExitCode.INTERRUPTED
    assert ended.seconds_after_fault < 10
    assert (state(volumes)["epochs_done"], state(volumes)["place"]["batches"]) == (0, 3)
    assert train(volumes, tmp_path, 2, TEMPLATE, attempt=2, resume=True).code is ExitCode.DONE
    assert_same(volumes, whole[0])


@pytest.mark.parametrize("rank", [0, 1])
def test_killed_rank_ends_the_others_and_is_told_by_its_number(
    request: pytest.FixtureRequest, tmp_path: Path, rank: int
) -> None:
    volumes = Volumes(tmp_path)

    ended = train(volumes, tmp_path, 2, TEMPLATE, Fault(rank, WITHIN_SECOND_EPOCH))

    assert ended.code is ExitCode.WORKER_KILLED
    assert ended.seconds_after_fault < 10
    result = volumes.result()
    assert result.reason is Reason.WORKER_KILLED
    assert result.message == f"rank {rank} was killed by signal 9 (SIGKILL)"
    if rank == 1:
        assert train(volumes, tmp_path, 2, TEMPLATE, attempt=2, resume=True).code is ExitCode.DONE
        assert_same(volumes, request.getfixturevalue("whole")[0])


PLAIN = dict.fromkeys(("mosaic", "fliplr", "hsv_h", "hsv_s", "hsv_v", "translate", "scale"), 0.0)
"""Without augmentation the images of a batch are the same however many ranks share it."""


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Volumes:
    """A data volume with `begun.pt`, so that all trainings begin with the same weights."""
    folder = tmp_path_factory.mktemp("begun")
    volumes = Volumes(folder)
    assert train(volumes, folder, 1, {"epochs": 1}).code is ExitCode.DONE
    shutil.copy(volumes.folder.train / "weights" / "last.pt", volumes.data / "weights" / "begun.pt")
    return volumes


def apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Length of the difference between the weights of two models."""
    names = [name for name, tensor in one.items() if tensor.is_floating_point() and "running" not in name]
    return math.sqrt(sum(float((one[name].float() - other[name].float()).square().sum()) for name in names))


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("optimizer", "epochs", "weights"),
    [pytest.param("SGD", 3, 0.5, id="few-steps"), pytest.param("AdamW", 40, 1.5, id="many-steps")],
)
def test_ranks_are_near_one_process_of_the_same_batch(
    begun: Volumes, tmp_path: Path, optimizer: str, epochs: int, weights: float
) -> None:
    """Not equal: each rank divides a batch's loss by its own targets, and normalizes over its own images."""
    numbers = {"nbs": 8, "warmup_epochs": 1, **PLAIN}
    template = {"model": "begun.pt", "batch": 8, "epochs": epochs, "optimizer": optimizer}
    found = {}
    for ranks in (1, 2, 4):
        folder = tmp_path / str(ranks)
        volumes = copy.copy(begun)
        volumes.runs = folder / "runs"
        volumes.runs.mkdir(parents=True)
        assert train(volumes, folder, ranks, template | {"hyperparameters": numbers}).code is ExitCode.DONE
        assert images(folder, 1) == images(tmp_path / "1", 1)
        found[ranks] = (rows(volumes)[-1], state(volumes)["model"])
    start = torch.load(begun.data / "weights" / "begun.pt", weights_only=False)["model"].state_dict()
    one, model = found[1]
    for ranks, (row, other) in found.items():
        far = apart(model, other) / apart(model, start)
        told = {
            key: row[key]
            for key in ("metrics/mAP50(B)", "metrics/mAP50-95(B)", "val/box_loss", "val/cls_loss")
        }
        print(f"{optimizer}, {epochs} epochs, {ranks} ranks: {far:.3f} of the way apart, {told}")
        if ranks == 2:
            assert far < weights
            assert abs(float(row["metrics/mAP50(B)"]) - float(one["metrics/mAP50(B)"])) < 0.05
