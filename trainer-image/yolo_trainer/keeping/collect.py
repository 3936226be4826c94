"""Remove what nobody used for long: sets, unpacked archives, fetched files, leftovers; see `data.usage`."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from yolo_crds.layout import DataVolume

from ..data.usage import read_stamp
from ..volume import TEMPORARY_PREFIX
from .holders import Use
from .survey import (
    Stored,
    StoredSet,
    check_prepared,
    list_fetched,
    list_leftovers,
    list_remembered,
    list_sets,
    list_stale_stamps,
    list_unpacked,
    own_bytes,
)


@dataclass(frozen=True)
class Collected:
    """One thing that was removed, or would be, or could not be."""

    what: str
    """`set`, `archive`, `fetched`, `leftover` or `remembered`."""
    path: Path
    own_bytes: int
    last_used: float | None = None
    """Unix seconds; None for what is not used by itself."""
    error: str | None = None
    """Why it is there yet."""


class Removal:
    """The steps by which one thing is removed unless a prepare uses it meanwhile, as `data.usage` argues."""

    def __init__(self, stored: Stored) -> None:
        self._path = stored.path
        self._stamp = stored.stamp
        self._aside = stored.path.with_name(f"{TEMPORARY_PREFIX}gc-{stored.name}-{secrets.token_hex(4)}")

    def set_aside(self) -> bool:
        """Renames it; False when it is gone already."""
        try:
            # Prepares remove leftovers by their age; this one is not to be taken for an old one.
            os.utime(self._path)
            self._path.rename(self._aside)
        except FileNotFoundError:
            return False
        return True

    def was_used(self) -> bool:
        """Whether a prepare stamped it since it was looked at first."""
        return read_stamp(self._path) != self._stamp

    def put_back(self) -> None:
        """Where it was; when a new one is there by now, this one is one too many."""
        if self._path.exists():
            self.discard()
            return
        try:
            self._aside.rename(self._path)
        except FileExistsError:
            self.discard()
        except OSError:  # a folder that is not empty has several numbers
            if not self._path.exists():
                raise
            self.discard()

    def discard(self) -> None:
        """Removes it for good."""
        remove(self._aside)

    def run(self) -> bool:
        """All steps; whether it was removed."""
        if not self.set_aside():
            return False
        if self.was_used():
            self.put_back()
            return False
        self.discard()
        return True


def remove(path: Path) -> None:
    """Removes a file, a link or a folder with all that is in it; links are not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def collect(
    volume: DataVolume, uses: Mapping[str, Sequence[Use]], older_than: float, *, dry_run: bool
) -> Iterator[Collected]:
    """Removes what was last used more than `older_than` seconds ago and is needed by nothing that stays.

    Yields each thing as it is done with. Raises InvalidDataError when there is no data volume.
    """
    if not check_prepared(volume):
        return
    now = time.time()
    sets = list_sets(volume, uses)
    keep = needed_sets(sets, now - older_than)
    for stored in sets:
        if stored not in keep:
            yield from _take("set", stored, dry_run)
    left = keep if dry_run else [stored for stored in sets if stored.path.exists()]
    if all(stored.needs is not None for stored in left):  # else it is not known what they need
        needed = _needed_by(left)
        for archive in list_unpacked(volume):
            if archive.path not in needed and now - archive.last_used > older_than:
                yield from _take("archive", archive, dry_run)
    for fetched in list_fetched(volume):
        if now - fetched.last_used > older_than:
            yield from _take("fetched", fetched, dry_run)
    for path in list_leftovers(volume, now):
        yield from _finish("leftover", path, partial(remove, path), None, dry_run)
    orphans = [path for path, is_there in list_remembered(volume).items() if not is_there]
    for path in [*orphans, *list_stale_stamps(volume, now)]:
        yield from _finish("remembered", path, partial(remove, path), None, dry_run)


def needed_sets(sets: Sequence[StoredSet], since: float) -> list[StoredSet]:
    """Sets that an attempt holds, that were used since, or that links of such sets lead into."""
    keep = [stored for stored in sets if stored.is_held or stored.last_used >= since]
    while True:
        needed = _needed_by(keep)
        more = [stored for stored in sets if stored.path in needed and stored not in keep]
        if not more:
            return keep
        keep += more


def _needed_by(sets: Sequence[StoredSet]) -> set[Path]:
    return {path for stored in sets for path in stored.needs or ()}


def _take(what: str, stored: Stored, dry_run: bool) -> Iterator[Collected]:
    return _finish(what, stored.path, Removal(stored).run, stored.last_used, dry_run)


def _finish(
    what: str, path: Path, work: Callable[[], object], last_used: float | None, dry_run: bool
) -> Iterator[Collected]:
    """What came of removing one thing; nothing when it was used meanwhile or is gone."""
    size = own_bytes(path)
    try:
        if dry_run or work() is not False:
            yield Collected(what, path, size, last_used)
    except OSError as error:
        yield Collected(what, path, size, last_used, error.strerror or str(error))
