"""Read data sets in Darknet's layout, as CVAT (YOLO 1.1) and Datumaro (yolo) export them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ...errors import InvalidDataError
from ..image_finder import ImageFinder
from ..skipped import Skipped
from ..source import Sample, Source
from ..text_file import read_lines
from .class_files import read_names
from .yolo_folder import yolo_sample

DATA = "obj.data"
SUFFIX = ".data"
_VAL = ("valid", "val", "validation", "test")
"""What a validation list is called, the first that is there: Darknet itself knows `valid`; CVAT and Datumaro
write the name of the subset."""
_OWN = frozenset({"train", "names", "classes", "backup", "eval"})
"""Entries that Darknet has besides: `backup` and `eval` say where it saves weights, and how it measures."""
_MAX_BYTES = 1 << 16


def find_data(folder: Path) -> Path | None:
    """The description in a folder: its obj.data, else its only file of that ending that has `train =`."""
    if (path := folder / DATA).is_file():
        return path
    found = [path for path in sorted(folder.glob(f"*{SUFFIX}")) if path.is_file() and _has_train(path)]
    return found[0] if len(found) == 1 else None


def _has_train(path: Path) -> bool:
    try:
        return any(line.partition("=")[0].strip().lower() == "train" for line in read_lines(path, _MAX_BYTES))
    except InvalidDataError:
        return False


def open_darknet(path: Path, root: Path, skipped: Skipped) -> Source:
    """The data set of an obj.data: `key = value` lines that name lists of images and a file of class names.

    `root` is the volume's resolved root. Paths in it and in the lists start with `data/`, which an export
    does not have. What else it names is not followed, and a warning says so.
    """
    warnings: list[str] = []
    entries = _read_entries(path, warnings)
    if not entries.get("train") or not entries.get("names"):
        found = ", ".join(f"`{key}`" for key in list(entries)[:10]) or "nothing of that form"
        lists = [
            f"`{key} = {value}`" for key, value in entries.items() if key not in _OWN and key not in _VAL
        ]
        if entries.get("names") and len(lists) == 1:
            value = lists[0].partition(" = ")[2].rstrip("`")
            hint = f"if {lists[0]} is for training, write `train = {value}`"
            raise InvalidDataError(f"{path} has no `train =`, found {found}", hint)
        raise InvalidDataError(
            f"{path} is no description of a data set: want `train = …` and `names = …`, found {found}",
            "write a line for the list of training images, as `train = data/train.txt`, and one for the file "
            "of class names, as `names = data/obj.names`",
        )
    finder = ImageFinder(root, [path.parent], skipped)
    train, names = (_named(path, key, entries, finder) for key in ("train", "names"))
    val_key = next((key for key in _VAL if entries.get(key)), None)
    val = _named(path, val_key, entries, finder) if val_key else None
    class_names = read_names(names)
    if val is None:
        warnings += _unnamed_list(path, train)
    warnings += _unfollowed(path, entries, val_key)
    if (count := entries.get("classes", "")).isdecimal() and int(count) != len(class_names):
        warnings.append(
            f"{path.name} has `classes = {count}`, {names.name} has {len(class_names)} names: taken"
        )
    return Source(
        kind="yolo",
        path=path,
        samples=_listed(train, finder, skipped),
        own_val=_listed(val, finder, skipped) if val else None,
        names=class_names,
        files=[path, train, names, *([val] if val else [])],
        warnings=warnings,
        why=f"{path.name} has `train =` (Darknet, CVAT's YOLO 1.1)",
    )


def _read_entries(path: Path, warnings: list[str]) -> dict[str, str]:
    """Values by key, in lower case as Darknet writes them; lines that are no entry, and keys that come twice,
    are told."""
    entries: dict[str, str] = {}
    strange: list[str] = []
    for number, line in enumerate(read_lines(path, _MAX_BYTES), start=1):
        key, sign, value = (part.strip() for part in line.partition("="))
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        if not sign:
            strange.append(f"line {number}: {line.strip()[:60]!r}")
            continue
        name = key.lower()
        if name in entries and entries[name] != value:
            raise InvalidDataError(
                f"{path}, line {number}: `{key}` is given twice, {entries[name]!r} and {value!r}",
                "leave one of the two lines",
            )
        entries[name] = value
    if strange:
        more = f", and nor are {len(strange) - 1} further lines" if strange[1:] else ""
        warnings.append(f"{path.name}, {strange[0]} is no `key = value` and not read{more}")
    return entries


def _unnamed_list(path: Path, train: Path) -> list[str]:
    """A warning for a validation list beside a description that names none."""
    beside = [file for name in _VAL if (file := path.parent / f"{name}.txt").is_file() and file != train]
    return [
        f"{path.name} has no `valid =`, and {file.name} beside it is not read: "
        f"write `valid = data/{file.name}` if it is to validate"
        for file in beside[:1]
    ]


def _unfollowed(path: Path, entries: Mapping[str, str], val_key: str | None) -> list[str]:
    """A warning that names the entries which nothing is read from, and one for a test set that validates."""
    warnings = []
    others = [key for key, value in entries.items() if value and key not in _OWN and key != val_key]
    if others:
        named = ", ".join(f"`{key} = {entries[key][:80]}`" for key in others[:10])
        warnings.append(f"{path.name}: not followed: {named}{' …' if len(others) > 10 else ''}")
    if val_key == "test":
        warnings.append(f"{path.name} has no `valid =`; its `test = {entries['test'][:80]}` validates")
    return warnings


def _named(path: Path, key: str, entries: Mapping[str, str], finder: ImageFinder) -> Path:
    name = entries[key]
    found = _find(name, finder)
    if found is None or not found.is_file():
        raise InvalidDataError(
            f"{path}: `{key} =` {name!r} is not there",
            f"want the path of a text file, seen from {path.name}; a leading data/ may be missing on disk",
        )
    return found


def _listed(path: Path, finder: ImageFinder, skipped: Skipped) -> list[Sample]:
    samples = []
    for line in read_lines(path):
        if not (name := line.strip()):
            continue
        if image := _find(name, finder):
            sample = yolo_sample(image)
            samples.append(sample)
            if sample.label_file and _is_empty(sample.label_file):
                skipped.add("emptyLabelFile", str(image))
        else:
            skipped.add(finder.refusal(name), repr(name)[:80])
    return samples


def _is_empty(file: Path) -> bool:
    try:
        return file.stat().st_size == 0
    except OSError:
        return False


def _find(name: str, finder: ImageFinder) -> Path | None:
    found = finder.find(name)
    parts = PurePosixPath(name).parts
    if found is not None and not found.is_file() and parts[0] == "data":
        return finder.find("/".join(parts[1:]))
    return found
