"""The environment of the worker: nothing fetched, installed or sent, and no more CPUs than allowed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

SEED_FOLDER = Path("/opt/yolo/seed")
"""Settings and font lists that the image worked out when it was built."""
FONT_FOLDER = Path("/opt/yolo/fonts")
_SPINS = "3000"
_MMAP_BYTES = str(4 << 20)
_TRIM_BYTES = str(32 << 20)


def build_environment(outer: Mapping[str, str], runtime: Path, cpus: int) -> dict[str, str]:
    """The worker's environment; `runtime` is a writable folder for settings, fonts and caches."""
    return {
        **outer,
        "YOLO_OFFLINE": "1",
        "YOLO_AUTOINSTALL": "0",
        "YOLO_CONFIG_DIR": str(runtime / "yolo"),
        "ULTRALYTICS_SAFE_LOAD": "1",
        "MPLCONFIGDIR": str(runtime / "matplotlib"),
        "MPLBACKEND": "Agg",
        "WANDB_MODE": "disabled",
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        "OMP_NUM_THREADS": str(cpus),
        # Threads that wait spin for about 0.1 ms before they sleep. Without, each of the many short sections
        # of a step waits for a wake-up; with libgomp's own, 100 times as much, they keep the CPU from those
        # they wait for wherever the node is busy (docs/benchmarks.md).
        "GOMP_SPINCOUNT": outer.get("GOMP_SPINCOUNT", _SPINS),
        # glibc's own thresholds grow with what is freed. Fixed, tensors below stay with the worker and larger
        # ones go back.
        "MALLOC_MMAP_THRESHOLD_": outer.get("MALLOC_MMAP_THRESHOLD_", _MMAP_BYTES),
        "MALLOC_TRIM_THRESHOLD_": outer.get("MALLOC_TRIM_THRESHOLD_", _TRIM_BYTES),
    }


def fill_runtime(runtime: Path) -> None:
    """Copies the image's seed into the runtime folder; links its fonts where Ultralytics looks for them."""
    for name in ("yolo", "matplotlib"):
        if (SEED_FOLDER / name).is_dir():
            shutil.copytree(SEED_FOLDER / name, runtime / name, symlinks=True, dirs_exist_ok=True)
    settings = runtime / "yolo" / "Ultralytics"
    settings.mkdir(parents=True, exist_ok=True)
    (runtime / "matplotlib").mkdir(exist_ok=True)
    for font in sorted(FONT_FOLDER.glob("*.ttf")):
        if not (settings / font.name).exists():
            (settings / font.name).symlink_to(font)
