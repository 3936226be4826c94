"""Where decoded images are kept: what they take, what there is, and what is told before anything is read."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from yolo_crds.trainer import Prepared, TrainerConfig
from yolo_trainer.data.manifest import Entry, write_manifest
from yolo_trainer.training import cache_plan
from yolo_trainer.training.cache_plan import (
    Cache,
    Room,
    Sizes,
    choose_cache,
    measure,
    memory_left,
    plan_cache,
)

GIB = 1 << 30
SIZES = Sizes(ram=10 * GIB, disk=40 * GIB)


def test_measure_is_what_ultralytics_keeps() -> None:
    assert measure([(1920, 1080)], 640) == Sizes(640 * 360 * 3, 1920 * 1080 * 3 + 128)
    assert measure([(100, 200), (64, 64)], 64) == Sizes((32 * 64 + 64 * 64) * 3, (20_000 + 4096) * 3 + 256)
    assert measure([(1920, 1080)], 640, whole=True).ram == 1920 * 1080 * 3


@pytest.mark.parametrize(
    ("wanted", "memory", "disk", "want", "told"),
    [
        (False, None, 0, False, ""),
        ("ram", None, 0, "ram", ""),
        ("ram", 11 * GIB, 0, "ram", ""),
        ("ram", 11 * GIB - 1, 40 * GIB, "disk", "11.0 GiB of memory.*leaves 11.0 GiB.*node's disk"),
        ("ram", 2 * GIB, 39 * GIB, False, "leaves 2.0 GiB.*not cached.*resources.memory"),
        ("disk", 0, 40 * GIB, "disk", ""),
        ("disk", None, 39 * GIB, False, "40.0 GiB.*39.0 GiB.*cacheStorage"),
        ("disk", None, 0, False, "no place"),
    ],
)
def test_plan_cache_falls_back_and_says_so(
    wanted: Cache, memory: int | None, disk: int, want: Cache, told: str
) -> None:
    cache, warning = plan_cache(wanted, SIZES, Room(memory, disk))
    assert cache == want
    assert (warning is None) == (told == "")
    if warning:
        assert re.search(told, warning)


def test_each_rank_keeps_its_own_copy_in_memory_and_shares_files() -> None:
    room = Room(memory=20 * GIB, disk=40 * GIB)
    assert plan_cache("ram", SIZES, room, ranks=1)[0] == "ram"
    assert plan_cache("ram", SIZES, room, ranks=2)[0] == "disk"


def test_memory_left_is_less_by_processes_and_batches_that_are_ready() -> None:
    left = memory_left(16 * GIB, GIB, ranks=1, workers=0, batch=16, imgsz=640, shared=8 * GIB)
    assert left == 15 * GIB - cache_plan.TRAINING_BYTES
    four = memory_left(16 * GIB, GIB, ranks=1, workers=4, batch=16, imgsz=640, shared=8 * GIB)
    assert four == left - 4 * cache_plan.LOADER_BYTES - 4 * 4 * 16 * 640 * 640 * 3
    unknown = memory_left(16 * GIB, GIB, ranks=1, workers=4, batch=-1, imgsz=640, shared=8 * GIB)
    assert unknown == left - 4 * cache_plan.LOADER_BYTES - 8 * GIB
    assert memory_left(None, 0, 1, 0, 1, 64, 0) is None
    assert memory_left(GIB, GIB, 1, 8, 16, 640, GIB) == GIB // 50


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """A set of 1,000 images of 4,000 x 3,000 pixels: 1.1 GiB in memory at 640, 33.5 GiB in files."""
    folder = tmp_path / "prepared" / "abc"
    folder.mkdir(parents=True)
    entry = Entry(file="a", source="a", size=1, mtime_ns=1, sha256="", width=4000, height=3000)
    write_manifest(folder, "abc", [entry] * 1000)
    return Prepared.model_validate(
        {"uid": "u", "run": 1, "attempt": 1, "dataset": {"hash": "abc"}, "dataYaml": "/d/data.yaml"}
    )


class _Warnings:
    def __init__(self) -> None:
        self.told: list[str] = []

    def warning(self, message: str) -> None:
        self.told.append(message)


def _choose(
    tmp_path: Path, prepared: Prepared, task: str = "detect", **overrides: Any
) -> tuple[Cache, list[str]]:
    config = TrainerConfig.model_validate(
        {
            "name": "t",
            "uid": "u",
            "modelName": "toy",
            "dataDir": str(tmp_path),
            "cacheDir": str(tmp_path),
            "template": {
                "model": "yolo11n.yaml",
                "task": task,
                "data": {"train": "d"},
                "resources": {"gpus": 0, "cacheStorage": "1Ti"},
            },
        }
    )
    chosen = {"imgsz": 640, "workers": 0, "batch": 16, "cache": "ram"} | overrides
    report = _Warnings()
    return choose_cache(chosen, config, prepared, report), report.told  # type: ignore[arg-type]


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What the container has, by name."""
    has = {"limit": 4 * GIB, "used": GIB, "disk": 50 * GIB}
    monkeypatch.setattr(cache_plan, "memory_limit", lambda: has["limit"])
    monkeypatch.setattr(cache_plan, "memory_used", lambda: has["used"])
    monkeypatch.setattr(cache_plan, "_disk_room", lambda *_: has["disk"])
    monkeypatch.setitem(sys.modules, "yolo_trainer.training.disk_cache", _Patches)
    return has


class _Patches:
    """In place of what changes Ultralytics."""

    @staticmethod
    def keep_in(folder: Path) -> None: ...

    @staticmethod
    def tell_when_refused(report: object) -> None: ...


def test_choose_cache_weighs_the_set_against_the_pod(
    tmp_path: Path, prepared: Prepared, node: dict[str, int]
) -> None:
    assert _choose(tmp_path, prepared) == ("ram", [])
    node["limit"] = 3 * GIB
    cache, (warning,) = _choose(tmp_path, prepared)
    assert cache == "disk"
    assert "0.9 GiB of memory" in warning
    node["disk"] = 10 * GIB
    assert _choose(tmp_path, prepared)[0] is False
    assert _choose(tmp_path, prepared, cache=True)[0] is False
    assert _choose(tmp_path, prepared, cache="none") == (False, [])
    assert _choose(tmp_path, prepared, cache=False) == (False, [])


def test_choose_cache_of_a_classification_is_in_memory_or_nowhere(
    tmp_path: Path, prepared: Prepared, node: dict[str, int]
) -> None:
    cache, (warning,) = _choose(tmp_path, prepared, "classify")
    assert cache is False
    assert "GiB of memory" in warning
    node["limit"] = 64 * GIB
    assert _choose(tmp_path, prepared, "classify") == ("ram", [])


def test_disk_room_is_what_is_free_and_no_more_than_was_asked_for(tmp_path: Path) -> None:
    assert cache_plan._disk_room(tmp_path, 1000) == 900
    assert cache_plan._disk_room(tmp_path, 1 << 60) < 1 << 60
    assert cache_plan._disk_room(tmp_path / "none", 1000) == 0
