"""The attempts of a run folder in their order, and where the next one starts.

`attempt.json` of each says whose it is and the number of its claim, by which attempts of several objects are
ordered, too.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from yolo_crds.layout import RunFolder
from yolo_crds.meta import Stage, attempt_token
from yolo_crds.trainer import Result, parse_result

from ..errors import LegacyCheckpointError
from . import checkpoint, files
from .checkpoint import LAST, STATES, WEIGHTS

NOTE = "attempt.json"
_TOKEN = re.compile(r"(?P<uid>.{1,8})-r(?P<run>\d+)a(?P<attempt>\d+)\Z")


@dataclass(frozen=True, order=True)
class Note:
    """Who an attempt's folder is of; notes are ordered from the oldest attempt to the newest."""

    claim: int
    run: int
    attempt: int
    uid: str = field(compare=False)
    """Eight characters suffice: the token has no more."""
    path: Path = field(compare=False)
    after: str | None = field(default=None, compare=False)
    """Token of the attempt whose log comes before this one's."""

    def is_of_run(self, uid: str, run: int) -> bool:
        """Whether it is an attempt at this run of this object."""
        return (self.uid[:8], self.run) == (uid[:8], run)

    def to_json(self) -> bytes:
        """As stored."""
        fields = {"claim": self.claim, "uid": self.uid, "run": self.run, "attempt": self.attempt}
        return json.dumps({**fields, "after": self.after}).encode()


def read_notes(folder: RunFolder) -> list[Note]:
    """All attempts, the oldest first."""
    found = (read_note(folder.attempts / name) for name in files.names(folder.attempts))
    return sorted(note for note in found if note is not None)


def read_note(path: Path) -> Note | None:
    """Whose an attempt's folder is; by its name alone when there is no note; None for another folder, such
    as a copy that somebody made of one.
    """
    content = files.read(path / NOTE)
    try:
        said = json.loads(content or b"")
        claim, run, attempt = (int(said[name]) for name in ("claim", "run", "attempt"))
        if attempt_token(str(said["uid"]), run, attempt) != path.name:
            return None
        return Note(claim, run, attempt, str(said["uid"]), path, said["after"])
    except (ValueError, KeyError, TypeError):
        token = _TOKEN.match(path.name)
        return token and Note(0, int(token["run"]), int(token["attempt"]), token["uid"], path)


@dataclass
class Start:
    """Where an attempt starts. `stream` is the file to go on from, open and verified; None: from weights."""

    stream: IO[bytes] | None = None
    exact: bool = False
    """A whole state; else weights alone, from a last.pt."""
    path: Path | None = None
    attempt: Path | None = None
    """Folder of the attempt that wrote it; None for a last.pt that was here before us."""
    results: str = ""
    """The results.csv beside it."""
    of_this_run: bool = False
    """It was written at this run of this object, and no other one is resumed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.stream is not None:
            self.stream.close()


def find_start(folder: RunFolder, uid: str, run: int, *, resume: bool) -> Start:
    """The newest whole state of any attempt first, a bare last.pt only then.

    An attempt goes on where this run was; with `resume` what other runs and objects left counts, too.
    Raises LegacyCheckpointError when nothing is here but a run of the YOLOv5 repository.
    """
    notes = [note for note in reversed(read_notes(folder)) if resume or note.is_of_run(uid, run)]
    for path, note in _candidates(notes):
        stream = checkpoint.open_whole(path)
        if stream is None:
            continue
        with contextlib.ExitStack() as stack:
            stack.callback(stream.close)
            results = files.read(note.path / "results.csv") or b""
            stack.pop_all()
        return Start(
            stream,
            path.name in STATES,
            path,
            note.path,
            results.decode("utf-8", "replace"),
            of_this_run=note.is_of_run(uid, run),
        )
    return _find_adopted(folder) if resume else Start()


def _candidates(notes: list[Note]) -> Iterator[tuple[Path, Note]]:
    for names in (STATES, (f"{WEIGHTS}/{LAST}",)):
        for note in notes:
            for name in names:
                yield note.path / name, note


def _find_adopted(folder: RunFolder) -> Start:
    """A last.pt that was here before us, from Ultralytics itself or an older server."""
    adopted = folder.adopted
    last = adopted / WEIGHTS / LAST
    if files.status(adopted / "opt.yaml") is not None and files.status(last) is not None:
        raise LegacyCheckpointError(
            f"{folder.train} was trained by the YOLOv5 repository and cannot be resumed"
        )
    return Start(files.open_to_read(last), path=last)


def find_finished(folder: RunFolder, uid: str, run: int) -> Result | None:
    """The result of an attempt that trained this very run to its end; nothing is trained twice."""
    for name in files.names(folder.attempts):
        result = read_result(folder.result(name))
        if result is not None and (result.uid, result.run) == (uid, run) and has_finished(result):
            return result
    return None


def has_finished(result: Result) -> bool:
    """Whether it tells of a training that came to its end."""
    return result.stage is Stage.TRAIN and result.exit_code == 0


def read_result(path: Path) -> Result | None:
    """A stored result; None when there is none to be read."""
    content = files.read(path)
    return parse_result(content.decode("utf-8", "replace")) if content else None


def log_chain(note: Note, notes: Iterable[Note]) -> list[Path]:
    """Folders of the attempts whose logs one reads as one training, the first of them first."""
    by_token = {one.path.name: one for one in notes}
    chain: list[Path] = []
    here: Note | None = note
    while here is not None and here.path not in chain:
        chain.insert(0, here.path)
        here = by_token.get(here.after) if here.after else None
    return chain
