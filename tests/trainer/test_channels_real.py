"""`channels: 1` of a data.yaml makes a model of one channel: afresh, from weights of three, and resumed."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ultralytics")
import torch

from .forked import Fault, run_attempt
from .outcomes import assert_same
from .training_process import NAME, Volumes, run

pytestmark = [pytest.mark.image, pytest.mark.timeout(240)]


def make(root: Path, name: str, *, grey: bool) -> Volumes:
    (root / name).mkdir()
    volumes = Volumes(root / name)
    if grey:
        with (volumes.data / "datasets" / NAME / "data.yaml").open("a") as file:
            file.write("channels: 1\n")
    return volumes


def checkpoint(volumes: Volumes, name: str) -> Any:
    return torch.load(volumes.folder.weights / name, weights_only=False)["model"]


def test_model_from_weights_of_three_channels_has_one(tmp_path: Path) -> None:
    colour, grey = make(tmp_path, "colour", grey=False), make(tmp_path, "grey", grey=True)
    assert run(colour.config({"epochs": 1}), tmp_path).process.returncode == 0
    assert checkpoint(colour, "best.pt").model[0].conv.in_channels == 3
    shutil.copy(colour.folder.weights / "best.pt", grey.data / "weights" / "begun.pt")

    training = run(grey.config({"epochs": 1, "model": "begun.pt"}), tmp_path)

    assert training.process.returncode == 0, training.output
    assert "metrics/mAP50(B)" in training.progress[-1].metrics
    for name in ("best.pt", "last.pt"):
        assert checkpoint(grey, name).model[0].conv.in_channels == 1


def test_grey_training_in_two_attempts_is_the_training_in_one(tmp_path: Path) -> None:
    one, two = make(tmp_path, "one", grey=True), make(tmp_path, "two", grey=True)
    code, output = run_attempt(one, tmp_path / "one", {"epochs": 2})
    assert code == 0, output
    code, output = run_attempt(two, tmp_path / "two", {"epochs": 2}, Fault(at_batch=5))
    assert code == -signal.SIGKILL, output

    code, output = run_attempt(two, tmp_path / "two", {"epochs": 2}, attempt=2, resume=True)

    assert code == 0, output
    assert_same(two, one)
    assert checkpoint(two, "best.pt").model[0].conv.in_channels == 1
