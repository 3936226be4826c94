"""What lies below `prepared/`: sets, unpacked archives, fetched files, leftovers, remembered outcomes.

Nothing is followed out of it: links are not gone through, and whatever has another name than we give is left
alone.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from yolo_crds.layout import DataVolume

from ..data.manifest import Details, TornManifestError, is_damaged, read_manifest
from ..data.prepared_set import REPORT, STALE_SECONDS
from ..data.usage import STAMP_PREFIX, read_stamp
from ..errors import InvalidDataError, volume_errors
from ..volume import TEMPORARY_PREFIX
from .holders import Use

_SET = re.compile(r"[0-9a-f]{32}")
_UNPACKED = re.compile(r"[0-9a-f]{64}")
_NOTE = ".sha256-"
_BLOCK = 512  # bytes of `st_blocks`, by POSIX


@dataclass(frozen=True)
class Stored:
    """A set, an unpacked archive or a fetched file."""

    path: Path
    stamp: int | None
    """As `usage.read_stamp` gives it."""
    last_used: float
    """Unix seconds: of the stamp, or of what changed in it last."""

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(frozen=True)
class StoredSet(Stored):
    """A prepared set."""

    details: Details | None
    uses: Sequence[Use]
    needs: frozenset[Path] | None
    """What else below `prepared/` its links lead into; None when its manifest cannot be read."""

    @property
    def is_held(self) -> bool:
        """Whether an attempt may train on it yet."""
        return any(use.holds for use in self.uses)

    def damaged(self, volume: DataVolume) -> int | None:
        """Images whose source or copy is not as it was prepared; None without a manifest."""
        manifest = read_manifest(self.path)
        if manifest is None:
            return None
        try:
            return sum(is_damaged(entry, self.path, volume.root) for entry in manifest.entries())
        except TornManifestError:
            return None


def check_prepared(volume: DataVolume) -> bool:
    """Whether there is anything prepared on the volume.

    Raises InvalidDataError when there is no volume, or when `prepared` is a link.
    """
    if not volume.root.is_dir():
        raise InvalidDataError(f"--data-dir: there is no data volume at {volume.root}")
    if volume.prepared.is_symlink():
        raise InvalidDataError(f"{volume.prepared} is a link, which is not followed")
    return volume.prepared.is_dir()


def list_sets(volume: DataVolume, uses: Mapping[str, Sequence[Use]]) -> list[StoredSet]:
    """All prepared sets, in order of their hash."""
    found = []
    for path in _folders(volume.prepared, _SET):
        stored = _stored(path)
        of_set = uses.get(path.name, ())
        last = max([stored.last_used, *(use.last for use in of_set)])
        needs = _needs(path, volume)
        found.append(StoredSet(path, stored.stamp, last, _read_report(path), of_set, needs))
    return found


def list_unpacked(volume: DataVolume) -> list[Stored]:
    """Unpacked archives, in order of their sha256."""
    return [_stored(path) for path in _folders(volume.unpacked, _UNPACKED)]


def list_fetched(volume: DataVolume) -> list[Stored]:
    """What came over the network: the entries of each folder of `.fetched`, files and folders.

    A folder is used when anything in it is written, such as a note that its server confirmed a file.
    """
    found = []
    for path in (path for kind in _entries(volume.fetched) for path in _entries(kind)):
        if not path.name.startswith("."):
            stored = _stored(path)
            last = max([stored.last_used, *(last_changed(inner) for inner in _entries(path))])
            found.append(replace(stored, last_used=last))
    return found


def list_leftovers(volume: DataVolume, now: float) -> list[Path]:
    """What killed prepares and collectors left a day ago or earlier; younger ones may be at work."""
    stores = [volume.prepared, volume.unpacked, volume.index, volume.fetched, *_entries(volume.fetched)]
    found = (path for store in stores for path in _entries(store) if path.name.startswith(TEMPORARY_PREFIX))
    return [path for path in found if now - last_changed(path) > STALE_SECONDS]


def list_remembered(volume: DataVolume) -> dict[Path, bool]:
    """Remembered outcomes of preparations and hashes of archives: is what they are about there yet?"""
    found = {}
    for path in _entries(volume.index):
        if path.suffix == ".json":
            found[path] = (volume.prepared / _hash_in(path)).is_dir()
    for path in _entries(volume.unpacked):
        if path.name.startswith(_NOTE):
            found[path] = (volume.unpacked / _line_in(path)).is_dir()
    return found


def list_stale_stamps(volume: DataVolume, now: float) -> list[Path]:
    """Stamps of what is gone. Young ones are left: what they are about may be aside for a moment."""
    stores = (volume.prepared, volume.unpacked, volume.fetched, *_entries(volume.fetched))
    stamps = (path for store in stores for path in _entries(store) if path.name.startswith(STAMP_PREFIX))
    return [
        path
        for path in stamps
        if not path.with_name(path.name.removeprefix(STAMP_PREFIX)).exists()
        and now - last_changed(path) > STALE_SECONDS
    ]


def own_bytes(path: Path) -> int:
    """What the disk would have more without it: links cost nothing."""
    if path.is_symlink() or not path.is_dir():
        return _blocks(str(path))
    return sum(_blocks(f"{parent}/{name}") for parent, _, names in os.walk(path) for name in names)


def _blocks(path: str) -> int:
    """Bytes of a file's blocks; none of one that is gone by now."""
    try:
        return os.lstat(path).st_blocks * _BLOCK
    except FileNotFoundError:
        return 0


def _stored(path: Path) -> Stored:
    stamp = read_stamp(path)
    return Stored(path, stamp, max(last_changed(path), (stamp or 0) / 1e9))


def last_changed(path: Path) -> float:
    """When a file or folder changed, Unix seconds; of one that is gone by now: this moment."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return time.time()


def _folders(store: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    for path in _entries(store):
        if pattern.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            yield path


def _entries(store: Path) -> list[Path]:
    """In order of the name; none of what is no folder, or a link to one."""
    if store.is_symlink() or not store.is_dir():
        return []
    with volume_errors(store, "read"):
        return sorted(store.iterdir())


def _needs(folder: Path, volume: DataVolume) -> frozenset[Path] | None:
    manifest = read_manifest(folder)
    if manifest is None:
        return None
    found = set()
    try:
        for entry in manifest.entries():
            if not entry.copied and entry.source.startswith(f"{volume.prepared.name}/"):
                parts = entry.source.split("/")
                found.add(volume.root.joinpath(*parts[: 3 if parts[1] == volume.unpacked.name else 2]))
    except TornManifestError:
        return None
    return frozenset(found)


def _read_report(path: Path) -> Details | None:
    try:
        return Details.model_validate_json((path / REPORT).read_bytes())
    except (OSError, ValueError):
        return None


def _hash_in(path: Path) -> str:
    """The set that an entry of the index names; of a torn one a name that no set has."""
    try:
        content = json.loads(path.read_bytes())
        return str(content["hash"] if "hash" in content else content["dataset"]["hash"])
    except (OSError, ValueError, KeyError, TypeError):
        return "-"


def _line_in(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip() or "-"
    except (OSError, ValueError):
        return "-"
