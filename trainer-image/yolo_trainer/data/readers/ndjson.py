"""Read the NDJSON of Ultralytics Platform, where its pictures lie beside it: it names them by URLs, which are
never followed.

The first line describes the data set (`task`, `class_names`, `kpt_shape`), each further one a picture, with
its size, its split, and below `annotations` rows of YOLO under the name of their kind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ...errors import InvalidDataError
from ..geometry import Point, corner_form
from ..image_finder import ImageFinder
from ..skipped import Skipped
from ..source import Sample, Shape, Source, as_size, check_unique
from ..text_file import decode
from .data_yaml import MAX_CLASSES, flip_indices, keypoint_shape
from .yaml_keys import read_passed

CONVERT = (
    "write a folder with ultralytics.data.converter.convert_ndjson_to_yolo where the URLs of its pictures "
    "can be reached, and name that; or put the pictures beside it"
)
SUFFIXES = (".ndjson", ".jsonl", ".json")
_WANT = {
    "boxes": "[class, x, y, width, height], parts of 0 to 1",
    "segments": "[class, x1, y1, …] of three points or more, parts of 0 to 1",
    "pose": "[class, x, y, width, height, keypoints …], parts of 0 to 1",
    "obb": "[class, x1, y1, … x4, y4], parts of 0 to 1",
}
_MAX_LINE = 16 << 20
_LOOKED_AT = 20  # files of a folder
_FAR_OUT = 10.0  # numbers are parts of width and height
_KINDS = {"detect": "boxes", "segment": "segments", "pose": "pose", "obb": "obb"}
"""Where a data set of a task keeps its rows; in a picture that has none there another kind is taken."""


def is_platform(head: str) -> bool:
    """Whether a file begins as this export: its first line describes the data set."""
    first = head.partition("\n")[0]
    return first.startswith("{") and bool(re.search(r'"type"\s*:\s*"dataset"', first)) and '"task"' in first


def find_platform(path: Path) -> Path | None:
    """The only export of this kind in a folder, or the file itself if it is one."""
    files = [path] if path.is_file() else islice(sorted(path.iterdir(), key=_by_ending), _LOOKED_AT)
    found = [f for f in files if f.suffix.lower() in SUFFIXES and f.is_file() and is_platform(_head(f))]
    return found[0] if len(found) == 1 else None


def _by_ending(path: Path) -> tuple[bool, bool, str]:
    """The likeliest first: there may be very many others."""
    ending = path.suffix.lower()
    return ending != SUFFIXES[0], ending not in SUFFIXES, path.name


def open_platform(path: Path, root: Path, skipped: Skipped) -> Source:
    """The data set of the file; `root` is the volume's resolved root.

    Raises InvalidDataError when none of the pictures is there, and with the line of what is no record.
    """
    lines = _records(path)
    _, head = next(lines)
    names = _class_names(head, path)
    kpt_shape = keypoint_shape(head, path)
    reader = _Reader(names, _KINDS.get(str(head.get("task")), ""), kpt_shape, skipped)
    parts: dict[str, list[Sample]] = {}
    finders: dict[str, ImageFinder] = {}
    for number, record in lines:
        if record.get("type") == "image":
            split = str(record.get("split") or "train")
            finder = finders.setdefault(split, ImageFinder(root, _folders(path.parent, split), skipped))
            if sample := reader.sample(record, finder, f"{path}, line {number}"):
                parts.setdefault(split, []).append(sample)
    pictures = [sample for samples in parts.values() for sample in samples]
    if head.get("task") == "classify":
        raise InvalidDataError(f"{path} has a class for each picture, which fits classify", CONVERT)
    if not any((sample.folder / f"{sample.stem}{sample.endings[0]}").is_file() for sample in pictures):
        shown = f"{pictures[0].stem}{pictures[0].endings[0]}" if pictures else "none"
        raise InvalidDataError(
            f"{path} is NDJSON of Ultralytics Platform, and none of its {len(pictures)} pictures lies beside "
            f"it (the first: {shown}): it names URLs, which are not followed",
            CONVERT,
        )
    others = {split: len(samples) for split, samples in parts.items() if split not in ("train", "val")}
    return Source(
        kind="ndjson",
        path=path,
        samples=parts.get("train", []),
        own_val=parts.get("val"),
        names=list(names.values()),
        files=[path],
        kpt_shape=kpt_shape,
        flip_idx=flip_indices(head, path),
        warnings=[
            f"{path.name}: {n} images of the split {split} are not used" for split, n in others.items()
        ],
        passed=read_passed(head, path, "detect"),
        in_pixels=True,
        why=f"the first line of {path.name} describes a data set (Ultralytics Platform)",
    )


@dataclass(frozen=True)
class _Reader:
    """What every picture of a file is read with."""

    names: dict[int, str]
    kind: str
    kpt_shape: tuple[int, int] | None
    skipped: Skipped

    def sample(self, record: dict[str, Any], finder: ImageFinder, place: str) -> Sample | None:
        """A picture with its labels; None for one whose name leads elsewhere, which is counted."""
        name = record.get("file")
        found = finder.find(name) if isinstance(name, str) else None
        if found is None:
            kind = finder.refusal(name) if isinstance(name, str) else "unsafeName"
            self.skipped.add(kind, repr(name)[:80])
            return None
        size = as_size([record.get("width"), record.get("height")])
        shapes = [self._shape(kind, row, size, place) for kind, row in self._rows(record, place)]
        return Sample(found.stem, found.parent, (found.suffix,), shapes=tuple(shapes), size=size)

    def _rows(self, record: dict[str, Any], place: str) -> Iterator[tuple[str, Any]]:
        """The rows of the kind that the task of the data set has, else of the first other that there is."""
        given = record.get("annotations") or {}
        if not isinstance(given, dict) or not all(isinstance(rows, list) for rows in given.values()):
            raise InvalidDataError(f"{place}: `annotations` is no object of lists")
        kinds = sorted((k for k in _KINDS.values() if given.get(k)), key=lambda k: k != self.kind)
        for other in [k for k in given if given[k] and k not in kinds[:1]]:
            self.skipped.add("otherShape", f"{record.get('file')} ({other})")
        return ((kind, row) for kind in kinds[:1] for row in given[kind])

    def _shape(self, kind: str, row: Any, size: tuple[float, float] | None, place: str) -> Shape:
        if size is None:
            raise InvalidDataError(f"{place}: no `width` and `height` above 0; its rows are parts of these")
        match row:
            case [int() as class_id, *values] if _fits(kind, values):
                pass
            case _:
                raise InvalidDataError(f"{place}: `{kind}` holds {json.dumps(row)[:80]}; want {_WANT[kind]}")
        if class_id not in self.names:
            known = ", ".join(map(str, list(self.names)[:10]))
            raise InvalidDataError(f"{place}: class {class_id} is not among `class_names` ({known})")
        label = self.names[class_id]
        if kind in ("boxes", "pose"):
            box = corner_form(*values[:4])
            points = _pixels(box, size)
            return Shape("rectangle", label, points, self._keypoints(values[4:], size, place))
        return Shape("polygon", label, _pixels(values, size))

    def _keypoints(
        self, values: Sequence[float], size: tuple[float, float], place: str
    ) -> tuple[tuple[float, float, float], ...]:
        if not values or self.kpt_shape is None:
            return ()
        count, dims = self.kpt_shape
        if len(values) != count * dims:
            raise InvalidDataError(
                f"{place}: {len(values)} numbers of keypoints; kpt_shape [{count}, {dims}]"
            )
        points = [values[i : i + dims] for i in range(0, len(values), dims)]
        return tuple((p[0] * size[0], p[1] * size[1], p[2] if dims == 3 else 2.0) for p in points)


def _fits(kind: str, values: Sequence[object]) -> bool:
    """Whether a row of a kind has such numbers after the class."""
    count = len(values)
    fits = {
        "boxes": count == 4,
        "pose": count >= 4,
        "obb": count == 8,
        "segments": count >= 6 and count % 2 == 0,
    }
    return fits[kind] and all(map(_is_number, values))


def _pixels(values: Sequence[float], size: tuple[float, float]) -> tuple[Point, ...]:
    return tuple((x * size[0], y * size[1]) for x, y in zip(values[::2], values[1::2], strict=True))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_FAR_OUT < value < _FAR_OUT


def _class_names(head: dict[str, Any], path: Path) -> dict[int, str]:
    """Class names by id, in order of the ids."""
    given = head.get("class_names")
    pairs = enumerate(given) if isinstance(given, list) else given.items() if isinstance(given, dict) else ()
    names = {int(i): name for i, name in pairs if str(i).isdecimal() and isinstance(name, str)}
    if not names or len(names) != len(given or ()) or len(names) > MAX_CLASSES:
        raise InvalidDataError(
            f'{path}, line 1: `class_names` is no object of names by id, as {{"0": "cat"}}'
        )
    check_unique(list(names.values()), path)
    return dict(sorted(names.items()))


def _folders(beside: Path, split: str) -> list[Path]:
    """Where pictures may lie, the likeliest first; a split is a name and no path."""
    names = [split] if re.fullmatch(r"\w+", split) else []
    inner = [folder for s in names for folder in (beside / "images" / s, beside / s / "images", beside / s)]
    return [*inner, beside / "images", beside]


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file by the number of their line."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(_MAX_LINE):
            number += 1
            if not raw.strip():
                continue
            try:
                record = json.loads(decode(raw, f"{path}, line {number}"))
            except (ValueError, RecursionError) as error:
                raise InvalidDataError(f"{path}, line {number} is not JSON: {error}") from error
            if not isinstance(record, dict):
                raise InvalidDataError(f"{path}, line {number} is no JSON object")
            yield number, record


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(1 << 14).decode("utf-8-sig", "replace").lstrip()
