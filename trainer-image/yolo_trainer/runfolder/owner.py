"""Which attempt owns a run folder: the newest claim of a training wins, older ones stop.

`.owner.json` holds {uid, run, attempt}. Claims are renames, so a reader never sees half of one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from yolo_crds.layout import RunFolder
from yolo_crds.trainer import TrainerConfig

from ..errors import FencedError, volume_errors
from ..volume import write_atomic


@dataclass(frozen=True, order=True)
class Owner:
    """One attempt; attempts of one `uid` are ordered by (run, attempt)."""

    uid: str
    run: int
    attempt: int

    @classmethod
    def of(cls, config: TrainerConfig) -> Owner:
        """The attempt that a configuration describes."""
        return cls(config.uid, config.run, config.attempt)

    def yields_to(self, other: Owner | None) -> bool:
        """Whether `other` is a newer attempt of the same training."""
        return other is not None and other.uid == self.uid and other > self


def read_owner(folder: RunFolder) -> Owner | None:
    """The attempt that owns the folder; None when nobody does or the file is not ours."""
    with volume_errors(folder.owner, "read"):
        try:
            found = json.loads(folder.owner.read_text(encoding="utf-8"))
            return Owner(str(found["uid"]), int(found["run"]), int(found["attempt"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return None


def check_owner(folder: RunFolder, me: Owner) -> None:
    """Raises FencedError when another training, or a newer attempt of the same, owns the folder.

    An older one's claim that came late is set right, so that the older one stops at its own next check.
    """
    other = read_owner(folder)
    if other is None:
        return
    if other.uid != me.uid or me.yields_to(other):
        raise _fenced(folder, me, other)
    if other.yields_to(me):
        _write_owner(folder, me)


def claim(folder: RunFolder, me: Owner) -> None:
    """Takes the folder for an attempt, from an earlier object of the same model name too.

    Raises FencedError when a newer attempt of the same training has it.
    """
    other = read_owner(folder)
    if other is not None and me.yields_to(other):
        raise _fenced(folder, me, other)
    if other != me:
        _write_owner(folder, me)
    check_owner(folder, me)


def _fenced(folder: RunFolder, me: Owner, other: Owner) -> FencedError:
    whose = "" if other.uid == me.uid else f"of another training ({other.uid}) "
    return FencedError(
        f"run {other.run} attempt {other.attempt} {whose}owns {folder.train}; "
        f"run {me.run} attempt {me.attempt} stops"
    )


def _write_owner(folder: RunFolder, me: Owner) -> None:
    write_atomic(folder.owner, json.dumps(asdict(me)))


def claim_folder(folder: RunFolder, me: Owner, token: str) -> None:
    """Makes the run's folders and takes them for this attempt."""
    with volume_errors(folder.train, "create"):
        folder.train.mkdir(parents=True, exist_ok=True)
        folder.logs.mkdir(parents=True, exist_ok=True)
    claim(folder, me)
    with volume_errors(folder.attempt(token), "create"):
        folder.attempt(token).mkdir(parents=True, exist_ok=True)


def guard_folder(folder: RunFolder, me: Owner) -> None:
    """Raises FencedError when the folder belongs to a newer attempt, or to another training altogether."""
    owner = read_owner(folder)
    if owner is not None and (me.yields_to(owner) or owner.uid != me.uid):
        raise FencedError(
            f"{folder.train} belongs to run {owner.run} attempt {owner.attempt} of {owner.uid}; "
            f"run {me.run} attempt {me.attempt} stops"
        )
