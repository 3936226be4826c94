"""The environment of the worker: nothing fetched, installed or sent, and no more CPUs than allowed."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

SEED_FOLDER = Path("/opt/yolo/seed")
"""Settings and font lists that the image worked out when it was built."""
FONT_FOLDER = Path("/opt/yolo/fonts")


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
    }


def fill_runtime(runtime: Path) -> None:
    """Copies the image's seed into the runtime folder, and its fonts to where Ultralytics looks for them."""
    for name in ("yolo", "matplotlib"):
        if (SEED_FOLDER / name).is_dir():
            shutil.copytree(SEED_FOLDER / name, runtime / name, dirs_exist_ok=True)
    settings = runtime / "yolo" / "Ultralytics"
    settings.mkdir(parents=True, exist_ok=True)
    (runtime / "matplotlib").mkdir(exist_ok=True)
    for font in sorted(FONT_FOLDER.glob("*.ttf")):
        if not (settings / font.name).exists():
            shutil.copyfile(font, settings / font.name)


def limit_cpus(cpus: int) -> None:
    """Lets this process believe in `cpus` CPUs: Ultralytics sizes thread and loader pools by os.cpu_count,
    which counts the node's and not the pod's.
    """
    os.cpu_count = lambda: cpus


def switch_off_trackers() -> None:
    """Every tracker that is merely installed would become active; TensorBoard alone is wanted, if there."""
    from ultralytics import settings

    off = ("sync", "clearml", "comet", "dvc", "mlflow", "neptune", "raytune", "wandb")
    wanted = dict.fromkeys(off, False) | {"tensorboard": importlib.util.find_spec("tensorboard") is not None}
    changes = {name: value for name, value in wanted.items() if settings.get(name, value) != value}
    if changes:  # not at all with the image's seed: several ranks would write one file
        settings.update(changes)
