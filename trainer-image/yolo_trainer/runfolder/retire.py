"""Free what older attempts hold once a newer one has a whole state: space grows with runs, not attempts.

States and weights go, unfinished files too; results, logs and notes stay. Of other runs the best.pt of the
newest attempt stays, of the newest `KEPT_RUNS`. Only what is older than the one that asks is ever touched,
and nothing that we did not write: a person's export of a best.pt stays, and a file server's folders.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..volume import TEMPORARY_PREFIX
from . import files
from .attempts import Note
from .checkpoint import BEST, INITIAL, STATES, WEIGHTS, digest_path, drop

KEPT_RUNS = 10
"""As many as `status.runs` remembers."""
_CHECKPOINTS = (".pt", ".pt.sha256")
_UNFINISHED = (TEMPORARY_PREFIX, files.NFS_OPEN)


def retire_older(me: Note, notes: Iterable[Note]) -> None:
    """Frees what the attempts of `notes` that are older than `me` hold."""
    older = sorted((note for note in notes if note < me), reverse=True)
    kept: dict[tuple[str, int], Path] = {}
    for note in older:
        run = note.uid[:8], note.run
        if note.is_of_run(me.uid, me.run) or files.status(note.path / WEIGHTS / BEST) is None:
            continue
        if len(kept) < KEPT_RUNS:
            kept.setdefault(run, note.path)
    for note in older:
        _free(note.path, keep_best=note.path in kept.values())


def _free(attempt: Path, *, keep_best: bool) -> None:
    for name in (*STATES, INITIAL):
        drop(attempt / name)
    weights = attempt / WEIGHTS
    stay = {BEST, digest_path(weights / BEST).name} if keep_best else set()
    for name in files.names(weights):
        if name == STAGING:
            files.remove_folder(weights / name)
        elif name not in stay and (name.endswith(_CHECKPOINTS) or name.startswith(_UNFINISHED)):
            files.remove(weights / name)
    for name in files.names(attempt):
        if name.startswith(_UNFINISHED):
            files.remove(attempt / name)


STAGING = ".staging"
"""Where Ultralytics writes checkpoints, below `weights/`; whole ones are promoted from there."""
