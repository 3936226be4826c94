"""The verdict of `make bench-train`; what it measures is not judged here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.train.measure import Trained
from bench.train.run import ours, stock
from bench.train.verdict import lines, missed, noise, ratio
from yolo_crds.trainer import TrainerConfig

STOCK = Trained(20.0, 5.0, 800 << 20, 800 << 20, 100.0, 0.5)
KEPT = replace(STOCK, images_per_second=24.5, first_batch=2.9, first_process=14 << 20)


def test_missed_is_empty_when_all_is_kept() -> None:
    assert missed([STOCK], [KEPT]) == []


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({"images_per_second": 23.0}, "images/s: 1.15 x stock, not 1.2"),
        ({"first_batch": 4.0}, "first batch: 0.80 x stock, not 0.6"),
        ({"peak": 900 << 20}, "peak memory: 1.12 x stock, not 1.0"),
        ({"first_process": 20 << 20}, "supervisor: 20.0 MiB, not 15"),
    ],
)
def test_missed_names_what_is_not_kept(change: dict[str, float], want: str) -> None:
    assert missed([STOCK], [replace(KEPT, **change)]) == [want]  # type: ignore[arg-type]


def test_missed_takes_map_for_equal_within_the_range_of_seeds() -> None:
    stocks = [replace(STOCK, quality=q) for q in (0.48, 0.50, 0.52)]
    assert noise(stocks, [KEPT]) == pytest.approx(0.04)
    near = [replace(KEPT, quality=q) for q in (0.46, 0.47, 0.47)]
    assert missed(stocks, near) == []
    far = [replace(KEPT, quality=q) for q in (0.44, 0.45, 0.45)]
    assert missed(stocks, far) == ["mAP50-95 is 0.053 lower, more than seeds differ (0.040)"]


def test_ratio_is_of_medians() -> None:
    outlier = replace(KEPT, first_batch=50.0)
    assert ratio([STOCK], [KEPT, KEPT, outlier], lambda t: t.first_batch) == pytest.approx(0.58)
    assert lines([STOCK], [KEPT])[1].split() == ["images/s", "20.0", "24.5", "1.23", ">=", "1.2"]


def test_both_sides_have_the_same_settings(tmp_path: Path) -> None:
    theirs = dict(argument.split("=", 1) for argument in stock(tmp_path, 1, 7) if "=" in argument)
    config = TrainerConfig.model_validate_json(Path(ours(tmp_path, 1, 7)[-1]).read_text())
    template = config.template
    assert (theirs["model"], theirs["optimizer"]) == (template.model, template.optimizer)
    numbers = {name: getattr(template, name) for name in ("epochs", "seed", "imgsz", "batch")}
    numbers |= template.hyperparameters
    assert {name: float(theirs[name]) for name in numbers} == numbers
    assert theirs.keys() == {*numbers, "model", "optimizer", "data", "project", "name"}
