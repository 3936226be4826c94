"""Read data sets for classification, where a folder stands for a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import InvalidDataError
from ..images import FORMATS
from ..source import Source
from .yolo_folder import SPLITS, folders_in, named_folder, samples_below

_SHOWN = 3


def open_class_folders(path: Path) -> Source:
    """A classification data set: `train/<class>/…` and `val/<class>/…`, or `<class>/…` alone."""
    train, val = (named_folder(path, SPLITS[split]) for split in ("train", "val"))
    root, names = train or path, class_folders(path)
    if not names:
        raise InvalidDataError(f"{root} has no folders; classification takes one folder a class")
    samples = [s for name in names for s in samples_below(root / name, name)]
    own_val = [s for name in names for s in samples_below(val / name, name)] if val else None
    others = [f"{val.name}/{name}" for name in folders_in(val) if name not in names] if val else []
    loose = [f"{part.name}/{name}" for part in (root, val) if part for name in _loose_images(part)]
    warnings = [
        *_left_out(others, f"no class of {root.name}, images in it"),
        *_left_out(loose, "images in no folder of a class"),
    ]
    why = "for classification a folder stands for a class"
    return Source("folders", path, samples, own_val, names, warnings=warnings, why=why)


def class_folders(path: Path) -> list[str]:
    """The folders that stand for classes if a folder is a classification data set."""
    return folders_in(named_folder(path, SPLITS["train"]) or path)


def _loose_images(folder: Path) -> list[str]:
    """Images beside the folders of classes."""
    names = (path.name for path in folder.iterdir() if path.suffix[1:].lower() in FORMATS and path.is_file())
    return sorted(name for name in names if not name.startswith("."))


def _left_out(names: Sequence[str], what: str) -> list[str]:
    """A sentence for what is left out of one kind, if anything."""
    more = " …" if len(names) > _SHOWN else ""
    return [f"{what} left out: {len(names)} ({', '.join(names[:_SHOWN])}{more})"] if names else []
