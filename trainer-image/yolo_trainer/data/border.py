"""The border of a data set, one for all formats: the data volume, or the image volume that it lies in.

What a file of the set names (an image of a list, `file_name`, `imagePath`, a folder of a data.yaml) counts by
what it resolves to, links followed. Beneath the root of the tree it is taken; outside it is refused by name.
What is taken from beyond the set's own folder is told. Why: docs/adr/0025.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from yolo_crds.layout import DataVolume

from .locate import Located
from .skipped import Skipped
from .source import Source

_PARTS = frozenset(
    {
        *("annotations", "annotation", "labels", "label", "images", "jpegimages", "masks"),
        *("cfg", "config", "configs", "imagesets", "main"),
        *("train", "training", "val", "valid", "validation", "test"),
    }
)
"""Folders, in lower case, that data sets keep their parts in: the set's own folder is above them."""


def own_folder(path: Path, root: Path) -> Path:
    """The folder of the data set that a file or folder belongs to, beneath a volume's resolved `root`;
    never one in which several sets lie, unless the file itself lies there."""
    folder = path if path.is_dir() else path.parent
    shared = (root, DataVolume(root).datasets, DataVolume(root).ucd)
    while folder.name.lower() in _PARTS and folder not in shared and folder.parent not in shared:
        folder = folder.parent
    return folder


def count_elsewhere(sources: Mapping[str, Source], located: Sequence[Located], skipped: Skipped) -> None:
    """Counts the images that lie in the tree and not in their data set's own folder (UCD: or `img_cache`)."""
    own = {split: _own_prefixes(source) for split, source in sources.items()}
    for one in located:
        if one.facts and not one.problem and not one.facts.path.startswith(own.get(one.split, own["train"])):
            tree = sources.get(one.split, sources["train"]).tree
            skipped.add("elsewhere", tree.relative(one.facts.path))


def _own_prefixes(source: Source) -> tuple[str, ...]:
    folders = [own_folder(source.path.resolve(), source.tree.root)]
    if source.kind == "ucd":
        folders.append(DataVolume(source.tree.root).images)
    return tuple(f"{str(folder).rstrip('/')}/" for folder in folders)
