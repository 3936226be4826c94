"""Archives that mean harm, are torn, or are unpacked twice."""

import os
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from dataset_writers import make_truth, pack_zip, write_images, write_roboflow, write_voc
from yolo_crds.training import Data
from yolo_trainer.data import archive
from yolo_trainer.data.archive import unpack
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.data.tree import Tree
from yolo_trainer.errors import InvalidDataError


def prepare(world: Any, train: str = "demo.zip") -> PreparedSet:
    data = Data.model_validate({"train": train, "labels": ["helmet", "person"]})
    return prepare_dataset(world.volume, data, "detect", world.report)


@pytest.fixture
def export(world: Any, tmp_path: Path) -> Path:
    """A zip of a few images."""
    truth = make_truth(4)
    images = write_images(tmp_path / "images", truth)
    write_roboflow(tmp_path / "export", images, truth)
    return pack_zip(tmp_path / "export", world.data / "datasets/demo.zip")


def unpacked(world: Any) -> list[str]:
    """What lies in the store, hidden notes aside; nothing when an archive was refused."""
    store = world.volume.prepared / ".unpacked"
    notes = (".sha256-", ".used-")
    return sorted(p.name for p in store.iterdir() if not p.name.startswith(notes)) if store.exists() else []


def test_encrypted_zip_is_refused(world: Any, export: Path) -> None:
    raw = bytearray(export.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.find(signature)
        while at >= 0:
            raw[at + offset] |= 1
            at = raw.find(signature, at + 4)
    export.write_bytes(raw)
    with pytest.raises(InvalidDataError, match="is encrypted; give an archive without a password"):
        prepare(world)


@pytest.mark.parametrize("name", ["torn.zip", "torn.tar", "torn.tar.gz", "torn.tgz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04torn", b"\x1f\x8b\x08torn", b"<html>"])
def test_torn_archive_is_refused(world: Any, name: str, content: bytes) -> None:
    (world.data / "datasets" / name).write_bytes(content)
    with pytest.raises(InvalidDataError, match=rf"{name} is no whole archive|no images"):
        prepare(world, name)


def test_damaged_entry_is_refused(world: Any, export: Path) -> None:
    raw = bytearray(export.read_bytes())
    at = raw.find(b".png") + 60
    raw[at : at + 40] = os.urandom(40)
    export.write_bytes(raw)
    with pytest.raises(InvalidDataError, match=r"demo\.zip is no whole archive"):
        prepare(world)
    assert unpacked(world) == []


def test_archive_is_unpacked_once(world: Any, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(world)
    (sha256,) = unpacked(world)
    assert len(sha256) == 64
    monkeypatch.setattr(archive, "_unpack_into", None)
    monkeypatch.setattr("hashlib.file_digest", None)
    monkeypatch.setattr("yolo_trainer.data.inspection.verify_image", None)
    assert prepare(world).details == first.details


def test_copy_of_an_archive_is_not_unpacked_again(
    world: Any, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(world)
    (world.data / "datasets/other.zip").write_bytes(export.read_bytes())
    monkeypatch.setattr(archive, "_unpack_into", None)
    assert prepare(world, "other.zip").folder == first.folder


def test_unpacking_anew_gives_the_same_files(world: Any, export: Path) -> None:
    def state(folder: Path) -> list[tuple[str, int, int]]:
        files = (p for p in sorted(folder.rglob("*")) if p.is_file())
        return [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files]

    folder = unpack(export, Tree(world.volume), world.volume.unpacked, world.report)
    want = state(folder)
    folder.rename(folder.with_name("gone"))
    os.utime(export, (time.time() + 9,) * 2)
    assert state(unpack(export, Tree(world.volume), world.volume.unpacked, world.report)) == want


def test_unpacking_reports_that_it_goes_on(world: Any, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "REPORT_SECONDS", 0.0)
    unpack(export, Tree(world.volume), world.volume.unpacked, world.report)
    assert {r["stage"] for r in world.reports} == {"unpack"}
    assert [r["batch"] for r in world.reports[1:]] == list(range(1, len(world.reports)))


def test_folders_around_a_data_set_are_looked_through(world: Any, tmp_path: Path) -> None:
    truth = make_truth(4)
    write_voc(tmp_path / "voc", write_images(tmp_path / "images", truth), truth)
    pack_zip(tmp_path / "voc", world.data / "datasets/demo.zip", "VOCdevkit/VOC2012/")
    assert prepare(world).details.dataset.kind == "voc"


def test_litter_of_desktops_is_left_out(world: Any, export: Path) -> None:
    with zipfile.ZipFile(export, "a") as packed:
        packed.writestr("__MACOSX/train/images/._img_001.png", b"x")
        packed.writestr("train/images/.DS_Store", b"x")
    folder = unpack(export, Tree(world.volume), world.volume.unpacked, world.report)
    assert not [p for p in folder.rglob("*") if "MAC" in p.name or "DS_Store" in p.name]


def test_two_unpackings_at_once_do_no_harm(world: Any, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    barrier = threading.Barrier(2)
    unpack_into = archive._unpack_into

    def together(path: Path, folder: Path, report: Any) -> None:
        unpack_into(path, folder, report)
        barrier.wait(10)  # both are unpacked before either is renamed

    monkeypatch.setattr(archive, "_unpack_into", together)
    found: list[Path] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(
                unpack(export, Tree(world.volume), world.volume.unpacked, world.report)
            )
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 2
    assert found[0] == found[1]
    assert unpacked(world) == [found[0].name]
