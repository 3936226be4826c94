"""Read DOTA's labels: for each aerial image a text file of turned boxes in pixels, below `labelTxt`.

Rows are `x1 y1 x2 y2 x3 y3 x4 y4 class difficulty`; in version 1 two lines go before them, `imagesource:` and
`gsd:`. Described at https://captain-whu.github.io/DOTA/dataset.html.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ...errors import InvalidDataError
from ..row_numbers import is_dota_row, to_numbers
from ..skipped import Skipped
from ..source import Labels, Sample, Shape, Source
from ..text_file import read_lines
from .annotated_folder import files_below
from .class_files import LISTS
from .yolo_folder import images_below, split_folders

MAX_BYTES = 16 << 20
_HEAD = re.compile(r"[A-Za-z][A-Za-z _]*:")
_DEPTH = 4  # folders below the named one in which label files are looked for
_PEEKED = 5  # label files of a folder that are opened to tell the kind
_FOLDERS = 50
_NO_LABELS = frozenset({*LISTS, "train.txt", "val.txt", "valid.txt", "test.txt", "trainval.txt"})


def find_dota(path: Path) -> Path | None:
    """A label file of DOTA in a folder; None where there is none, or rows of YOLO too, which go first."""
    found = None
    for file in islice(_first_of_each_folder(path), _PEEKED * _FOLDERS):
        words = _first_row(file)
        if words and to_numbers(words) is not None:
            return None
        found = found or (file if words else None)
    return found


class Rows(NamedTuple):
    """Label rows of YOLO that were found."""

    file: Path
    columns: int


def find_rows(path: Path) -> Rows | None:
    """The first label file of YOLO in a folder, by the same look at a few files of each of its folders."""
    for file in islice(_first_of_each_folder(path), _PEEKED * _FOLDERS):
        words = _first_row(file)
        if words and to_numbers(words) is not None:
            return Rows(file, len(words))
    return None


def open_dota(path: Path, sign: Path, skipped: Skipped) -> Source:
    """The data set in a folder, where `sign` was found in it; training and validation images are told by
    folders.

    Raises InvalidDataError when an image has several label files, as of two versions of DOTA.
    """
    by_stem: dict[str, list[Path]] = {}
    for file in _label_files(path):
        by_stem.setdefault(file.stem, []).append(file)
    train, val = split_folders(path)
    used: set[Path] = set()
    samples, own_val = (
        [_sample(image, by_stem.get(image.stem, ()), used, skipped) for image in images_below(folder)]
        if folder
        else None
        for folder in (train or path, val)
    )
    for file in (file for files in by_stem.values() for file in files if file not in used):
        if not used.intersection(by_stem[file.stem]):
            skipped.add("strayLabel", file.name)
    why = f"{sign.name} has DOTA's rows: eight numbers, class name, difficulty"
    return Source("dota", path, samples or [], own_val, in_pixels=True, why=why)


def read_dota(path: Path) -> Labels:
    """The turned boxes of one file; those that are marked difficult are taken, and counted.

    Raises InvalidDataError with file and line.
    """
    shapes, notes = [], []
    for number, line in enumerate(read_lines(path, MAX_BYTES), start=1):
        words = line.split()
        if not words or _HEAD.match(line.strip()):
            continue
        values = to_numbers(words[:8])
        if values is None or not is_dota_row(words) or not all(map(math.isfinite, values)):
            raise InvalidDataError(
                f"{path}, line {number}: {line.strip()[:80]!r} is no row of DOTA",
                "want eight numbers (four corners in pixels), the class name and the difficulty, with blanks "
                "between",
            )
        has_difficulty = len(words) > 9 and words[-1].isdecimal()
        label = " ".join(words[8:-1] if has_difficulty else words[8:])
        shapes.append(Shape("polygon", label, tuple(zip(values[::2], values[1::2], strict=True))))
        if has_difficulty and words[-1] != "0":
            notes.append(("difficultKept", path.stem))
    if shapes and all(0 <= v <= 1 for shape in shapes for point in shape.points for v in point):
        raise InvalidDataError(
            f"{path}: no number is above 1; DOTA's rows count in pixels",
            "multiply by width and height, or write rows of YOLO, which begin with the class index",
        )
    return Labels(tuple(shapes), notes=tuple(notes))


def _sample(image: Path, files: Sequence[Path], used: set[Path], skipped: Skipped) -> Sample:
    file = _nearest(image, files)
    if file is None:
        skipped.add("noLabelFile", image.name)
    else:
        used.add(file)
    return Sample(image.stem, image.parent, (image.suffix,), label_file=file, read_labels=read_dota)


def _nearest(image: Path, files: Sequence[Path]) -> Path | None:
    """Of label files of an image's name the one that shares most folders with it: each part has its own."""
    if len(files) < 2:
        return files[0] if files else None
    shared = {file: _shared_parts(image, file) for file in files}
    best = max(shared.values())
    nearest = [file for file in files if shared[file] == best]
    if len(nearest) > 1:
        raise InvalidDataError(
            f"{image.name} has several label files: {nearest[0]} and {nearest[1]}",
            "leave the labels of one version in the folder of the data set",
        )
    return nearest[0]


def _shared_parts(image: Path, file: Path) -> int:
    """How many folders of an image's path lead to a label file too, `train` also as `train_original`."""
    folders = file.parent.parts
    return sum(any(folder.startswith(part) for folder in folders) for part in image.parent.parts)


def _first_of_each_folder(path: Path) -> Iterator[Path]:
    """A few text files of each folder: no file but these is looked at, for there may be very many."""
    for parent, folders, names in os.walk(path):
        depth = len(Path(parent).relative_to(path).parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if depth < _DEPTH else []
        texts = sorted(n for n in names if n.lower().endswith(".txt"))
        labels = (file for name in texts if may_be_labels(file := Path(parent, name)) and file.is_file())
        yield from islice(labels, _PEEKED)


def _label_files(folder: Path) -> Iterator[Path]:
    return filter(may_be_labels, files_below(folder, ".txt", _DEPTH))


def may_be_labels(file: Path) -> bool:
    """Whether a text file is no list of images or classes, and no readme."""
    name = file.name.lower()
    return name not in _NO_LABELS and not name.startswith(("readme", ".")) and "ImageSets" not in file.parts


def _first_row(file: Path) -> list[str]:
    """The first row of a label file of DOTA or YOLO; empty where the file begins otherwise."""
    with file.open("rb") as stream:
        head = stream.read(4096).decode("utf-8", "replace")
    for line in head.splitlines()[:4]:
        words = line.split()
        is_row = len(words) >= 5 and to_numbers(words) is not None
        if is_row or line.startswith(("imagesource:", "gsd:")) or is_dota_row(words):
            return words
    return []
