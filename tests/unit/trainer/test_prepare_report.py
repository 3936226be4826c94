"""What a person gets to see of a preparation: the report in the log, prepare.json, the contact sheet."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataset_writers import make_truth, write_images, write_voc
from yolo_trainer.data import contact_sheet
from yolo_trainer.data.contact_sheet import CELL, write_contact_sheet
from yolo_trainer.data.dataset import prepare_dataset
from yolo_trainer.prepare import prepare


def demo(world: Any, tmp_path: Path, count: int = 24) -> dict[str, object]:
    truth = make_truth(count)
    (world.data / "datasets/demo").mkdir()
    write_voc(world.data / "datasets/demo", write_images(tmp_path / "images", truth), truth)
    return {"train": "demo", "labels": ["helmet", "person", "vest"]}


def test_report_is_logged_and_stored(world: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = demo(world, tmp_path)
    with caplog.at_level(logging.INFO):
        prepare(world.config(data=data), world.report)
    details = json.loads((world.folder.info / "prepare.json").read_text())
    assert details["takenFor"] == {"train": "voc: img_000.xml has an <annotation>"}
    train, val = (details["boxesBySplit"][split] for split in ("train", "val"))
    assert {n: train[n] + val[n] for n in train} == details["dataset"]["classes"]
    assert details["imageSizes"] == {"64 x 48": 24}
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.INFO]
    want = [
        f"data set {details['dataset']['hash']}",
        "  train taken for voc: img_000.xml has an <annotation>",
        "  images 24 (train 19, val 5, background 5), boxes 38",
        "  sizes 64 x 48: 24",
        "  class          train      val",
        f"     0 helmet {train['helmet']:8} {val['helmet']:8}",
        f"     1 person {train['person']:8} {val['person']:8}",
        f"     2 vest   {0:8} {0:8}",
    ]
    assert lines == want


def test_contact_sheet_shows_sixteen_labelled_images(world: Any, tmp_path: Path) -> None:
    data = demo(world, tmp_path)
    prepare(world.config(data=data), world.report)
    with Image.open(world.folder.info / "prepare.jpg") as sheet:
        assert sheet.format == "JPEG"
        assert sheet.size == (4 * CELL, 4 * CELL)
        colours = {_nearest(colour) for _, colour in sheet.getcolors(1 << 24) or []}
    assert {(255, 56, 56), (72, 249, 10)} <= colours  # frames of both classes
    assert not list(world.folder.info.glob(".tmp-*"))


def _nearest(colour: Any) -> tuple[int, ...]:
    """The frame colour that JPEG made a little different."""
    frames = ((255, 56, 56), (72, 249, 10))
    return next(
        (f for f in frames if sum(abs(a - b) for a, b in zip(f, colour, strict=True)) < 60), (0, 0, 0)
    )


@pytest.mark.parametrize(
    ("task", "row"),
    [
        ("segment", "0 0.1 0.1 0.3 0.1 0.3 0.5 0.2 0.6"),
        ("obb", "0 0.1 0.1 0.3 0.1 0.3 0.5 0.1 0.5"),
        ("pose", "0 0.5 0.5 0.2 0.2 0.5 0.5 2"),
        ("classify", None),
    ],
)
def test_contact_sheet_of_every_task(
    world: Any, task: Any, row: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    for i in range(3):
        folder = f"datasets/demo/{'train/cat' if row is None else 'images/train'}"
        world.image(f"{folder}/{i}.jpg", shade=i * 50)
        if row:
            world.text(f"datasets/demo/labels/train/{i}.txt", row)
    world.text("datasets/demo/data.yaml", "train: images/train\nnames: [Helm-α]\nkpt_shape: [1, 3]\n")
    data = world.config(data={"train": "demo"}).template.data
    found = prepare_dataset(world.volume, data, task, world.report)
    target = world.runs / "prepare.jpg"
    write_contact_sheet(found.folder, found.details, target)
    with Image.open(target) as sheet:
        assert sheet.size == (4 * CELL, CELL)
    assert caplog.records == []


def test_image_that_cannot_be_drawn_costs_only_its_cell(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data = demo(world, tmp_path, 4)

    def fail(*_: object) -> None:
        raise ValueError("bad bytes")

    monkeypatch.setattr(contact_sheet, "_draw", fail)
    prepare(world.config(data=data), world.report)
    assert (world.folder.info / "prepare.jpg").exists()
    assert "is not on the contact sheet" in caplog.text
