"""Which attempt owns a run folder: the newest claim of a training wins, older ones stop.

`.owner.json` holds {uid, run, attempt}. Claims are renames, so a reader never sees half of one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from yolo_crds.layout import RunFolder
from yolo_crds.trainer import TrainerConfig

from .errors import FencedError, volume_errors
from .volume import write_atomic


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
    """Raises FencedError when a newer attempt of the same training owns the folder.

    An older one's claim that came late is set right, so that the older one stops at its own next check.
    """
    other = read_owner(folder)
    if other is None:
        return
    if me.yields_to(other):
        raise FencedError(
            f"run {other.run} attempt {other.attempt} owns {folder.train}; "
            f"run {me.run} attempt {me.attempt} stops"
        )
    if other.yields_to(me):
        _write_owner(folder, me)


def claim(folder: RunFolder, me: Owner) -> None:
    """Takes the folder for an attempt; raises FencedError when a newer one of the same training has it."""
    check_owner(folder, me)
    if read_owner(folder) != me:
        _write_owner(folder, me)
    check_owner(folder, me)


def _write_owner(folder: RunFolder, me: Owner) -> None:
    write_atomic(folder.owner, json.dumps(asdict(me)))
