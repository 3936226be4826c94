"""The Job that gives files to another user; it takes root, which some who run these tests are not."""

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from yolo_api import chown

OWNER = (4711, 4712)


def own(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Folders, files, links that lead out, and what else lies on volumes."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").touch()
    runs = tmp_path / "runs"
    (runs / "train" / "m" / "weights").mkdir(parents=True)
    (runs / "train" / "m" / "weights" / "best.pt").write_bytes(b"x")
    (runs / "train" / "m" / "out").symlink_to(tmp_path / "outside")
    (runs / "train" / "m" / "file").symlink_to(tmp_path / "outside" / "secret")
    (runs / "train" / "m" / "nowhere").symlink_to(tmp_path / "gone")
    os.mkfifo(runs / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(runs / "s"))
    (runs / "train").chmod(0o2775)
    return runs


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@needs_root
def test_all_below_gets_the_owner_and_nothing_beyond(
    volume: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chown.main([*map(str, OWNER), str(volume)]) == 0
    below = [Path(parent, name) for parent, dirs, files in os.walk(volume) for name in (*dirs, *files)]
    assert {own(path) for path in (volume, *below)} == {OWNER}
    assert {own(path) for path in (volume.parent / "outside").rglob("*")} == {(0, 0)}
    assert (volume / "train").stat().st_mode & 0o7777 == 0o2775
    count = len(below) + 1
    assert f"{count} of {count} files and folders given to 4711:4712" in capsys.readouterr().out


@needs_root
def test_second_time_goes_on_where_the_first_one_ended(
    volume: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = os.chown, 0

    def ended(*given: Any, **named: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise SystemExit(143)
        real(*given, **named)

    monkeypatch.setattr(os, "chown", ended)
    with pytest.raises(SystemExit):
        chown.main([*map(str, OWNER), str(volume)])
    monkeypatch.setattr(os, "chown", real)
    assert chown.main([*map(str, OWNER), str(volume)]) == 0
    assert "6 of 10 files and folders given to" in capsys.readouterr().out
    changed: list[Any] = []
    monkeypatch.setattr(os, "chown", lambda *given, **_: changed.append(given))
    assert chown.main([*map(str, OWNER), str(volume)]) == 0
    assert changed == []


def test_server_that_squashes_root_is_told(
    volume: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def squash(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chown", squash)
    assert chown.main([*map(str, OWNER), str(volume)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"10 keep their owner: {volume}: Operation not permitted; ")
    assert "chown -R 4711:4712" in told


def test_what_goes_meanwhile_is_no_failure(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(os, "chown", gone)
    assert chown.main([*map(str, OWNER), str(volume)]) == 0


def test_other_file_systems_are_not_entered(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a server's read-only snapshots."""
    real, asked = os.stat, []

    def other(path: Any, **named: Any) -> os.stat_result:
        found = real(path, **named)
        if path != "train":
            return found
        fields = list(found)
        fields[2] += 1
        return os.stat_result(fields)

    monkeypatch.setattr(os, "stat", other)
    monkeypatch.setattr(os, "chown", lambda path, *_, **__: asked.append(path))
    assert chown.main([*map(str, OWNER), str(volume)]) == 0
    assert sorted(asked) == sorted([str(volume), "pipe", "s"])
