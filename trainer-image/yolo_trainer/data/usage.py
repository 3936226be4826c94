"""When was something below `prepared/` last used? What lets prepares and the collector do without locks.

Beside each prepared set, unpacked archive and fetched file lies a stamp, whose time of change is the last
use. Volumes may be network filesystems, on which locks are not to be relied on, so both sides do this:

- A prepare (1) stamps, (2) looks whether the thing is whole in its place, and makes it anew if it is not.
- The collector (1) reads the stamp, (2) renames the thing aside, (3) reads the stamp again, and only if that
  is the same (4) removes it; otherwise it puts it back, unless a new one is there by then.

If the prepare's stamp comes before the collector's second reading, the thing is put back. If it comes after,
then so does the prepare's look, which finds nothing there, since the renaming came before that reading.
Either way what a prepare hands out is whole, and what was renamed aside is never seen half removed.

Two limits. In the moment between (2) and (4) a thing that was just handed out is not in its place; a training
reads it seconds later at the earliest, and by then holds it by its `prepare.json`. A collector killed in that
moment leaves it aside; that training's next attempt makes it anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..errors import VolumeFailedError, volume_errors

STAMP_PREFIX = ".used-"
_TRIES = 3


def make_to_use(path: Path, make: Callable[[], object], *, is_whole: Callable[[], bool]) -> None:
    """Lets `make` see to it that `path` is there, and stamps it; again where the collector was faster.

    Raises VolumeFailedError when it is gone each time.
    """
    for _ in range(_TRIES):
        make()
        mark_used(path)
        if is_whole():
            return
    raise VolumeFailedError(f"{path} was removed {_TRIES} times while it was made")


def mark_used(path: Path) -> None:
    """Stamps a set, archive or file as used now. Look afterwards whether it is still there."""
    stamp = stamp_of(path)
    with volume_errors(stamp, "write"), stamp.open("ab") as file:
        os.utime(file.fileno())


def stamp_of(path: Path) -> Path:
    """The stamp of a set, archive or file."""
    return path.with_name(f"{STAMP_PREFIX}{path.name}")


def read_stamp(path: Path) -> int | None:
    """Time of the last stamp in nanoseconds since 1970; None when there is none."""
    try:
        # Opened, since a network filesystem asks the server on open, while a plain stat may be old.
        with stamp_of(path).open("rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None
