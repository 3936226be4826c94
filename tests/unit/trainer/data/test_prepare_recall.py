"""A second prepare reads an annotation file only if something changed, and gives then what a first would."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yolo_crds.training import Data
from yolo_trainer.data import dataset
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

AN_HOUR_AGO = 1_700_000_000


def prepare(world: Any, **data: object) -> PreparedSet:
    wanted = {"train": "demo", "labels": ["a"], **data}
    return prepare_dataset(world.volume, Data.model_validate(wanted), "detect", world.report)


def settle(path: Path) -> None:
    os.utime(path, (AN_HOUR_AGO, AN_HOUR_AGO))


def write_ucd(world: Any, count: int = 4) -> Path:
    world.many("demo", count)
    path = world.data / "ucd/demo.json"
    settle(path)
    return Path(path)


def write_coco(world: Any, count: int = 4) -> Path:
    images = [{"id": i, "file_name": f"Fwe{i:04}.jpg", "width": 64, "height": 48} for i in range(count)]
    for i, image in enumerate(images):
        world.image(f"datasets/demo/images/{image['file_name']}", shade=i * 25)
    content = {
        "images": images,
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [8, 8, 32, 32]} for i in range(count)
        ],
        "categories": [{"id": 1, "name": "a"}],
    }
    path = world.text("datasets/demo/annotations/all.json", json.dumps(content))
    settle(path)
    return Path(path)


WRITERS = {"ucd": (write_ucd, "img_cache"), "coco": (write_coco, "datasets/demo/images")}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The references whose annotation files were read."""
    found: list[Path] = []
    real: Callable[..., Any] = vars(dataset)["open_source"]

    def open_source(path: Path, *args: Any, **options: Any) -> Any:
        found.append(path)
        return real(path, *args, **options)

    monkeypatch.setattr(dataset, "open_source", open_source)
    return found


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("copies", [False, True])
def test_an_unchanged_set_is_not_read_again(
    world: Any, opened: list[Path], kind: str, *, copies: bool
) -> None:
    WRITERS[kind][0](world)
    first = prepare(world, copyImages=copies)
    assert len(opened) == 1
    assert prepare(world, copyImages=copies) == first
    assert len(opened) == 1
    assert first.origins["train"].kind == kind


def test_what_was_said_of_classes_is_said_again(world: Any, opened: list[Path]) -> None:
    write_ucd(world)
    asked = {"labels": ["a", "zebra"], "missingClasses": "allow"}
    first, second = prepare(world, **asked), prepare(world, **asked)
    want = "listed labels that occur nowhere in the data: 1, 'zebra'"
    assert want in first.details.warnings
    assert (second, len(opened)) == (first, 1)
    with pytest.raises(InvalidDataError, match="'zebra' occurs nowhere"):
        prepare(world, labels=["a", "zebra"])


def test_other_options_read_it_again(world: Any, opened: list[Path]) -> None:
    write_ucd(world)
    several: list[dict[str, Any]] = [{}, {"valFraction": 0.5}, {"copyImages": True}]
    for number, options in enumerate(several, start=1):
        prepare(world, **options)
        assert len(opened) == number


def boxes(path: Path, _: Path) -> None:
    text = path.read_text()
    path.write_text(text.replace("32, 32", "30, 30").replace("[40, 40]", "[30, 30]"))
    settle(path)
    os.utime(path, (AN_HOUR_AGO + 1, AN_HOUR_AGO + 1))


def picture(_: Path, images: Path) -> None:
    shutil.copy(images / "Fwe0001.jpg", images / "Fwe0002.jpg")


def picture_gone(_: Path, images: Path) -> None:
    (images / "Fwe0001.jpg").unlink()


def link_elsewhere(_: Path, images: Path) -> None:
    (images / "Fwe0001.jpg").unlink()
    (images / "Fwe0001.jpg").symlink_to("Fwe0003.jpg")


CHANGES: dict[str, Callable[[Path, Path], None]] = {
    "boxes": boxes,
    "picture": picture,
    "picture gone": picture_gone,
    "link elsewhere": link_elsewhere,
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_set_is_prepared_as_if_for_the_first_time(world: Any, kind: str, change: str) -> None:
    write, images = WRITERS[kind]
    path = write(world)
    before = prepare(world)
    CHANGES[change](path, world.data / images)
    found = prepare(world)
    shutil.rmtree(world.volume.index)
    want = prepare(world)
    assert found.details == want.details
    assert found.folder == want.folder != before.folder


def test_an_image_that_was_left_out_is_looked_for_again(world: Any, opened: list[Path]) -> None:
    write_ucd(world)
    (world.data / "img_cache/Fwe0002.jpg").unlink()
    assert prepare(world).details.dataset.images == 3
    world.image("img_cache/Fwe0002.jpg", shade=7)
    assert prepare(world).details.dataset.images == 4
    assert len(opened) == 2


def test_a_data_yaml_that_came_beside_is_seen(world: Any) -> None:
    write_coco(world)
    assert prepare(world).origins["train"].kind == "coco"
    world.text("datasets/demo/labels/Fwe0001.txt", "0 0.5 0.5 0.2 0.2\n")
    world.text("datasets/demo/data.yaml", "train: images\nnames: [a]\n")
    assert prepare(world).origins["train"].kind == "yolo"


def test_an_image_of_an_ending_that_goes_first_is_seen(world: Any) -> None:
    write_ucd(world)
    (world.data / "img_cache/Fwe0002.jpg").rename(world.data / "img_cache/Fwe0002.png")
    before = prepare(world)
    world.image("img_cache/Fwe0002.jpg", shade=99)
    assert prepare(world).folder != before.folder


def test_a_copy_that_was_damaged_is_made_anew(world: Any) -> None:
    write_ucd(world)
    found = prepare(world, copyImages=True)
    copy = min((found.folder / "images").rglob("*.jpg"))
    content = copy.read_bytes()
    copy.write_bytes(b"")
    assert prepare(world, copyImages=True).folder == found.folder
    assert copy.read_bytes() == content


def test_a_file_that_was_just_written_may_have_been_read_half(world: Any, opened: list[Path]) -> None:
    path = write_ucd(world)
    path.touch()
    prepare(world)
    prepare(world)
    assert len(opened) == 2
    settle(path)
    prepare(world)
    prepare(world)
    assert len(opened) == 3


def test_a_set_that_was_removed_is_prepared_anew(world: Any) -> None:
    write_ucd(world)
    found = prepare(world)
    shutil.rmtree(found.folder)
    assert prepare(world).folder.is_dir()
