"""Checkpoint files that are whole or not there: temporary, fsync, sha256 beside, rename, previous kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

from ..volume import TEMPORARY_PREFIX
from . import copies, files
from .files import Sink

STATE = "state.pt"
PREVIOUS_STATE = "state.prev.pt"
STATES = (STATE, PREVIOUS_STATE)
WEIGHTS = "weights"
LAST = "last.pt"
BEST = "best.pt"
INITIAL = "initial.pt"
"""What an attempt's model starts from, where another training may change or delete it."""


def digest_path(file: Path) -> Path:
    """Where the sha256 of a checkpoint stands."""
    return file.with_name(f"{file.name}.sha256")


def read_digest(file: Path) -> str | None:
    """The sha256 that was noted for a checkpoint; None when there is none."""
    return next(iter(_digests(file)), None)


def find_digest(file: Path) -> str | None:
    """The sha256 of a checkpoint as it is: of a program that was killed amid its replacement, two are noted,
    and the file is read. None when there is none.
    """
    noted = _digests(file)
    if len(noted) <= 1:
        return next(iter(noted), None)
    with open_whole(file) or contextlib.nullcontext() as stream:
        return stream and files.digest(stream)


def _digests(file: Path) -> list[str]:
    """The noted ones: two while a new file is about to replace one."""
    lines = (files.read(digest_path(file)) or b"").decode("ascii", "replace").splitlines()
    return [words[0] for line in lines if (words := line.split())]


def open_whole(file: Path) -> BufferedReader | None:
    """A checkpoint, opened, if it is there and is what was written.

    What is read from it stays so whatever happens to its name. Raises OSError when the volume does not
    answer: that it cannot be read says nothing about what it holds.
    """
    wanted = _digests(file)
    stream = files.open_to_read(file) if wanted else None
    if stream is None:
        return None
    try:
        whole = files.digest(stream) in wanted
    except BaseException:
        stream.close()
        raise
    if whole:
        return stream
    stream.close()
    return None


def is_whole(file: Path) -> bool:
    """Whether a checkpoint is there and is what was written."""
    stream = open_whole(file)
    if stream is not None:
        stream.close()
    return stream is not None


def write_state(attempt: Path, write: Callable[[Sink], object], *, keep: bool = True) -> None:
    """Writes `state.pt` through `write`, and keeps the one before unless it is known to be torn (`keep`).

    Killed at any point, one of the two is whole: the digest of the previous state stands before it is
    renamed, that of the new one before it takes its place.
    """
    state, previous = attempt / STATE, attempt / PREVIOUS_STATE
    temporary = files.aside(state)
    with files.writing(temporary) as sink:
        write(sink)
    digest = read_digest(state)
    if keep and digest and files.status(state) is not None:
        _note_digest(previous, digest)
        files.rename(state, previous)
    _note_digest(state, sink.digest)
    files.rename(temporary, state)
    files.sync(attempt)


def drop_unfinished(attempt: Path) -> None:
    """Deletes what a program that was killed amid a save, or still is at it, had written of a state."""
    for name in files.names(attempt):
        if name.startswith(f"{TEMPORARY_PREFIX}{STATE}"):
            files.remove(attempt / name)


def promote(file: Path, place: Path) -> None:
    """Moves a finished checkpoint to its place (same file system), with its sha256 beside.

    Killed at any point, what is there is whole: the one before or this one. Both digests stand meanwhile.
    """
    with files.open_existing(file) as stream:
        digest = files.digest(stream)
        files.flush(stream)
    files.make_folder(place.parent)
    before = [digest for digest in _digests(place) if files.status(place) is not None]
    _note_digest(place, digest, *before)
    files.rename(file, place)
    if before:
        _note_digest(place, digest)
    files.sync(place.parent)


def carry_over(source: Path, target: Path) -> None:
    """Brings an earlier attempt's checkpoint into a new one, if it is whole and nothing is there.

    The earlier attempt may not know yet that it was overtaken and just be replacing it (`promote`). So what
    was linked is looked at, which stays as it is: whole if its digest stood before, or stands afterwards.
    """
    before = _digests(source)
    if not before or files.status(source) is None or files.status(target) is not None:
        return
    files.make_folder(target.parent)
    aside = files.aside(target)
    copies.link_or_copy(source, aside)
    with files.open_existing(aside) as stream:
        digest = files.digest(stream)
    if digest in {*before, *_digests(source)}:
        _note_digest(target, digest)
        copies.link_or_copy(aside, target)
    files.remove(aside)


def drop(file: Path) -> None:
    """Deletes a checkpoint and its digest."""
    files.remove(file)
    files.remove(digest_path(file))


def _note_digest(file: Path, *digests: str) -> None:
    lines = "".join(f"{digest}  {file.name}\n" for digest in digests)
    files.write(digest_path(file), lines.encode("ascii"))
