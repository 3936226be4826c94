"""Checkpoints as torch and Ultralytics write them: those that a training loads pass, all else does not."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("ultralytics")
import torch
from ultralytics import RTDETR, YOLO

from yolo_trainer.errors import InvalidArgumentsError
from yolo_trainer.prepare.checkpoints import check_checkpoint

pytestmark = pytest.mark.image

MODELS = (
    "yolov5nu",
    "yolov8n",
    "yolov8n-seg",
    "yolov8n-pose",
    "yolov8n-obb",
    "yolov8n-cls",
    "yolov9t",
    "yolov10n",
    "yolo11n",
    "yolo11n-seg",
    "yolo11n-cls",
    "yolo12n",
    "yolo26n",
    "yolo26n-seg",
    "yolo26n-pose",
    "yolo26n-obb",
)


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_passes_as_it_is_saved(tmp_path: Path, name: str) -> None:
    model = YOLO(f"{name.removesuffix('u')}.yaml")
    model.save(tmp_path / "mine.pt")
    check_checkpoint(tmp_path / "mine.pt")
    assert YOLO(tmp_path / "mine.pt").task == model.task


def test_rtdetr_passes(tmp_path: Path) -> None:
    RTDETR("rtdetr-l.yaml").save(tmp_path / "mine.pt")
    check_checkpoint(tmp_path / "mine.pt")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_other_protocols_of_pickle_pass(tmp_path: Path, protocol: int) -> None:
    content = {"model": YOLO("yolo11n.yaml").model}
    torch.save(content, tmp_path / "mine.pt", pickle_protocol=protocol)
    check_checkpoint(tmp_path / "mine.pt")


def test_what_torch_saves_besides_is_refused(tmp_path: Path) -> None:
    model = YOLO("yolo11n.yaml").model
    path = tmp_path / "mine.pt"
    for content, want in (
        (model.state_dict(), "a state dict"),
        ({"model": model.state_dict(), "epoch": 3}, "a state dict"),
        (model.model, "layers of a model"),
        (YOLO("yolo11n.yaml"), "classes that Ultralytics does not load"),
        (torch.nn.Linear(2, 2), "a state dict"),
    ):
        torch.save(content, path)
        with pytest.raises(InvalidArgumentsError, match=want):
            check_checkpoint(path)
        with pytest.raises(Exception):  # noqa: B017, PT011 - a training could not load it either
            YOLO(path)
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    with pytest.raises(InvalidArgumentsError, match=r"PyTorch before 1\.6"):
        check_checkpoint(path)
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(path))
    with pytest.raises(InvalidArgumentsError, match="a TorchScript export"):
        check_checkpoint(path)


@pytest.mark.parametrize("name", ["yolov8s-world.yaml", "yoloe-11s-seg.yaml"])
def test_open_vocabulary_models_are_refused(tmp_path: Path, name: str) -> None:
    YOLO(name).save(tmp_path / "mine.pt")
    with pytest.raises(InvalidArgumentsError, match="open-vocabulary"):
        check_checkpoint(tmp_path / "mine.pt")
