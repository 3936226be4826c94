"""`data.copyImages`: sets that need no source, made of links or afresh, never half; full disks."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from prepared_sets import prepare_stage
from yolo_crds.training import Data
from yolo_trainer.data import copies, prepared_set
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.data.images import ImageFacts
from yolo_trainer.data.manifest import first_changed, read_manifest
from yolo_trainer.data.tree import Tree
from yolo_trainer.errors import DiskFullError, InvalidDataError, VolumeUnavailableError
from yolo_trainer.training.stage import check_images


def prepare(world: Any, *, copy_images: bool = True, **data: object) -> PreparedSet:
    given = {"train": "many", "labels": ["a"], "copyImages": copy_images, **data}
    return prepare_dataset(world.volume, Data.model_validate(given), "detect", world.report)


def pictures(found: PreparedSet) -> list[Path]:
    return sorted((found.folder / "images").rglob("*.jpg"))


def unstamped(world: Any) -> dict[str, object]:
    """All below `prepared/` but the stamps."""
    found = world.snapshot(world.volume.prepared)
    return {name: state for name, state in found.items() if not name.startswith(".used-")}


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str, fail: Callable[[], object]) -> None:
    """Lets the copy of one image fail after a part of it was written."""
    copy_image = copies.copy_image

    def copy_part(place: Path, facts: ImageFacts, tree: Tree) -> None:
        if facts.path.endswith(name):
            place.write_bytes(Path(facts.path).read_bytes()[:100])
            fail()
        copy_image(place, facts, tree)

    monkeypatch.setattr(prepared_set, "copy_image", copy_part)


def test_copies_outlive_their_sources(world: Any) -> None:
    world.many(count=5)
    before = world.snapshot(world.data / "img_cache")
    found = prepare(world)
    assert world.snapshot(world.data / "img_cache") == before
    contents = {path.name: path.read_bytes() for path in (world.data / "img_cache").iterdir()}
    world.image("img_cache/Fwe0001.jpg", shade=5000)
    (world.data / "img_cache/Fwe0002.jpg").unlink()
    assert {path.name: path.read_bytes() for path in pictures(found)} == contents
    manifest = read_manifest(found.folder)
    assert manifest is not None
    assert first_changed(manifest, world.data, world.report) is None


def test_train_takes_copies_whatever_became_of_the_sources(world: Any) -> None:
    world.many(count=3)
    config = world.config(data={"train": "many", "labels": ["a"], "copyImages": True})
    prepared = prepare_stage(config, world.report)
    shutil.rmtree(world.data / "img_cache")
    check_images(prepared, world.volume, world.report)


def test_train_tells_how_far_its_look_at_the_images_is(world: Any) -> None:
    """The watchdog ends what is silent, and a million files on a slow volume take longer than that."""
    world.many(count=3)
    prepared = prepare_stage(world.config(data={"train": "many", "labels": ["a"]}), world.report)
    world.reports.clear()
    check_images(prepared, world.volume, world.report)
    assert [(line["stage"], line["batch"], line["batches"]) for line in world.reports] == [("scan", 3, 3)]


def test_hash_is_that_of_links(world: Any) -> None:
    world.many(count=4)
    want = prepare(world, copy_images=False).folder
    shutil.rmtree(world.volume.prepared)
    assert prepare(world).folder == want


def test_links_are_replaced_by_copies_and_stay_so(world: Any) -> None:
    world.many(count=4)
    linked = prepare(world, copy_images=False)
    assert all(path.is_symlink() for path in pictures(linked))
    copied = prepare(world)
    assert copied.folder == linked.folder
    assert not any(path.is_symlink() for path in pictures(copied))
    assert prepare(world, copy_images=False).folder == linked.folder
    assert not any(path.is_symlink() for path in pictures(copied))
    manifest = read_manifest(copied.folder)
    assert manifest is not None
    assert all(entry.copied for entry in manifest.entries())
    assert [p.name for p in world.volume.prepared.glob(".tmp-*")] == []


def test_set_that_became_links_again_is_not_taken_for_copies(world: Any) -> None:
    world.many(count=3)
    prepare(world)
    shutil.rmtree(prepare(world).folder)
    prepare(world, copy_images=False)
    assert not any(path.is_symlink() for path in pictures(prepare(world)))


@pytest.mark.parametrize("harm", ["unlink", "truncate", "link"])
def test_damaged_copy_is_copied_again(world: Any, harm: str) -> None:
    world.many(count=3)
    found = prepare(world)
    place = pictures(found)[0]
    want = place.read_bytes()
    place.unlink()
    if harm == "truncate":
        place.write_bytes(want[:50])
    elif harm == "link":
        place.symlink_to(world.data / "img_cache" / place.name)
    assert prepare(world).folder == found.folder
    assert not place.is_symlink()
    assert place.read_bytes() == want


def test_unfinished_jpeg_is_completed_in_its_copy(world: Any) -> None:
    world.many(count=3)
    source = world.data / "img_cache/Fwe0001.jpg"
    source.write_bytes(source.read_bytes() + b"\0\0")
    found = prepare(world)
    (copy,) = [path for path in pictures(found) if path.name == source.name]
    assert copy.read_bytes() == source.read_bytes() + b"\xff\xd9"
    before = world.snapshot(found.folder)
    assert prepare(world).folder == found.folder
    assert world.snapshot(found.folder) == before


def test_room_is_looked_at_before_anything_is_copied(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.many(count=4)
    need = sum(path.stat().st_size for path in (world.data / "img_cache").iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Mock(free=need - 1))
    with pytest.raises(
        DiskFullError, match=r"copies of 4 images take [\d.]+ KiB, but .* has [\d.]+ KiB free"
    ):
        prepare(world)
    assert list(world.volume.prepared.iterdir()) == []
    assert prepare(world, copy_images=False).details.dataset.images == 4


@pytest.mark.parametrize(
    ("number", "want"),
    [(errno.ENOSPC, DiskFullError), (errno.EDQUOT, DiskFullError), (errno.EIO, VolumeUnavailableError)],
)
@pytest.mark.parametrize("linked", [True, False])
def test_disk_full_in_the_middle_leaves_all_as_it_was(
    world: Any, monkeypatch: pytest.MonkeyPatch, number: int, want: type[Exception], linked: bool
) -> None:
    world.many(count=4)
    if linked:
        prepare(world, copy_images=False)
    before = unstamped(world)
    with monkeypatch.context() as patch:
        fail_at(patch, "Fwe0002.jpg", Mock(side_effect=OSError(number, os.strerror(number))))
        with pytest.raises(want, match="prepared"):
            prepare(world)
    assert unstamped(world) == before
    assert not any(path.is_symlink() for path in pictures(prepare(world)))


@pytest.mark.parametrize("linked", [True, False])
def test_killed_copying_is_trusted_in_no_part(
    world: Any, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    world.many(count=4)
    if linked:
        prepare(world, copy_images=False)
    pid = os.fork()
    if pid == 0:  # die in the middle, without any clean-up
        fail_at(monkeypatch, "Fwe0002.jpg", lambda: os._exit(9))
        prepare(world)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    found = prepare(world)
    assert {p.name: p.read_bytes() for p in pictures(found)} == {
        p.name: p.read_bytes() for p in (world.data / "img_cache").iterdir()
    }


def test_image_that_changes_while_it_is_copied_is_named(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.many(count=3)

    def change(folder: Path, images: object) -> None:
        world.image("img_cache/Fwe0001.jpg", shade=5000)

    monkeypatch.setattr(prepared_set, "check_room", change)
    with pytest.raises(InvalidDataError, match=r"Fwe0001\.jpg changed while the data set was prepared"):
        prepare(world)


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, None])
def test_copy_where_the_kernel_does_not_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    source = tmp_path / "a.jpg"
    source.write_bytes(os.urandom(3 << 20))

    def refuse(*_: object) -> int:
        if number is None:
            return 0  # what some filesystems say instead of an error
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    state = Tree().state(source.stat())
    copies.copy_image(tmp_path / "b.jpg", ImageFacts(str(source), *state), Tree())
    assert (tmp_path / "b.jpg").read_bytes() == source.read_bytes()
