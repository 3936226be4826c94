"""A data volume whose files are another user's: nothing of it is left out without a word."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from other_users import open_folder, without_rights
from yolo_crds.conditions import Reason
from yolo_crds.training import Data
from yolo_trainer.data.dataset import prepare_dataset
from yolo_trainer.errors import VolumeFailedError

ROW = "0 0.5 0.5 0.2 0.2\n"


def write_set(world: Any) -> None:
    """A YOLO data set in folders of folders."""
    for split, part in (("train", "a"), ("train", "b"), ("val", "a")):
        for number in range(2):
            where = f"{split}/{part}/{number}"
            world.image(f"datasets/demo/images/{where}.jpg", shade=ord(part) + number + 9 * len(split))
            world.text(f"datasets/demo/labels/{where}.txt", ROW)
    world.text("datasets/demo/data.yaml", "train: images/train\nval: images/val\nnames: [a]\n")


def prepare(world: Any) -> None:
    given = Data.model_validate({"train": "datasets/demo", "labels": ["a"]})
    prepare_dataset(world.volume, given, "detect", world.report)


@pytest.fixture
def shared(world: Any) -> Iterator[Any]:
    """The set on a volume on which everyone may write."""
    write_set(world)
    prepare(world)  # what Python loads late, another user may not read
    with open_folder() as folder:
        shared = type(world)(folder)
        shared.data.chmod(0o777)
        write_set(shared)
        yield shared


@pytest.mark.parametrize(
    "closed",
    [
        "datasets/demo",
        "datasets/demo/data.yaml",
        "datasets/demo/images/train/b",
        "datasets/demo/images/train/b/1.jpg",
        "datasets/demo/labels",
        "datasets/demo/labels/train",
        "datasets/demo/labels/train/b",
        "datasets/demo/labels/train/b/1.txt",
        "prepared",
    ],
)
def test_what_another_user_closes_is_told_with_owner_and_cure(shared: Any, closed: str) -> None:
    place: Path = shared.data / closed
    if closed == "prepared":
        place.mkdir()
    place.chmod(0o555 if closed == "prepared" else 0)
    with without_rights(), pytest.raises(VolumeFailedError) as found:
        prepare(shared)
    assert found.value.reason is Reason.VOLUME_FAILED
    assert f"{closed} belongs to {place.stat().st_uid}:" in found.value.message
    assert f"this pod runs as {65534 if os.geteuid() == 0 else os.geteuid()}:" in found.value.message
    assert "storage.chown.enabled" in str(found.value.hint) or "chmod" in str(found.value.hint)
    assert "claims" not in str(found.value.hint)


@pytest.mark.parametrize("named_by", ["list", "folder"])
@pytest.mark.parametrize(
    "closed",
    ["pics/images/train/b", "pics/labels/train", "pics/labels/train/b", "pics/labels/train/b/1.txt", "pics"],
)
def test_what_lies_beside_the_set_is_told_likewise(shared: Any, closed: str, named_by: str) -> None:
    """Where the files lie elsewhere they are looked for one by one; labels not found would be backgrounds."""
    (shared.data / "datasets/demo").rename(shared.data / "pics")
    pictures = shared.data / "pics/images"
    for split in ("train", "val"):
        images = sorted((pictures / split).rglob("*.jpg"))
        shared.text(f"datasets/demo/{split}.txt", "".join(f"{image}\n" for image in images))
    base, ending = (".", ".txt") if named_by == "list" else (pictures, "")
    yaml = f"path: {base}\ntrain: train{ending}\nval: val{ending}\nnames: [a]\n"
    shared.text("datasets/demo/data.yaml", yaml)
    place: Path = shared.data / closed
    place.chmod(0)
    with without_rights(), pytest.raises(VolumeFailedError) as found:
        prepare(shared)
    assert f"{closed} belongs to {place.stat().st_uid}:" in found.value.message
