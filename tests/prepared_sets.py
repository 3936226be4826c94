"""Prepared sets, the runs that use them, and the `data` commands on them, for the tests of the latter."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from dataset_writers import pack_zip
from yolo_crds.meta import Stage
from yolo_crds.trainer import Prepared, TrainerConfig
from yolo_crds.training import Data
from yolo_trainer.data.dataset import prepare_dataset
from yolo_trainer.data.parallel import Report
from yolo_trainer.keeping import command
from yolo_trainer.prepare.stage import prepare
from yolo_trainer.runfolder.attempt import claim

DAY = 86_400.0


def run(world: Any, *arguments: str) -> int:
    return command.main([*arguments, "--data-dir", str(world.data), "--runs-dir", str(world.runs)])


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """What the command printed since it was asked last."""
    return capsys.readouterr().out


def make(world: Any, train: str = "many", **data: object) -> Path:
    """A prepared set that no run uses."""
    given = Data.model_validate({"train": train, "labels": ["a"], **data})
    return prepare_dataset(world.volume, given, "detect", world.report).folder


def prepare_stage(config: TrainerConfig, report: Report) -> Prepared:
    """The prepare stage as the supervisor has it run: the folder is taken before."""
    claim(config)
    prepared = prepare(config, report)
    assert prepared is not None, "there was nothing to train"
    return prepared


def train(world: Any, model: str = "demo", **config: Any) -> Path:
    """A prepared set that the model's newest attempt holds."""
    data = {"train": "many", "labels": ["a"], **config.pop("data", {})}
    given = world.config(data=data, **config).model_copy(update={"model_name": model, "uid": f"{model}-uid"})
    prepared = prepare_stage(given, world.report)
    folder: Path = world.volume.prepared / prepared.dataset.hash
    return folder


def end(world: Any, model: str = "demo", exit_code: int = 0, stage: Stage = Stage.TRAIN) -> None:
    """Writes the result of the model's only attempt."""
    (attempt,) = (world.runs / "train" / model / ".attempts").iterdir()
    given = json.loads((attempt / "prepare.json").read_text())
    same = {key: given[key] for key in ("uid", "run", "attempt")}
    (attempt / "result.json").write_text(json.dumps({**same, "stage": stage, "exitCode": exit_code}))


def age(world: Any, days: float = 60) -> None:
    """Lets all that lies below `prepared/` and all attempts be so old."""
    then = time.time() - days * DAY
    for root in (world.volume.prepared, world.runs):
        for path in [root, *root.rglob("*")]:
            os.utime(path, (then, then), follow_symlinks=False)


def zipped(world: Any, name: str = "demo") -> None:
    """An archive of one labelled image and a background."""
    made = world.data.with_name(f"made-{name}")
    world.image(f"../{made.name}/images/a.png", shade=3)
    world.image(f"../{made.name}/images/b.png", shade=len(name))
    world.text(f"../{made.name}/labels/a.txt", "0 0.5 0.5 0.2 0.2\n")
    pack_zip(made, world.data / f"datasets/{name}.zip")
