"""What a training left in its run folder, for tests that compare two of them."""

from __future__ import annotations

import csv
from typing import Any

import torch

from .training_process import Volumes


def rows(volumes: Volumes) -> list[dict[str, str]]:
    """The published results.csv, without the column that no two trainings have alike."""
    with (volumes.folder.train / "results.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "time"} for row in csv.DictReader(file)]


def state(volumes: Volumes, **numbers: int) -> dict[str, Any]:
    """The state of an attempt, by default of the first."""
    found: dict[str, Any] = torch.load(volumes.attempt(**numbers) / "state.pt", weights_only=True)
    return found


def assert_same(volumes: Volumes, other: Volumes) -> None:
    """Rows, model and average after two attempts are to the last bit those of another one after one."""
    assert rows(volumes) == rows(other)
    have, want = state(volumes, attempt=2), state(other)
    for part in ("model", "ema"):
        for name, tensor in want[part].items():
            assert torch.equal(tensor, have[part][name]), (part, name)
