"""Folders around a data set, and descriptions of it that would be overlooked."""

from __future__ import annotations

from pathlib import Path

from yolo_crds.training import Task

from ..errors import InvalidDataError
from .readers.yaml_file import read_yaml
from .readers.yolo_folder import YAML_NAMES, YAML_SUFFIXES, split_folders

_SETTINGS = ("cfg", "config", "configs")
_MEANINGFUL = frozenset({"images", "train", "annotations"})


def without_wrapping(folder: Path, task: Task) -> Path:
    """The folder within that a data set was copied or packed with, when it is alone there and its name means
    nothing; a link is none, nor for classification a folder without folders: that is a class."""
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if len(inside) == 1 and _is_wrapped(inside[0]) and (task != "classify" or _has_folders(inside[0])):
        return without_wrapping(inside[0], task)
    return folder


def _is_wrapped(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and path.name.lower() not in _MEANINGFUL


def _has_folders(path: Path) -> bool:
    return any(inner.is_dir() for inner in path.iterdir())


def refuse_inner(folder: Path, field: str) -> None:
    """Raises InvalidDataError for a folder without a layout of its own beneath which a data.yaml lies: its
    classes and its split would be lost."""
    if split_folders(folder)[0] or (folder / "images").is_dir():
        return
    inner = sorted(path for name in YAML_NAMES for path in folder.glob(f"*/{name}") if path.is_file())
    if inner:
        found = ", ".join(str(path.relative_to(folder)) for path in inner[:3])
        raise InvalidDataError(
            f"{field}: {folder} is no data set itself, but there is {found} in it",
            f"name the data set: end {field} in {inner[0].relative_to(folder)}",
        )


def unread_descriptions(folder: Path) -> list[str]:
    """A warning for each YAML in a folder, or in its `cfg`, that describes a data set and is not read."""
    places = [folder, *(folder / name for name in _SETTINGS if (folder / name).is_dir())]
    files = (path for place in places for path in place.iterdir() if path.suffix.lower() in YAML_SUFFIXES)
    return [
        f"{path.relative_to(folder)} describes a data set and is not read: name the file itself"
        + (", or call it data.yaml" if path.parent == folder else "")
        for path in sorted(files)
        if path.is_file() and _has_train(path)
    ]


def _has_train(path: Path) -> bool:
    try:
        return bool(read_yaml(path).get("train"))
    except InvalidDataError:
        return False
