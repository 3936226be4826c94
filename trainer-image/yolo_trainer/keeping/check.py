"""Are prepared sets whole? Manifest, labels, links and copies; by content too where that is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from yolo_crds.layout import DataVolume

from ..cgroup import cpus
from ..data.images import JPEG_END
from ..data.manifest import FILE_NAME, Entry, Manifest, TornManifestError, is_changed, read_manifest
from ..data.parallel import Report, map_parallel
from ..data.readers.data_yaml import MASKS
from ..data.set_plan import DATA_YAML
from ..errors import InvalidArgumentsError
from .labels import label_file, label_row, set_label_faults

_HEX_SHOWN = 12


@dataclass(frozen=True)
class Verdict:
    """What was found of one set."""

    hash: str
    images: int
    faults: Sequence[str]
    """One sentence a fault, the file's path first."""


def choose(sets: Sequence[Path], named: Sequence[str]) -> list[Path]:
    """The sets that were named by their hash or its first digits; all when none was.

    Raises InvalidArgumentsError for a name that means none, or several.
    """
    chosen = []
    for name in named:
        found = [path for path in sets if path.name.startswith(name)]
        if len(found) != 1:
            what = f"{len(found)} sets begin so" if found else "there is no such set"
            raise InvalidArgumentsError(f"HASH {name!r}: {what}")
        chosen += found
    return chosen or list(sets)


def check_set(folder: Path, volume: DataVolume, *, content: bool, report: Report) -> Verdict:
    """Looks at every file of a set and reads its labels; `content` reads all images too, on all CPUs."""
    manifest = read_manifest(folder)
    if manifest is None:
        return Verdict(folder.name, 0, [f"{folder.name}/{FILE_NAME}: missing or torn"])
    try:
        return Verdict(folder.name, manifest.count, _faults(manifest, volume, report, content=content))
    except TornManifestError as error:
        return Verdict(folder.name, manifest.count, [error.message])


def _faults(manifest: Manifest, volume: DataVolume, report: Report, *, content: bool) -> list[str]:
    folder = manifest.folder
    faults = list(_set_faults(folder, manifest))

    def look(entry: Entry) -> tuple[list[str], bytes | None]:
        found = list(_entry_faults(folder, entry, volume))
        if content and not found:
            found = list(_content_faults(folder, entry))
        return found, label_row(folder, entry)

    workers, stage = cpus() if content else cpus() * 4, folder.name[:_HEX_SHOWN]
    rows = []
    for found, row in map_parallel(look, manifest.entries(), manifest.count, workers, stage, report):
        faults += found
        rows.append(row)
    return faults + set_label_faults(manifest, rows)


def _set_faults(folder: Path, manifest: Manifest) -> Iterator[str]:
    if manifest.hash != folder.name:
        yield f"{folder.name}/{FILE_NAME}: is of the set {manifest.hash}"
    if not manifest.count:
        yield f"{folder.name}/{FILE_NAME}: lists no image"
    if any((folder / name).is_dir() for name in ("labels", MASKS)) and not (folder / DATA_YAML).is_file():
        yield f"{folder.name}/{DATA_YAML}: missing"


def _entry_faults(folder: Path, entry: Entry, volume: DataVolume) -> Iterator[str]:
    place = folder / entry.file
    label = label_file(folder, entry)
    if label and not (folder / label).is_file():
        yield f"{label}: missing"
    try:
        found = place.stat()
    except OSError:
        fault = f"its link leads nowhere ({place.readlink()})" if place.is_symlink() else "missing"
        yield f"{entry.file}: {fault}"
        return
    if entry.copied and place.is_symlink():
        yield f"{entry.file}: a link in place of a copy"
    elif found.st_size != entry.file_size:
        yield f"{entry.file}: {found.st_size} bytes, were {entry.file_size}"
    elif not entry.copied and is_changed(entry, volume.root):
        yield f"{entry.file}: {entry.source} was written since"


def _content_faults(folder: Path, entry: Entry) -> Iterator[str]:
    data = (folder / entry.file).read_bytes()
    if entry.completed:
        data = data.removesuffix(JPEG_END)
    if (digest := hashlib.sha256(data).hexdigest()) != entry.sha256:
        yield f"{entry.file}: sha256 {digest[:_HEX_SHOWN]}…, was {entry.sha256[:_HEX_SHOWN]}…"
