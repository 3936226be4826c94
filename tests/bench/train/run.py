"""All rounds, inside the trainer's image: `python -m bench.train.run FOLDER ROUNDS EPOCHS IMAGES`.

FOLDER holds the data set `digits` as a data volume has it. The exit code is 1 when a promise is missed.
"""

import json
import os
import platform
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from yolo_trainer.cgroup import cpus

from .measure import Trained, measure
from .verdict import lines, missed

MODEL = "yolo11n.yaml"
_SETTINGS = {"imgsz": 160, "batch": 16}
_HYPERPARAMETERS = {"nbs": 16, "lr0": 0.003, "warmup_epochs": 1.0, "mosaic": 0.0, "fliplr": 0.0}
"""With which these few pictures are learnt in a minute; everything else is the default of each side."""


def main() -> int:
    folder, rounds, epochs, images = Path(sys.argv[1]), *map(int, sys.argv[2:])
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "ultralytics", "numpy"))
    say(f"Python {platform.python_version()}, {libraries}; {cpus()} CPUs; load {_load()}")
    found: dict[str, list[Trained]] = {"stock": [], "ours": []}
    for seed in range(rounds):
        for side in ("stock", "ours") if seed % 2 == 0 else ("ours", "stock"):
            trained = _train(side, folder, seed, epochs, images)
            found[side].append(trained)
            say(
                f"  {side:5} seed {seed}: {trained.images_per_second:6.1f} images/s, first batch after "
                f"{trained.first_batch:4.1f} s, {trained.cpu:5.1f} s of CPU, {trained.peak >> 20} MiB, "
                f"mAP50-95 {trained.quality:.3f}; load {_load()}"
            )
    say("", *lines(found["stock"], found["ours"]), "")
    faults = missed(found["stock"], found["ours"])
    say(*(f"MISSED: {fault}" for fault in faults))
    return 1 if faults else 0


def say(*texts: str) -> None:
    for text in texts:
        print(text, flush=True)


def _train(side: str, folder: Path, seed: int, epochs: int, images: int) -> Trained:
    """One training on a copy of the data that nobody has prepared or scanned."""
    with tempfile.TemporaryDirectory(prefix=f"{side}-", dir=folder) as name:
        place = Path(name)
        shutil.copytree(folder / "volume", place / "data")
        (place / "runs").mkdir()
        command = stock(place, seed, epochs) if side == "stock" else ours(place, seed, epochs)
        return measure(command, place, images, epochs)


def stock(place: Path, seed: int, epochs: int) -> list[str]:
    """Ultralytics' own command line."""
    data = place / "data/datasets/digits/data.yaml"
    chosen = {**_SETTINGS, **_HYPERPARAMETERS, "optimizer": "AdamW", "epochs": epochs, "seed": seed}
    places = {"data": data, "model": MODEL, "project": place / "runs", "name": "stock"}
    return ["yolo", "detect", "train", *(f"{name}={value}" for name, value in {**places, **chosen}.items())]


def ours(place: Path, seed: int, epochs: int) -> list[str]:
    """Prepare and train in one program."""
    template = {
        **_SETTINGS,
        "model": MODEL,
        "data": {"train": "datasets/digits"},
        "epochs": epochs,
        "seed": seed,
        "optimizer": "AdamW",
        "hyperparameters": _HYPERPARAMETERS,
        "resources": {"gpus": 0},
    }
    folders = {"dataDir": str(place / "data"), "runsDir": str(place / "runs")}
    config = {"name": "bench", "uid": "bench", "modelName": "bench", **folders, "template": template}
    (place / "config.json").write_text(json.dumps(config))
    return [sys.executable, "-m", "yolo_trainer", str(place / "config.json")]


def _load() -> str:
    """Of the last minute; above the number of CPUs, others work too and figures are what was left over."""
    return f"{os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    sys.exit(main())
