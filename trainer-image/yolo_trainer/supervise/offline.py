"""The environment of the worker: nothing fetched, installed or sent, and no more CPUs than allowed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from .. import fonts

SEED_FOLDER = Path("/opt/yolo/seed")
"""Settings and font lists that the image worked out when it was built."""
TUNING = {
    # Threads that wait spin for about 0.1 ms before they sleep. Without, each of the many short sections of a
    # step waits for a wake-up; with libgomp's own, 100 times as much, they keep the CPU from those they wait
    # for wherever the node is busy.
    "GOMP_SPINCOUNT": "3000",
    # glibc's own thresholds grow with what is freed. Fixed, smaller tensors stay with the worker and larger
    # ones go back.
    "MALLOC_MMAP_THRESHOLD_": str(4 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
}
"""For a training on the CPU, by `make bench-train STEPS=1` (docs/benchmarks.md); who sets one keeps it."""


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
        **{name: outer.get(name, value) for name, value in TUNING.items()},
    }


def fill_runtime(runtime: Path) -> None:
    """Copies the image's seed into the runtime folder; links its fonts where Ultralytics looks for them."""
    for name in ("yolo", "matplotlib"):
        if (SEED_FOLDER / name).is_dir():
            shutil.copytree(SEED_FOLDER / name, runtime / name, symlinks=True, dirs_exist_ok=True)
    settings = runtime / "yolo" / "Ultralytics"
    settings.mkdir(parents=True, exist_ok=True)
    (runtime / "matplotlib").mkdir(exist_ok=True)
    for font in sorted(fonts.FOLDER.glob("*.ttf")):
        if not (settings / font.name).exists():
            (settings / font.name).symlink_to(font)
