"""Are the labels of a prepared set and its data.yaml those that it was prepared with?

The folder's name tells: it is the hash of them and of the images' content, which the manifest has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from yolo_crds.training import Task

from ..data.images import CorruptImageError
from ..data.manifest import Entry, Manifest
from ..data.masks import mask_digest
from ..data.prepared_set import REPORT
from ..data.readers.data_yaml import MASKS
from ..data.readers.yaml_file import read_yaml
from ..data.set_plan import DATA_YAML, content_row, hash_content, label_of, mask_of
from ..errors import InvalidDataError


def label_file(folder: Path, entry: Entry) -> str | None:
    """Path in the set of an image's label file or mask; None for classification, which has neither."""
    return mask_of(entry.file) if (folder / MASKS).is_dir() else label_of(entry.file)


def label_row(folder: Path, entry: Entry) -> bytes | None:
    """What an image and its labels, as they are now, add to the set's hash; None where they are not there, or
    cannot be read."""
    name = label_file(folder, entry)
    if name is None or not (path := folder / name).is_file():
        return None
    try:
        if path.suffix == ".png":
            return content_row(entry.file, entry.sha256, [], mask_digest(path))
        return content_row(entry.file, entry.sha256, path.read_bytes().decode().splitlines())
    except (UnicodeDecodeError, CorruptImageError, InvalidDataError):
        return None


def set_label_faults(manifest: Manifest, rows: Sequence[bytes | None]) -> list[str]:
    """One sentence a file that is not as it was prepared, so far as its time of change tells which.

    `rows` are those of the manifest's images, by `label_row`; files that are missing are told elsewhere.
    """
    folder = manifest.folder
    labels = [name for entry in manifest.entries() if (name := label_file(folder, entry))]
    files = [DATA_YAML, *labels]
    is_complete = all((folder / name).is_file() for name in files)
    if not labels or not is_complete or _has_hash(manifest, rows):
        return []
    written = [f"{name}: was written since the set was prepared" for name in _newer(folder, files)]
    return written or [f"labels or {DATA_YAML}: not as prepared; the set's content gives another hash"]


def _has_hash(manifest: Manifest, rows: Sequence[bytes | None]) -> bool:
    by_file = {entry.file: row for entry, row in zip(manifest.entries(), rows, strict=True)}
    ordered = [row for _, row in sorted(by_file.items()) if row is not None]
    if len(ordered) < len(rows):
        return False
    try:
        data_yaml = read_yaml(manifest.folder / DATA_YAML)
        # No file of the set says what task it is for, but the hash does.
        return any(hash_content(task, data_yaml, ordered) == manifest.folder.name for task in get_args(Task))
    except (InvalidDataError, TypeError):  # TypeError: what JSON cannot hold, such as a date
        return False


def _newer(folder: Path, files: Sequence[str]) -> Iterator[str]:
    """The files that were written after the report, which is the last but the manifest; that is written
    again when links are mended."""
    prepared = (folder / REPORT).stat().st_mtime_ns if (folder / REPORT).is_file() else 0
    return (name for name in files if prepared and (folder / name).stat().st_mtime_ns > prepared)
