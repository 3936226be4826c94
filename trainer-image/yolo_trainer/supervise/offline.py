"""The environment of the worker: nothing fetched, installed or sent, and no more CPUs than allowed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

SEED_FOLDER = Path("/opt/yolo/seed")
"""Settings and font lists that the image worked out when it was built."""
FONT_FOLDER = Path("/opt/yolo/fonts")
_KEPT_BYTES = str(1 << 30)
"""Freed memory up to so much stays with the worker, for its next tensor."""


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
        # Threads that spin while they wait steal the CPU from those they wait for wherever the node is busy:
        # measured on two busy CPUs, 6 epochs took 27 s with the default and 9 s so.
        "OMP_WAIT_POLICY": outer.get("OMP_WAIT_POLICY", "PASSIVE"),
        # By default glibc gives the memory of freed tensors back to the kernel, and each step faults it in anew:
        # 13,000 page faults a step of yolo11n on the CPU, a tenth of its time.
        "MALLOC_MMAP_THRESHOLD_": outer.get("MALLOC_MMAP_THRESHOLD_", _KEPT_BYTES),
        "MALLOC_TRIM_THRESHOLD_": outer.get("MALLOC_TRIM_THRESHOLD_", _KEPT_BYTES),
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
