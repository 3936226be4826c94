"""What Ultralytics itself makes of prepared data sets: inside the trainer image, where it is."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ultralytics")
import cv2
from PIL import Image
from ultralytics.data.converter import convert_coco
from ultralytics.data.dataset import PolygonSemanticDataset, SemanticDataset, YOLODataset

from yolo_crds.layout import DataVolume
from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.data.geometry import smallest_rectangle
from yolo_trainer.data.readers.yaml_file import read_yaml
from yolo_trainer.prepare.label_cache import write_label_cache

from .training_process import NAME, Volumes, run

pytestmark = [pytest.mark.image, pytest.mark.timeout(240)]

SEMANTIC_MODEL = """nc: 3
backbone:
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
head:
  - [[2, 3], 1, SemanticSegment, [nc]]
"""


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    return Volumes(tmp_path)


def labels_to_masks(root: Path) -> None:
    """Class masks of the toy's squares, on a ground of class 2."""
    for label in (root / "labels").glob("*/*.txt"):
        class_id, x, y, width, height = (
            float(v) * (64 if i else 1) for i, v in enumerate(label.read_text().split())
        )
        mask = Image.new("L", (64, 64), 2)
        corner = (round(x - width / 2), round(y - height / 2))
        mask.paste(int(class_id), (*corner, corner[0] + round(width), corner[1] + round(height)))
        target = root / "masks" / label.parent.name / f"{label.stem}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        mask.save(target)
    names = "names: {0: red, 1: green, 2: ground}"
    (root / "data.yaml").write_text(f"train: images/train\nval: images/val\nmasks_dir: masks\n{names}\n")


def test_semantic_training_by_masks(volumes: Volumes, tmp_path: Path) -> None:
    labels_to_masks(volumes.data / "datasets" / NAME)
    (volumes.data / "weights" / "tiny-sem.yaml").write_text(SEMANTIC_MODEL)
    template = {"model": "tiny-sem.yaml", "epochs": 1}

    training = run(volumes.config(template), tmp_path)

    assert training.process.returncode == 0, training.output
    assert "metrics/mIoU" in training.progress[-1].metrics
    (prepared,) = (volumes.data / "prepared").glob("*/masks")
    assert {p.name for p in prepared.iterdir()} == {"train", "val", "train.cache", "val.cache"}


def prepare(volumes: Volumes, task: Task, **data: Any) -> PreparedSet:
    given = Data.model_validate({"train": f"datasets/{NAME}", **data})
    found = prepare_dataset(DataVolume(volumes.data), given, task, lambda **_: None)
    assert write_label_cache(found.folder, task)
    return found


def opened(found: PreparedSet, task: Task, kind: Any = YOLODataset) -> Any:
    """The training part as Ultralytics opens it."""
    data = read_yaml(found.data_path)
    images = (found.folder / "images/train").resolve()
    return kind(img_path=str(images), data=data, task=task, augment=False)


def test_masks_are_read_as_they_were_prepared(volumes: Volumes) -> None:
    labels_to_masks(volumes.data / "datasets" / NAME)
    dataset = opened(prepare(volumes, "semantic"), "semantic", SemanticDataset)
    assert len(dataset) == 16
    for i in range(len(dataset)):
        index = int(Path(dataset.im_files[i]).stem)
        assert set(dataset.load_mask(i).flatten().tolist()) == {index % 2, 2}


def test_polygons_are_masks_to_ultralytics(volumes: Volumes) -> None:
    dataset = opened(prepare(volumes, "semantic"), "semantic", PolygonSemanticDataset)
    mask = dataset.load_mask(0, (64, 64))
    index = int(Path(dataset.im_files[0]).stem)
    assert (mask == index % 2).sum() == pytest.approx(400, abs=50)


def test_smallest_rectangle_is_as_small_as_opencvs() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        points = rng.uniform(0, 640, (int(rng.integers(3, 40)), 2)).astype(np.float32)
        a, b, c, _ = smallest_rectangle([(float(x), float(y)) for x, y in points])
        _, (width, height), _ = cv2.minAreaRect(points)
        assert math.dist(a, b) * math.dist(b, c) == pytest.approx(width * height, rel=1e-3)


def test_turned_boxes_at_the_edge_are_taken(volumes: Volumes) -> None:
    """Of a polygon, of a turned box cut at the edge (five corners are left), of an upright one."""
    rows = ("0 .2 .2 .5 .3 .6 .7 .3 .6 .2 .4\n", "0 .5 -.1 1.1 .5 .5 1.1 -.1 .5\n", "1 .5 .5 .3 .3\n")
    for label in (volumes.data / "datasets" / NAME / "labels").glob("*/*.txt"):
        label.write_text(rows[int(label.stem) % 3])
    found = prepare(volumes, "obb")
    assert found.details.dataset.skipped == {"polygonAsBox": 9, "clipped": 8, "boxAsPolygon": 7}
    dataset = opened(found, "obb")
    assert len(dataset) == 16
    assert all(len(label["cls"]) == 1 for label in dataset.labels)
    assert {tuple(dataset[i]["bboxes"].shape) for i in range(16)} == {(1, 5)}


def test_boxes_of_coco_are_those_of_ultralytics_converter(volumes: Volumes, tmp_path: Path) -> None:
    images = sorted((volumes.data / "datasets" / NAME / "images/train").iterdir())
    boxes = [[3 + i, 5, 20 + i % 7, 30 - i] for i in range(len(images))]
    content = {
        "images": [
            {"id": i, "file_name": path.name, "width": 64, "height": 64} for i, path in enumerate(images)
        ],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": box, "iscrowd": 0}
            for i, box in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "green"}],
    }
    folder = tmp_path / "annotations"
    folder.mkdir()
    (folder / "train.json").write_text(json.dumps(content))
    (images[0].parent / "train.json").write_text(json.dumps(content))
    convert_coco(str(folder), str(tmp_path / "converted"), cls91to80=False)
    reference = f"datasets/{NAME}/images/train/train.json"
    found = prepare(volumes, "detect", train=reference, val=reference)
    for path in images:
        want = (tmp_path / "converted/labels/train" / f"{path.stem}.txt").read_text().split()
        have = (found.folder / f"labels/train/{path.stem}.txt").read_text().split()
        assert [float(v) for v in have] == pytest.approx([float(v) for v in want], abs=2e-6)
