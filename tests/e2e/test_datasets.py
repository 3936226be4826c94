"""Data sets of other formats trained on the cluster: a zipped COCO export, and polygons for segmentation."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dataset_writers import coco_content, make_truth, write_coco, write_images
from demo.install import System
from e2e.trainings import finish_training, start_training

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_zipped_coco_set_trains(system: System, tmp_path: Path) -> None:
    truth = make_truth(12)
    write_coco(tmp_path / "coco", write_images(tmp_path / "images", truth), truth)
    archive = shutil.make_archive(str(tmp_path / "volume" / "datasets" / "coco"), "zip", tmp_path / "coco")
    assert Path(archive).is_file()
    system.put_folder(tmp_path / "volume")
    start_training(system, "e2e-coco", data={"train": "datasets/coco.zip"})
    status = finish_training(system, "e2e-coco")
    assert status["dataset"]["kind"] == "coco"
    assert sum(status["dataset"]["classes"].values()) == sum(len(boxes) for boxes in truth.values())


def test_coco_polygons_train_a_segmentation_model(system: System, tmp_path: Path) -> None:
    truth = make_truth(12)
    folder = tmp_path / "volume" / "datasets" / "masks"
    write_images(folder / "images" / "default", truth)
    content: Any = coco_content(truth)
    for annotation in content["annotations"]:
        x, y, w, h = annotation["bbox"]
        annotation["segmentation"] = [[x, y, x + w, y, x + w / 2, y + h]]
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_default.json").write_text(json.dumps(content))
    system.put_folder(tmp_path / "volume")
    start_training(system, "e2e-masks", model="yolo11n-seg.yaml", data={"train": "datasets/masks"})
    status = finish_training(system, "e2e-masks")
    assert status["dataset"]["kind"] == "coco"
    assert status["printed"]["epoch"] == "1/1"
