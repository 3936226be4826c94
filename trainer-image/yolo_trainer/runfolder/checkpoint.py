"""Checkpoint files that are whole or not there: temporary, fsync, sha256 beside, rename, previous kept.

Nothing here knows torch: prepare uses it to choose what to resume.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ..errors import volume_errors
from ..volume import TEMPORARY_PREFIX, fsync_folder, write_atomic

STATE = "state.pt"
PREVIOUS_STATE = "state.prev.pt"


class _HashingFile:
    """A file to write into that knows the sha256 of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def digest_path(file: Path) -> Path:
    """Where the sha256 of a checkpoint stands."""
    return file.with_name(f"{file.name}.sha256")


def read_digest(file: Path) -> str | None:
    """The sha256 that was noted for a checkpoint; None when there is none."""
    try:
        words = digest_path(file).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return words[0] if words else None


def holds(file: Path) -> bool:
    """Whether a checkpoint is there and is what was written."""
    wanted = read_digest(file)
    if wanted is None:
        return False
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == wanted
    except OSError:
        return False


def resumable(attempt: Path) -> Path | None:
    """The newest file of an attempt that a training can go on from: a whole state, else a whole last.pt."""
    for name in (STATE, PREVIOUS_STATE, "weights/last.pt"):
        if holds(attempt / name):
            return attempt / name
    return None


def write_state(attempt: Path, write: Callable[[_HashingFile], object]) -> None:
    """Writes `state.pt` through `write` and keeps the one before.

    Killed at any point, one of the two holds: the digest of the previous state stands before it is renamed,
    that of the new one before it takes its place.
    """
    state, previous = attempt / STATE, attempt / PREVIOUS_STATE
    temporary = attempt / f"{TEMPORARY_PREFIX}{STATE}"
    with volume_errors(state, "write"):
        try:
            with temporary.open("wb") as file:
                hashing = _HashingFile(file)
                write(hashing)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            temporary.unlink(missing_ok=True)  # on a full disk the result needs the room
            raise
        digest = read_digest(state)
        if digest and state.exists():
            _note_digest(previous, digest)
            state.replace(previous)
        _note_digest(state, hashing.digest)
        temporary.replace(state)
        fsync_folder(attempt)


def promote(file: Path, place: Path) -> None:
    """Moves a finished checkpoint to its place (same file system), with its sha256 beside."""
    with volume_errors(place, "write"):
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            os.fsync(stream.fileno())
        place.parent.mkdir(parents=True, exist_ok=True)
        _note_digest(place, digest)
        file.replace(place)
        fsync_folder(place.parent)


def carry_over(source: Path, target: Path) -> None:
    """Brings an earlier attempt's checkpoint into a new one, if it is whole; by hard link where possible."""
    if not holds(source):
        return
    with volume_errors(target, "write"):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(source)  # checkpoints are replaced, never written into
        except OSError:
            shutil.copyfile(source, target)
        shutil.copyfile(digest_path(source), digest_path(target))


def drop_states(attempts: Path, keep: set[Path]) -> None:
    """Frees the states of all attempts but those of `keep`: each is several times the model's size."""
    for folder in attempts.iterdir():
        if folder not in keep:
            for name in (STATE, PREVIOUS_STATE):
                (folder / name).unlink(missing_ok=True)
                digest_path(folder / name).unlink(missing_ok=True)


def _note_digest(file: Path, digest: str) -> None:
    write_atomic(digest_path(file), f"{digest}  {file.name}\n")
