"""Decoded images are kept where there is room for them, by the real Ultralytics."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("ultralytics")

from yolo_crds.meta import MEMORY_LIMIT_ENV

from .training_process import Volumes, run

pytestmark = [pytest.mark.image, pytest.mark.timeout(240)]

IMAGES = 16 + 8
"""Of both splits."""


def _rows(volumes: Volumes) -> list[str]:
    """results.csv without its column of seconds."""
    rows = (volumes.folder.train / "results.csv").read_text().splitlines()
    return [",".join(value for i, value in enumerate(row.split(",")) if i != 1) for row in rows]


def test_images_cached_on_disk_train_as_those_that_are_read(tmp_path: Path) -> None:
    told = {}
    for cache in ("none", "disk"):
        root, folder = tmp_path / cache, tmp_path / f"cache-{cache}"
        root.mkdir()
        folder.mkdir()
        volumes = Volumes(root)
        training = run(volumes.config({"cache": cache, "epochs": 2}, cacheDir=str(folder)), root)
        assert training.process.returncode == 0, training.output
        assert volumes.result().warnings == []
        assert len(list(folder.iterdir())) == (IMAGES if cache == "disk" else 0)
        assert not list(volumes.data.rglob("*.npy"))
        told[cache] = _rows(volumes)
    assert told["disk"] == told["none"]


def test_images_that_do_not_fit_into_memory_are_cached_on_disk_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_LIMIT_ENV, str(8 << 20))  # a fiftieth of it is less than the set takes
    folder = tmp_path / "cache"
    folder.mkdir()
    volumes = Volumes(tmp_path)
    training = run(volumes.config({"cache": "ram", "epochs": 1}, cacheDir=str(folder)), tmp_path)

    assert training.process.returncode == 0, training.output
    (warning,) = volumes.result().warnings
    assert "images are cached on the node's disk" in warning
    said, begun = (
        next(i for i, line in enumerate(training.lines) if text in line)
        for text in ("WARNING cache: ram", "Caching images")
    )
    assert said < begun
    assert len(list(folder.iterdir())) == IMAGES
