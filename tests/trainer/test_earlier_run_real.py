"""`model: run:<model name>/best` with real torch: what a checkpoint says, and a training from it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("ultralytics")
from ultralytics import YOLO

from yolo_crds.layout import RunFolder
from yolo_trainer.prepare.checkpoint_facts import Facts, read_facts

from .training_process import UID, Volumes, run

pytestmark = [pytest.mark.image, pytest.mark.timeout(240)]


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n-seg", "yolov8n-pose", "yolov8n-obb", "yolo11n-cls"])
def test_facts_of_a_saved_model_are_those_of_the_loaded_one(tmp_path: Path, name: str) -> None:
    model = YOLO(f"{name}.yaml")
    model.model.names = {i: f"class {i}" for i in range(len(model.names))}
    model.save(tmp_path / "mine.pt")

    found = read_facts(tmp_path / "mine.pt")

    loaded = YOLO(tmp_path / "mine.pt")
    assert (found.task, found.names) == (loaded.task, tuple(loaded.names.values()))
    assert found.channels == 3


def test_training_goes_on_from_what_an_earlier_one_has_learnt(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path)
    first = run(volumes.config({"epochs": 2}), tmp_path)
    assert first.process.returncode == 0, first.output
    best = volumes.folder.weights / "best.pt"
    assert read_facts(best) == Facts("detect", ("red", "green"), 64, 3)
    second = RunFolder("安全帽 v2", volumes.runs)
    names = {"name": "second", "modelName": second.model_name, "uid": f"second{UID}"}

    went_on = run(volumes.config({"model": "run:toy/best", "epochs": 1}, **names), tmp_path)

    assert went_on.process.returncode == 0, went_on.output
    transferred = next(line for line in went_on.output.splitlines() if "Transferred" in line)
    done, _, all_ = transferred.partition("Transferred ")[2].split()[0].partition("/")
    assert done == all_
    assert (second.weights / "best.pt").is_file()
