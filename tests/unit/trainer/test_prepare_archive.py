"""Archives that mean harm, are torn, or are unpacked twice."""

import os
import stat
import tarfile
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from dataset_writers import make_truth, pack_zip, tar_of, write_images, write_roboflow, write_voc
from yolo_crds.training import Data
from yolo_trainer.data import archive
from yolo_trainer.data.archive import unpack
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.data.tree import Tree
from yolo_trainer.errors import DiskFullError, InvalidDataError


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


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("entries", "want"),
    [
        ([entry("../evil.txt")], r"entry '\.\./evil\.txt' leads out of the archive"),
        ([entry("a/../../evil.txt")], "leads out of the archive"),
        ([entry("a\\..\\..\\evil.txt")], "leads out of the archive"),
        ([entry("/etc/evil")], "entry '/etc/evil' has an absolute path"),
        ([entry("C:\\evil.txt")], "has an absolute path"),
        ([entry("link", tarfile.SYMTYPE, "/etc/passwd")], "entry 'link' is a link or a device"),
        ([entry("link", tarfile.LNKTYPE, "../../x")], "entry 'link' is a link or a device"),
        ([entry("pipe", tarfile.FIFOTYPE)], "entry 'pipe' is a link or a device"),
        ([entry("dev", tarfile.CHRTYPE)], "entry 'dev' is a link or a device"),
        ([entry("a"), entry("a")], "entry 'a' is there twice"),
        ([entry("a"), entry("a/b")], "entry 'a/b' is there twice"),
        ([entry("a/b"), entry("a", tarfile.DIRTYPE), entry("a")], "entry 'a' is there twice"),
    ],
)
def test_harmful_tar_is_refused_by_entry(
    world: Any, tmp_path: Path, entries: list[tarfile.TarInfo], want: str
) -> None:
    tar_of(world.data / "datasets/evil.tar", *entries)
    with pytest.raises(InvalidDataError, match=want) as error:
        prepare(world, "evil.tar")
    assert "evil.tar" in error.value.message
    assert unpacked(world) == []
    assert not list(tmp_path.rglob("evil.txt"))


def zip_of(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries:
            packed.writestr(name, content)


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("../evil.txt", "leads out of the archive"),
        ("/tmp/evil.txt", "has an absolute path"),
        (link("images"), "is a link or a device"),
    ],
)
def test_harmful_zip_is_refused_by_entry(world: Any, name: zipfile.ZipInfo | str, want: str) -> None:
    zip_of(world.data / "datasets/evil.zip", ("fine.txt", b"x"), (name, b"/etc"))
    with pytest.raises(InvalidDataError, match=want):
        prepare(world, "evil.zip")
    assert unpacked(world) == []


def test_bombs_are_refused_while_they_unpack(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "FREE_BYTES", 1 << 20)
    zip_of(world.data / "datasets/bomb.zip", ("a.txt", b"\0" * (4 << 20)))
    with pytest.raises(InvalidDataError, match=r"bomb\.zip is a decompression bomb: .*200 times.*'a\.txt'"):
        prepare(world, "bomb.zip")
    with tarfile.open(world.data / "datasets/bomb.tgz", "w:gz") as packed:
        info = tarfile.TarInfo("a.txt")
        info.size = 4 << 20
        with Path("/dev/zero").open("rb") as zeros:
            packed.addfile(info, zeros)
    with pytest.raises(InvalidDataError, match="decompression bomb"):
        prepare(world, "bomb.tgz")
    assert unpacked(world) == []


def test_totals_are_bounded(world: Any, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    with pytest.raises(InvalidDataError, match="unpacks to more than 1000 bytes"):
        prepare(world)
    monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
    with pytest.raises(InvalidDataError, match="more than 3 entries"):
        prepare(world)


def test_entry_that_does_not_fit_is_told_before_it_is_written(world: Any) -> None:
    info = entry("huge.bin")
    info.size = 1 << 60
    (world.data / "datasets/huge.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)
    with pytest.raises(DiskFullError, match=r"'huge\.bin' has \d+ bytes, more than the volume has room"):
        prepare(world, "huge.tar")


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
    monkeypatch.setattr("yolo_trainer.data.locate.verify_image", None)
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
