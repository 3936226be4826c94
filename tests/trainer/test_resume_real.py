"""What a stop keeps, and that a training in pieces is the training in one: real torch, forked workers."""

from __future__ import annotations

import csv
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ultralytics")
import torch

from .forked import Fault, Stage, read_record, run_attempt
from .training_process import Volumes

pytestmark = [pytest.mark.image, pytest.mark.timeout(240)]

IMAGES = 16


def make(root: Path, name: str) -> Volumes:
    (root / name).mkdir()
    return Volumes(root / name)


def rows(volumes: Volumes) -> list[dict[str, str]]:
    with (volumes.folder.train / "results.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "time"} for row in csv.DictReader(file)]


def state(volumes: Volumes, **numbers: int) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(volumes.attempt(**numbers) / "state.pt", weights_only=True)
    return found


def assert_same(want: dict[str, Any], have: dict[str, Any]) -> None:
    for part in ("model", "ema"):
        for name, tensor in want[part].items():
            assert torch.equal(tensor, have[part][name]), (part, name)


def images_by_epoch(record: Path) -> dict[int, Counter[str]]:
    found: dict[int, Counter[str]] = {}
    for line in read_record(record):
        found.setdefault(line["epoch"], Counter()).update(line["images"])
    return found


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch", range(4, 8))
def test_stop_within_an_epoch_leaves_no_image_out_and_takes_none_twice(
    tmp_path: Path, workers: int, batch: int
) -> None:
    volumes = make(tmp_path, "stopped")
    template = {"workers": workers}
    code, output = run_attempt(volumes, tmp_path, template, Fault(signal.SIGTERM, at_batch=batch))
    assert code == 143, output

    code, output = run_attempt(volumes, tmp_path, template, attempt=2, resume=True)

    assert code == 0, output
    seen = images_by_epoch(tmp_path / "batches.jsonl")
    assert {epoch: len(images) for epoch, images in seen.items()} == dict.fromkeys(range(3), IMAGES)
    assert {count for images in seen.values() for count in images.values()} == {1}
    assert [row["epoch"] for row in rows(volumes)] == ["1", "2", "3"]
