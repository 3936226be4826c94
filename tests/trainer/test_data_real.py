"""What Ultralytics itself makes of prepared data sets: inside the trainer image, where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ultralytics")
from PIL import Image
from ultralytics.data.dataset import PolygonSemanticDataset, SemanticDataset, YOLODataset

from yolo_crds.layout import DataVolume
from yolo_crds.training import Data, Task
from yolo_trainer.data.data_yaml import read_yaml
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.data.label_cache import write_label_cache

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
    template = {"model": "tiny-sem.yaml", "epochs": 2}

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
