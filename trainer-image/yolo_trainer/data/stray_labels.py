"""Label files of YOLO whose image is not there: their labels are lost, which is told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .images import FORMATS
from .locate import Located
from .readers.dota import may_be_labels
from .row_numbers import to_numbers
from .skipped import Skipped
from .source import Source

_OPENED = 1000  # of the files of a folder without an image; the others are taken for label files
_HEAD_BYTES = 4096
_COLUMNS = 5


def count_stray(sources: Mapping[str, Source], located: Sequence[Located], skipped: Skipped) -> None:
    """Counts the label files in the folders of a YOLO data set that no image there is called as.

    An image that is there and in no list of the data set was not asked for, and nor were its labels. Files
    are compared by name only in folders that have more text files than images have labels.
    """
    by_labels: dict[str, _Folder] = {}
    for one in located:
        file = one.sample.label_file
        if file is not None and one.sample.read_labels is None:
            name = str(file).rpartition("/")[0]  # a Path's hash for each file takes its time
            if (folder := by_labels.get(name)) is None:
                folder = by_labels[name] = _Folder(one.split)
            folder.images.add(str(one.sample.folder))
            folder.used += one.label_stat is not None
    for name, folder in by_labels.items():
        labels, tree = Path(name), sources.get(folder.split, sources["train"]).tree
        if not tree.holds(f"{os.path.realpath(labels)}/"):
            continue
        texts = [name for name in _names(labels) if name.endswith(".txt")]
        if len(texts) > folder.used:
            for text in _strays(labels, texts, folder.images):
                skipped.add("strayLabel", tree.relative(str(labels.resolve() / text)))


@dataclass
class _Folder:
    """A folder of label files."""

    split: str
    images: set[str] = field(default_factory=set)
    """The folders of the images that they are for."""
    used: int = 0


def _strays(labels: Path, texts: Iterable[str], folders: Iterable[str]) -> list[str]:
    """The text files with rows of YOLO that are called as none of the images in the folders."""
    stems = {
        stem
        for folder in folders
        for stem, dot, ending in (name.rpartition(".") for name in _names(folder))
        if ending.lower() in FORMATS
    }
    left = sorted(name for name in texts if name.removesuffix(".txt") not in stems)
    return [
        name
        for i, name in enumerate(left)
        if may_be_labels(labels / name) and (i >= _OPENED or _has_rows(labels / name))
    ]


def _names(folder: Path | str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names alone: there may be very many
    except OSError:
        return []


def _has_rows(file: Path) -> bool:
    """Whether a text file begins with a row of numbers; one that nobody may read is none."""
    if file.is_symlink() or not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            lines = stream.read(_HEAD_BYTES).decode("utf-8-sig", "replace").splitlines()
    except OSError:
        return False
    words = next((line.split() for line in lines if line.strip()), [])
    return len(words) >= _COLUMNS and to_numbers(words) is not None
