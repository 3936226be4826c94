"""What people read in the pod's log."""

from __future__ import annotations

import math
import re
import time
from itertools import pairwise

import pytest

from yolo_crds.status import Best
from yolo_crds.trainer import PROGRESS_MAX_BYTES, parse_progress
from yolo_trainer.supervise.console import NEWS_SECONDS, PROGRESS_SECONDS, Console
from yolo_trainer.supervise.progress import Progress
from yolo_trainer.supervise.words import WORDS_MOST, duration, epoch_line, how_far


def test_epoch_line_tells_masks_from_boxes_and_the_best_by_the_tasks_own_metric() -> None:
    metrics = {"metrics/mAP50-95(B)": 0.6123, "metrics/recall(M)": 0.5, "metrics/mAP50-95(M)": 0.5}
    best = Best(epoch=41, fitness=1.2, metrics={"metrics/mAP50-95(B)": 0.7, "metrics/mAP50-95(M)": 0.56})

    got = epoch_line(
        45,
        100,
        losses={"train/box_loss": 0.842, "train/seg_loss": None},
        metrics=metrics,
        best=best,
        images_per_second=212.4,
        gpu_gib=5.21,
        seconds=38.2,
        eta_seconds=4320,
    )

    assert got == (
        "epoch  45/100 | box 0.842  seg ? | mAP50-95 box 0.612  mask 0.500 (best 0.560, epoch 41) | "
        "212 images/s | GPU 5.2 GiB | 38 s | 1 h 12 min left"
    )


@pytest.mark.parametrize(
    ("metrics", "want"),
    [
        ({}, "not validated"),
        ({"metrics/accuracy_top5": 0.9, "metrics/accuracy_top1": 0.7}, "accuracy_top1 0.700"),
        ({"metrics/new": 0.7}, "new 0.700"),
        ({"val/new": 0.7}, "val/new 0.700"),
    ],
)
def test_epoch_line_has_the_metric_of_any_task(metrics: dict[str, float | None], want: str) -> None:
    got = epoch_line(
        3,
        9,
        losses={},
        metrics=metrics,
        best=None,
        images_per_second=None,
        gpu_gib=0.0,
        seconds=0.44,
        eta_seconds=None,
    )

    assert got == f"epoch 3/9 | {want} | 0.4 s"


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        (0.44, "0.4 s"),
        (9.97, "10 s"),
        (99, "99 s"),
        (119, "2 min"),
        (3900, "1 h 05 min"),
        (273600, "3 d 04 h"),
    ],
)
def test_duration_has_two_units_at_most(seconds: float, want: str) -> None:
    assert duration(seconds) == want


def test_how_far_is_short_and_plain_whatever_the_stage_is_called() -> None:
    assert how_far("epoch", 3, 100, 512, 1250, 4320) == "epoch 3/100: batch 512/1250, 1 h 12 min left"
    assert how_far("verify", None, None, 4100, 10000, None) == "verify 4100/10000"
    assert how_far("ü" * 999, None, None, None, None, None) == "?" * WORDS_MOST


def test_a_progress_line_begins_with_words_and_is_read_by_any_operator(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress(0)
    progress.apply({"event": "epoch_started", "epoch": 3, "epochs": 100, "batches": 1250}, 0)
    metrics = {f"metrics/a-rather-long-name-{i}": i / 3 for i in range(200)}
    for many in ({"m": 1 / 3}, metrics):
        progress.apply({"event": "epoch_finished", "epoch": 3, "epochs": 100, "metrics": many}, 1)
        Console(progress, "UTC").progress(1)

    few, most = capsys.readouterr().out.splitlines()
    # Operators of any age look for the prefix, and from there on for nothing but JSON.
    assert re.fullmatch(r"epoch 3/100, [^{]* left YOLO-PROGRESS \{.*\}", few)
    assert all(len(line) <= PROGRESS_MAX_BYTES for line in (few, most))
    read = parse_progress(few)
    assert read is not None
    assert (read.epoch, read.metrics) == (3, {"m": 0.33333})


@pytest.mark.parametrize(("news", "shortest"), [(False, PROGRESS_SECONDS[0]), (True, NEWS_SECONDS)])
def test_progress_lines_become_rarer_with_age(
    capsys: pytest.CaptureFixture[str], news: bool, shortest: float
) -> None:
    console = Console(Progress(0), "UTC")
    start = float(math.ceil(time.monotonic()))  # whole seconds apart are so exactly

    told = []
    for second in range(3600):
        console.progress_if_due(start + second, news=news)
        if capsys.readouterr().out:
            told.append(second)

    gaps = [b - a for a, b in pairwise(told)]
    assert (told[0], gaps[0], gaps[-1]) == (0, shortest, PROGRESS_SECONDS[1])
    assert gaps == sorted(gaps)
