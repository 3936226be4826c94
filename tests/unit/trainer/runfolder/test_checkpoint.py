"""Checkpoints that survive a kill at any point."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yolo_trainer.runfolder import files
from yolo_trainer.runfolder.checkpoint import (
    STATE,
    carry_over,
    digest_path,
    is_whole,
    open_whole,
    promote,
    write_state,
)


def writes(content: bytes) -> Callable[[Any], object]:
    """What a trainer does to save."""
    return lambda file: file.write(content)


def test_write_state_keeps_the_previous(tmp_path: Path) -> None:
    for content in (b"one", b"two", b"three"):
        write_state(tmp_path, writes(content))

    assert (tmp_path / STATE).read_bytes() == b"three"
    assert (tmp_path / "state.prev.pt").read_bytes() == b"two"
    assert is_whole(tmp_path / STATE)
    assert is_whole(tmp_path / "state.prev.pt")


def test_torn_state_is_not_opened(tmp_path: Path) -> None:
    write_state(tmp_path, writes(b"two"))
    (tmp_path / STATE).write_bytes(b"tw")

    assert open_whole(tmp_path / STATE) is None


def test_torn_state_does_not_push_the_whole_one_out(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        write_state(tmp_path, writes(content))
    (tmp_path / STATE).write_bytes(b"tw")

    def fail(file: Any) -> None:
        raise OSError(errno.EIO, "killed here")

    with pytest.raises(OSError, match="killed here"):
        write_state(tmp_path, fail, keep=False)
    assert is_whole(tmp_path / "state.prev.pt")
    write_state(tmp_path, writes(b"three"), keep=False)
    assert (tmp_path / "state.prev.pt").read_bytes() == b"one"


def test_opened_state_stays_what_it_was_whatever_takes_its_name(tmp_path: Path) -> None:
    write_state(tmp_path, writes(b"one"))
    stream = open_whole(tmp_path / STATE)
    assert stream is not None
    write_state(tmp_path, writes(b"two"))

    with stream:
        assert stream.read() == b"one"


def test_write_state_that_fails_leaves_nothing_half_written(tmp_path: Path) -> None:
    def fail(file: Any) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    write_state(tmp_path, writes(b"one"))
    with pytest.raises(OSError, match="No space"):
        write_state(tmp_path, fail)

    assert {path.name for path in tmp_path.iterdir()} == {STATE, f"{STATE}.sha256"}
    assert is_whole(tmp_path / STATE)


def test_promote_notes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "new.pt").write_bytes(b"weights")

    promote(tmp_path / "new.pt", tmp_path / "weights" / "last.pt")

    assert is_whole(tmp_path / "weights" / "last.pt")
    assert not (tmp_path / "new.pt").exists()


def test_carry_over_leaves_a_damaged_checkpoint_behind(tmp_path: Path) -> None:
    (tmp_path / "new.pt").write_bytes(b"weights")
    promote(tmp_path / "new.pt", tmp_path / "a" / "best.pt")
    carry_over(tmp_path / "a" / "best.pt", tmp_path / "b" / "best.pt")
    assert is_whole(tmp_path / "b" / "best.pt")

    digest_path(tmp_path / "a" / "best.pt").write_text("0" * 64)
    carry_over(tmp_path / "a" / "best.pt", tmp_path / "c" / "best.pt")
    assert list((tmp_path / "c").iterdir()) == []


@pytest.mark.parametrize("replaced_at", range(12))
def test_carry_over_of_a_checkpoint_that_is_just_being_replaced_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced_at: int
) -> None:
    """By an attempt that has not seen yet that it was overtaken."""
    source, target = tmp_path / "a" / "best.pt", tmp_path / "b" / "best.pt"
    for name in ("old", "new"):
        (tmp_path / name).write_bytes(name.encode())
    promote(tmp_path / "old", source)
    steps = 0

    def replace(step: str, path: Path) -> None:
        nonlocal steps
        steps += 1
        if steps == replaced_at + 1:
            promote(tmp_path / "new", source)

    monkeypatch.setattr(files, "point", replace)
    carry_over(source, target)

    assert is_whole(target)
    assert target.read_bytes() in (b"old", b"new")
    assert sorted(path.name for path in target.parent.iterdir()) == ["best.pt", "best.pt.sha256"]


def test_a_long_file_comes_to_the_disk_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a stop amid the save of a large state waits for one piece and not for all of it."""
    sizes: list[int] = []
    monkeypatch.setattr(files, "FLUSHED_EVERY", 8)
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))

    with files.writing(tmp_path / "state.pt") as sink:
        for _ in range(5):
            sink.write(b"abcd")

    assert sizes == [8, 16]
    assert (tmp_path / "state.pt").read_bytes() == b"abcd" * 5
