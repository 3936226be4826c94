"""Why a volume does not let a program in: whose the file or folder is, as whom it runs, and the cure."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CHOWN_VALUE = "storage.chown.enabled"
"""Value of the chart that has the files of both volumes given to the user of its pods."""


@dataclass(frozen=True)
class Denial:
    """What stands in the way."""

    path: Path
    uid: int
    gid: int
    mode: int
    """Permission bits of `path`."""
    own_uid: int
    own_gids: tuple[int, ...]
    """Groups of the program, its first one first."""
    allowed: bool = False
    """Whether owner and mode let the program in: then the volume's server refused by a rule of its own."""

    @property
    def message(self) -> str:
        """Whose it is, and who asked."""
        further = ", ".join(map(str, self.own_gids[1:]))
        groups = f" (further groups: {further})" if further else ""
        return (
            f"permission denied: {self.path} belongs to {self.uid}:{self.gid} (uid:gid, mode "
            f"{self.mode:04o}), and this pod runs as {self.own_uid}:{self.own_gids[0]}{groups}"
        )

    @property
    def cure(self) -> str:
        """What an installer can do."""
        if self.allowed:
            return (
                "owner and mode would allow it, so the volume's server refuses: look at its export (squashed "
                "users, Kerberos, read-only)"
            )
        if self.uid == self.own_uid:
            return f"its mode keeps its own user out: chmod -R u+rwX {self.path}"
        once = (
            f"have the volumes' files given to {self.own_uid}:{self.own_gids[0]} once, by {CHOWN_VALUE}=true "
            "of the Helm chart, or on the server of an NFS export that squashes root"
        )
        if self.uid == 0:
            return once
        group = self.gid or self.own_gids[0]
        return f"{once}; or install with podSecurity.runAsUser={self.uid} and runAsGroup={group}"


def explain_denial(path: Path | str) -> Denial | None:
    """What keeps this process from `path`, which answered EACCES or EPERM; None when even that is denied."""
    place = _find_blocker(Path(path))
    try:
        found = place.stat()
    except OSError:
        return None
    gid = os.getegid()
    further = sorted(set(os.getgroups()) - {gid})
    allowed = _may(place, os.R_OK | os.W_OK | (os.X_OK if stat.S_ISDIR(found.st_mode) else 0))
    mode = stat.S_IMODE(found.st_mode)
    return Denial(place, found.st_uid, found.st_gid, mode, os.geteuid(), (gid, *further), allowed)


def _find_blocker(path: Path) -> Path:
    """The first folder on the way to `path` that cannot be entered; else where it would have to be made; else
    what of the file and its folder cannot be read or written."""
    before = Path(path.anchor or ".")
    for place in (*reversed(path.parents), path):
        try:
            place.stat()
        except OSError:
            return before
        before = place
    needed = os.R_OK | (os.X_OK if path.is_dir() else 0)
    return next(_denying([(path, needed), (path.parent, os.W_OK | os.X_OK), (path, os.W_OK)]), path)


def _denying(wanted: Iterable[tuple[Path, int]]) -> Iterator[Path]:
    return (place for place, mode in wanted if not _may(place, mode))


def _may(place: Path, mode: int) -> bool:
    return os.access(place, mode, effective_ids=True)
