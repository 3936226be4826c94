"""Content addressing, reuse, damage, races and full disks of prepared sets."""

import errno
import json
import os
import shutil
import threading
import time
from typing import Any

import pytest
from PIL import Image

from yolo_crds.training import Data
from yolo_trainer.data import prepared_set
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.data.images import ImageFacts, verify_image
from yolo_trainer.data.manifest import first_changed, read_manifest
from yolo_trainer.errors import DiskFullError, InvalidDataError, VolumeUnavailableError


def prepare(world: Any, train: str = "many", **data: object) -> PreparedSet:
    given = {"train": train, "labels": ["a"], **data}
    return prepare_dataset(world.volume, Data.model_validate(given), "detect", world.report)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the images that were read, as they are read."""
    paths: list[str] = []

    def spy(facts: ImageFacts, *, decode: bool) -> ImageFacts:
        paths.append(facts.path)
        return verify_image(facts, decode=decode)

    monkeypatch.setattr("yolo_trainer.data.inspection.verify_image", spy)
    return paths


def as_yolo_folder(world: Any, found: PreparedSet) -> None:
    """The same images and labels, copied into a YOLO folder."""
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            shutil.copytree(found.folder / kind / split, world.data / f"datasets/demo/{kind}/{split}")
    world.text("datasets/demo/data.yaml", "train: images/train\nval: images/val\nnames: [a]\n")


def test_same_content_gives_the_same_hash_whatever_the_format(world: Any) -> None:
    world.many(count=6)
    first = prepare(world)
    as_yolo_folder(world, first)
    second = prepare(world, "demo")
    assert second.details.dataset.kind == "yolo"
    assert second.folder == first.folder


def test_hash_depends_on_pixels_labels_and_class_order(world: Any) -> None:
    world.many(count=4)
    want = prepare(world).folder
    first, second = (
        prepare(world, labels=labels, missingClasses="allow") for labels in (["a", "b"], ["b", "a"])
    )
    assert len({first.folder, second.folder, want}) == 3
    world.image("img_cache/Fwe0001.jpg", shade=9999)
    assert prepare(world).folder != want


def test_second_prepare_opens_no_image(world: Any, opened: list[str]) -> None:
    world.many(count=5)
    first = prepare(world)
    assert len(opened) == 5
    opened.clear()
    second = prepare(world)
    assert second.folder == first.folder
    assert second.details == first.details
    assert opened == []


def test_other_options_open_no_image_again(world: Any, opened: list[str]) -> None:
    world.many(count=5)
    prepare(world)
    opened.clear()
    prepare(world, seed=7)
    assert opened == []


def test_one_changed_image_is_the_only_one_read_again(world: Any, opened: list[str]) -> None:
    world.many(count=5)
    prepare(world)
    opened.clear()
    changed = world.image("img_cache/Fwe0003.jpg", shade=5000)
    prepare(world)
    assert opened == [str(changed.resolve())]


def test_manifest_names_the_first_file_that_changed(world: Any) -> None:
    world.many(count=5)
    found = prepare(world)
    manifest = read_manifest(found.folder)
    assert manifest is not None
    assert first_changed(manifest, world.data, world.report) is None
    world.image("img_cache/Fwe0003.jpg", shade=5000)
    assert first_changed(manifest, world.data, world.report) == "img_cache/Fwe0003.jpg"


def test_links_are_relative_and_whole(world: Any) -> None:
    world.many(count=2)
    found = prepare(world)
    moved = world.data.with_name("elsewhere")
    world.data.rename(moved)
    links = list((moved / "prepared" / found.folder.name / "images").rglob("*.jpg"))
    assert len(links) == 2
    assert all(link.is_symlink() and link.resolve().is_relative_to(moved) for link in links)


def test_links_follow_to_a_source_of_the_same_content(world: Any) -> None:
    world.many(count=4)
    first = prepare(world)
    as_yolo_folder(world, first)
    shutil.rmtree(world.data / "img_cache")
    second = prepare(world, "demo")
    assert second.folder == first.folder
    assert all(link.exists() for link in second.folder.glob("images/*/*"))
    manifest = read_manifest(second.folder)
    assert manifest is not None
    assert first_changed(manifest, world.data, world.report) is None


def test_killed_prepare_leaves_only_a_folder_that_is_collected_when_old(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.many(count=3)
    pid = os.fork()
    if pid == 0:  # die in the middle of building, without any clean-up
        monkeypatch.setattr(prepared_set, "place_image", lambda *_: os._exit(9))
        prepare(world)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    (left,) = world.volume.prepared.iterdir()
    assert left.name.startswith(".tmp-")
    found = prepare(world)
    assert found.details.dataset.images == 3
    assert left.exists()
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(left, (long_ago, long_ago))
    prepare(world, seed=1)
    assert not left.exists()


def test_two_prepares_at_once_do_no_harm(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.many(count=6)
    barrier = threading.Barrier(2)
    fill = prepared_set._fill

    def fill_together(*args: Any) -> None:
        fill(*args)
        barrier.wait(10)  # both are built before either is renamed

    monkeypatch.setattr(prepared_set, "_fill", fill_together)
    found: list[PreparedSet] = []
    threads = [threading.Thread(target=lambda: found.append(prepare(world))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len({f.folder for f in found}) == 1
    assert len(found) == 2
    assert list(world.volume.prepared.glob("[!.]*")) == [found[0].folder]
    assert list(world.volume.prepared.glob(".tmp-*")) == []


def test_damaged_set_is_built_anew(world: Any) -> None:
    world.many(count=3)
    found = prepare(world)
    (found.folder / "manifest.jsonl").write_text("{")
    shutil.rmtree(found.folder / "labels")
    again = prepare(world)
    assert again.folder == found.folder
    assert len(list(again.folder.glob("labels/*/*.txt"))) == 3


@pytest.mark.parametrize("index", [True, False])
def test_a_set_with_a_damaged_line_in_its_manifest_is_built_anew(world: Any, index: bool) -> None:
    world.many(count=3)
    found = prepare(world)
    manifest = found.folder / "manifest.jsonl"
    head, _, *rest = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join([head, "{}\n", *rest]))
    if not index:
        shutil.rmtree(world.volume.prepared / ".index")
    assert prepare(world).folder == found.folder
    mended = read_manifest(found.folder)
    assert mended is not None
    assert len(list(mended.entries())) == mended.count == 3


def test_torn_index_costs_only_time(world: Any) -> None:
    world.many(count=3)
    found = prepare(world)
    for path in (world.volume.prepared / ".index").iterdir():
        path.write_text("{")
    assert prepare(world).folder == found.folder


@pytest.mark.parametrize(
    ("number", "want"),
    [(errno.ENOSPC, DiskFullError), (errno.EDQUOT, DiskFullError), (errno.EIO, VolumeUnavailableError)],
)
def test_full_disk_is_told_and_leaves_nothing(
    world: Any, monkeypatch: pytest.MonkeyPatch, number: int, want: type[Exception]
) -> None:
    world.many(count=3)

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(prepared_set, "place_image", fail)
    with pytest.raises(want, match="prepared"):
        prepare(world)
    assert list(world.volume.prepared.glob("*")) == []


def test_progress_is_reported_to_the_end(world: Any) -> None:
    world.many(count=3)
    prepare(world)
    last = [r for r in world.reports if r["stage"] == "verify"][-1]
    assert (last["batch"], last["batches"], last["percent"]) == (3, 3, 100.0)
    assert set(last) == {"stage", "batch", "batches", "percent", "images_per_second", "eta_seconds"}


def test_jpeg_without_end_marker_is_copied_whole(world: Any) -> None:
    world.many(count=3)
    image = world.data / "img_cache/Fwe0001.jpg"
    image.write_bytes(image.read_bytes() + b"\0\0")  # what some cameras leave behind
    found = prepare(world)
    assert found.details.dataset.skipped == {"restoredImage": 1}
    (copy,) = [p for p in found.folder.rglob("Fwe0001.jpg") if not p.is_symlink()]
    assert copy.read_bytes() == image.read_bytes() + b"\xff\xd9"
    with Image.open(copy) as whole:
        whole.load()


def test_data_without_images_is_refused(world: Any) -> None:
    (world.data / "datasets/empty").mkdir()
    with pytest.raises(InvalidDataError, match="no images"):
        prepare(world, "empty")


def test_report_lies_in_the_set(world: Any) -> None:
    world.many(count=3)
    found = prepare(world)
    report = json.loads((found.folder / "report.json").read_text())
    assert report["dataset"]["images"] == 3


def test_what_is_known_by_header_alone_does_not_pass_as_decoded(world: Any, opened: list[str]) -> None:
    world.many(count=5)
    by_header = prepare(world, verify="header")
    assert (len(opened), by_header.details.checked) == (5, "header")
    opened.clear()
    decoded = prepare(world)
    assert (len(opened), decoded.details.checked) == (5, "decode")
    assert decoded.folder == by_header.folder
    opened.clear()
    assert prepare(world, seed=7).folder != decoded.folder
    assert prepare(world, verify="header", seed=8).details.checked == "decode"
    assert opened == []


def test_many_images_are_read_in_processes_with_the_same_outcome(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.many(count=40)
    (world.data / "img_cache/Fwe0003.jpg").write_bytes(b"no image")
    (world.data / "img_cache/Fwe0007.jpg").unlink()
    want = prepare(world)
    shutil.rmtree(world.volume.prepared)
    monkeypatch.setattr("yolo_trainer.data.parallel.PROCESSES_FROM", 1)
    monkeypatch.setattr("yolo_trainer.data.parallel.cpus", lambda: 2)
    assert prepare(world) == want
