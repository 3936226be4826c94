"""Checkpoints that survive a kill at any point, and what is published of them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yolo_crds.layout import RunFolder
from yolo_trainer.errors import DiskFullError
from yolo_trainer.runfolder.checkpoint import (
    STATE,
    carry_over,
    digest_path,
    drop_states,
    holds,
    promote,
    resumable,
    write_state,
)
from yolo_trainer.runfolder.publish import publish_files, published_weights


class KilledError(Exception):
    pass


def writes(content: bytes) -> Callable[[Any], object]:
    """What a trainer does to save."""
    return lambda file: file.write(content)


def test_write_state_keeps_the_previous(tmp_path: Path) -> None:
    for content in (b"one", b"two", b"three"):
        write_state(tmp_path, writes(content))

    assert (tmp_path / STATE).read_bytes() == b"three"
    assert (tmp_path / "state.prev.pt").read_bytes() == b"two"
    assert resumable(tmp_path) == tmp_path / STATE


def test_resumable_takes_the_previous_of_a_torn_state(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        write_state(tmp_path, writes(content))
    (tmp_path / STATE).write_bytes(b"tw")

    assert resumable(tmp_path) == tmp_path / "state.prev.pt"


@pytest.mark.parametrize("step", range(1, 6))
def test_write_state_killed_at_any_rename_leaves_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    for content in (b"one", b"two"):
        write_state(tmp_path, writes(content))
    rename, calls = Path.replace, 0

    def replace(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == step:
            raise KilledError
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    killed = False
    try:
        write_state(tmp_path, writes(b"three"))
    except KilledError:
        killed = True
    monkeypatch.undo()

    assert killed == (step <= 4)  # two digests, the previous state, the new one
    found = resumable(tmp_path)
    assert found is not None
    assert found.read_bytes() in {b"two", b"three"}


def test_write_state_that_fails_leaves_nothing_half_written(tmp_path: Path) -> None:
    def fail(file: Any) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    write_state(tmp_path, writes(b"one"))
    with pytest.raises(DiskFullError):
        write_state(tmp_path, fail)

    assert {path.name for path in tmp_path.iterdir()} == {STATE, f"{STATE}.sha256"}
    assert resumable(tmp_path) == tmp_path / STATE


def test_promote_notes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "new.pt").write_bytes(b"weights")

    promote(tmp_path / "new.pt", tmp_path / "weights" / "last.pt")

    assert holds(tmp_path / "weights" / "last.pt")
    assert not (tmp_path / "new.pt").exists()


def test_carry_over_leaves_a_damaged_checkpoint_behind(tmp_path: Path) -> None:
    (tmp_path / "new.pt").write_bytes(b"weights")
    promote(tmp_path / "new.pt", tmp_path / "a" / "best.pt")
    carry_over(tmp_path / "a" / "best.pt", tmp_path / "b" / "best.pt")
    assert holds(tmp_path / "b" / "best.pt")

    digest_path(tmp_path / "a" / "best.pt").write_text("0" * 64)
    carry_over(tmp_path / "a" / "best.pt", tmp_path / "c" / "best.pt")
    assert not (tmp_path / "c").exists()


def test_drop_states_frees_all_but_the_kept(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_state(tmp_path / name, writes(b"state"))

    drop_states(tmp_path, {tmp_path / "b"})

    assert resumable(tmp_path / "a") is None
    assert resumable(tmp_path / "b") is not None


def test_publish_files_sets_an_older_servers_file_aside(tmp_path: Path) -> None:
    folder = RunFolder("toy", tmp_path)
    folder.weights.mkdir(parents=True)
    (folder.weights / "last.pt").write_bytes(b"yolov5")
    attempt = folder.attempt("t")
    attempt.mkdir(parents=True)
    (attempt / "new.pt").write_bytes(b"ours")
    promote(attempt / "new.pt", attempt / "weights" / "last.pt")

    publish_files(folder, "t")
    publish_files(folder, "t")

    published = folder.weights / "last.pt"
    assert published.read_bytes() == b"ours"
    assert str(published.readlink()) == "../.attempts/t/weights/last.pt"
    assert (folder.attempt("adopted") / "weights" / "last.pt").read_bytes() == b"yolov5"
    weights = published_weights(folder, "t")
    assert weights is not None
    assert weights.last is not None
    assert (weights.last.path, weights.last.size) == ("train/toy/weights/last.pt", 4)
