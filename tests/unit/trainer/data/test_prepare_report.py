"""What a person gets to see of a preparation: the report in the log, prepare.json, the contact sheet."""

import errno
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataset_writers import make_truth, write_images, write_voc
from prepared_sets import prepare_stage as prepare
from yolo_crds.trainer import ExitCode
from yolo_trainer.data import contact_sheet
from yolo_trainer.data.contact_sheet import CELL, draw_contact_sheet
from yolo_trainer.data.dataset import prepare_dataset
from yolo_trainer.errors import TrainerError


def demo(world: Any, tmp_path: Path, count: int = 24) -> dict[str, object]:
    truth = make_truth(count)
    (world.data / "datasets/demo").mkdir()
    write_voc(world.data / "datasets/demo", write_images(tmp_path / "images", truth), truth)
    return {"train": "demo", "labels": ["helmet", "person", "vest"], "missingClasses": "allow"}


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
        "  images checked: every pixel decoded",
        "  sizes 64 x 48: 24",
        "  class          train      val",
        f"     0 helmet {train['helmet']:8} {val['helmet']:8}",
        f"     1 person {train['person']:8} {val['person']:8}",
        f"     2 vest   {0:8} {0:8}",
    ]
    assert lines == want


def rectangle(*points: list[float], label: str = "a") -> dict[str, object]:
    return {"shape_type": "rectangle", "label": label, "points": list(points)}


def test_everything_left_out_is_counted_and_named(world: Any) -> None:
    for i, stem in enumerate(("good", "other", "torn", "twin")):
        world.image(f"img_cache/{stem}.jpg", shade=i * 40)
    (world.data / "img_cache/torn.jpg").write_bytes(b"\xff\xd8torn")
    shapes = [
        rectangle([8, 8], [40, 40]),
        rectangle([8, 8], [40, 40]),
        rectangle([8, 8], [20, 20], label="vest"),
        rectangle([90, 8], [99, 20]),
        rectangle([50, 8], [99, 20]),
        rectangle([8, 8], [8, 20]),
        {"shape_type": "point", "label": "a", "points": [[8, 8]]},
    ]
    codes = ["good", "other", "torn", "twin", "gone", "twin", "../x"]
    world.ucd("all", {"uc_list": codes, "shapes": {"good": shapes, "other": shapes[:1]}})
    data = world.config(data={"train": "all", "labels": ["a"]}).template.data
    details = prepare_dataset(world.volume, data, "detect", world.report).details
    assert details.skipped_names == {
        "clipped": ["img_cache/good.jpg"],
        "corruptImage": ["img_cache/torn.jpg (no image, or of a format that Ultralytics does not take)"],
        "duplicateBox": ["img_cache/good.jpg"],
        "duplicateImage": ["twin"],
        "missingImage": ["gone (looked for img_cache/gone.jpg)"],
        "noSize": ["img_cache/good.jpg"],
        "otherShape": ["img_cache/good.jpg (point)"],
        "outside": ["img_cache/good.jpg"],
        "unsafeName": ["'../x'"],
    }
    assert details.unknown_labels == {"vest": 1}
    assert set(details.dataset.skipped) == {*details.skipped_names, "unknownLabel"}
    assert set(details.dataset.skipped.values()) == {1}
    for sentence in (
        "boxes left out, label not listed: 1 (vest 1)",
        "boxes left out, outside of the image: 1 (img_cache/good.jpg)",
        "boxes cut at the image's edge: 1 (img_cache/good.jpg)",
        "boxes left out, without width or height: 1 (img_cache/good.jpg)",
        "images left out, file missing: 1 (gone (looked for img_cache/gone.jpg))",
        "images named twice, taken once: 1 (twin)",
    ):
        assert sentence in details.warnings


def test_images_that_are_there_twice_are_named(world: Any) -> None:
    for name, shade in (("train/a", 1), ("train/b", 2), ("train/c", 2), ("val/d", 1), ("val/e", 3)):
        world.image(f"datasets/demo/images/{name}.png", shade=shade)
        world.text(f"datasets/demo/labels/{name}.txt", "0 0.5 0.5 0.2 0.2\n")
    data = world.config(data={"train": "demo", "labels": ["a"]}).template.data
    warnings = prepare_dataset(world.volume, data, "detect", world.report).details.warnings
    assert warnings == [
        "images in both the training and the validation set, whose metrics they flatter: 1 "
        "(datasets/demo/images/train/a.png)",
        "images of the same content under different names: 1 "
        "(datasets/demo/images/train/b.png = datasets/demo/images/train/c.png)",
    ]


def unreadable(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a volume whose owner is somebody else; root, as which tests may run, could read it all the same."""

    real_open = open

    def refuse(file: Any, *args: Any, **options: Any) -> Any:
        if str(file).endswith("/a.txt"):
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return real_open(file, *args, **options)

    monkeypatch.setattr("builtins.open", refuse)


def full(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("yolo_trainer.data.prepared_set.place_image", refuse)


def label(row: str) -> Callable[[Any, pytest.MonkeyPatch], None]:
    return lambda world, _: world.text("datasets/demo/labels/train/a.txt", row)


@pytest.mark.parametrize(
    ("arrange", "labels", "exit_code", "want", "hint"),
    [
        (lambda w, _: shutil.rmtree(w.data / "datasets/demo/images/train"), ["a"], ExitCode.DATA,
         r"datasets/demo/data\.yaml: `train:` 'images/train' is not there", "put the images onto"),
        (lambda w, _: (w.data / "datasets/demo/images/train/a.png").unlink(), ["a"], ExitCode.DATA,
         r"template\.data\.train: no images in 'demo'", "correct the data set"),
        (label("1 0.5 0.5 0.2 0.2\n"), ["a"], ExitCode.DATA,
         r"no box of any listed label in 'demo'; listed: a; other labels in the data: b", "correct"),
        (label("0 0.5 0.5 0.2 0.2\n7 0.5 0.5 0.2 0.2\n"), ["a"], ExitCode.DATA,
         r"demo/labels/train/a\.txt, line 2: class 7 is not among the classes 0 to 1", "the data set"),
        (lambda w, _: w.text("datasets/demo/data.yaml", "train: images/train\n"), [], ExitCode.DATA,
         r"template\.data\.labels is empty and .*data\.yaml gives classes no order", "list the class names"),
        (label(""), ["a"], ExitCode.DATA, "no box of any listed label", "correct the data set"),
        (unreadable, ["a"], ExitCode.FAILED,
         r"cannot read .*/labels/train/a\.txt: permission denied: .*a\.txt belongs to", "owner and mode"),
        (full, ["a"], ExitCode.DISK_FULL, r"cannot .*: no space or quota left on the volume", "free space"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_fails_early(
    world: Any,
    monkeypatch: pytest.MonkeyPatch,
    arrange: Callable[[Any, pytest.MonkeyPatch], None],
    labels: list[str],
    exit_code: ExitCode,
    want: str,
    hint: str,
) -> None:
    world.image("datasets/demo/images/train/a.png", shade=1)
    world.image("datasets/demo/images/val/b.png", shade=2)
    world.text("datasets/demo/labels/train/a.txt", "0 0.5 0.5 0.2 0.2\n")
    world.text("datasets/demo/data.yaml", "train: images/train\nval: images/val\nnames: [a, b]\n")
    arrange(world, monkeypatch)
    with pytest.raises(TrainerError, match=want) as error:
        prepare(world.config(data={"train": "demo", "labels": labels}), world.report)
    assert error.value.exit_code is exit_code
    assert (error.value.hint or "").startswith(hint)


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
    target.write_bytes(draw_contact_sheet(found.folder, found.details))
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
