"""Read data sets in Darknet's layout, as CVAT exports them under the name YOLO 1.1."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ...errors import InvalidDataError
from ..image_finder import ImageFinder
from ..skipped import Skipped
from ..source import Sample, Source
from ..text_file import read_lines
from .class_files import read_names
from .yolo_folder import yolo_sample

DATA = "obj.data"
_MAX_BYTES = 1 << 16


def open_darknet(path: Path, root: Path, skipped: Skipped) -> Source:
    """The data set of an obj.data: `key = value` lines that name lists of images and a file of class names.

    `root` is the volume's resolved root. Paths in it and in the lists start with `data/`, which an export
    does not have.
    """
    pairs = (line.partition("=") for line in read_lines(path, _MAX_BYTES))
    entries = {key.strip(): value.strip() for key, _, value in pairs}
    if not entries.get("train") or not entries.get("names"):
        raise InvalidDataError(f"{path} is no description of a data set: want `train = …` and `names = …`")
    finder = ImageFinder(root, [path.parent])
    train, names = (_named(path, entries[key], finder) for key in ("train", "names"))
    val = _named(path, entries["valid"], finder) if entries.get("valid") else None
    return Source(
        kind="yolo",
        path=path,
        samples=_listed(train, finder, skipped),
        own_val=_listed(val, finder, skipped) if val else None,
        names=read_names(names),
        files=[path, train, names, *([val] if val else [])],
        why=f"{path.name} has `train =` (Darknet, CVAT's YOLO 1.1)",
    )


def _named(path: Path, name: str, finder: ImageFinder) -> Path:
    found = _find(name, finder)
    if found is None or not found.is_file():
        raise InvalidDataError(f"{path}: {name!r} is not there")
    return found


def _listed(path: Path, finder: ImageFinder, skipped: Skipped) -> list[Sample]:
    samples = []
    for line in read_lines(path):
        if not (name := line.strip()):
            continue
        if image := _find(name, finder):
            samples.append(yolo_sample(image))
        else:
            skipped.add("unsafeName", repr(name)[:80])
    return samples


def _find(name: str, finder: ImageFinder) -> Path | None:
    found = finder.find(name)
    parts = PurePosixPath(name).parts
    if found is not None and not found.is_file() and parts[0] == "data":
        return finder.find("/".join(parts[1:]))
    return found
