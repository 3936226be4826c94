"""Exports of other tools that are not read: recognised, to be refused by name with the way to convert."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..errors import InvalidDataError
from .readers.ndjson import CONVERT, is_platform
from .text_file import is_utf16

_HEAD_BYTES = 1 << 14
_DEPTH = 3  # folders below the named one that are looked through
_FILES = 200  # files that are looked at; pictures and rows of YOLO are none of them
_AGAIN = "export from {} as COCO JSON, or as YOLO with the images, and name the folder of that"
_ROBOFLOW = _AGAIN.format("Roboflow")
_CONVERT = "convert it to COCO JSON or to rows of YOLO (FiftyOne and Datumaro read it)"
_SPLIT = re.compile(r"[,;\t]")


@dataclass(frozen=True)
class Foreign:
    """A kind of export, told by the beginning of a file."""

    name: str
    endings: tuple[str, ...]
    fits: Callable[[str], bool] | None
    """Whether a file that begins so is of it; unset: its ending says enough."""
    remedy: str


def _has(*parts: str) -> Callable[[str], bool]:
    return lambda head: all(part in head for part in parts)


def _keys(*names: str) -> Callable[[str], bool]:
    """Whether JSON has these keys: a class may be called as one of them."""
    patterns = [re.compile(rf'"{name}"\s*:') for name in names]
    return lambda head: all(pattern.search(head) for pattern in patterns)


def _columns(*names: str) -> Callable[[str], bool]:
    """Whether the first line of a table names these columns."""

    def fits(head: str) -> bool:
        first = head.partition("\n")[0].lower()
        return set(names) <= {word.strip().strip('"') for word in _SPLIT.split(first)}

    return fits


def _list_of(*keys: str) -> Callable[[str], bool]:
    """Whether JSON begins as a list of objects with these keys."""
    quoted = [f'"{key}"' for key in keys]
    return lambda head: head.startswith("[") and all(key in head for key in quoted)


_VIA = "in VIA export the annotations as COCO"
_STUDIO = _AGAIN.format("Label Studio")
_VOTT = "in VoTT choose Pascal VOC as the export format, and name the folder of that"
_FILES_OF_ITS_OWN = "write its images and labels into files, as rows of YOLO or COCO JSON"
_JSON, _CSV, _LINES = (".json",), (".csv",), (".ndjson", ".jsonl", ".json")


FOREIGN = (
    Foreign("NDJSON of Ultralytics Platform", _LINES, is_platform, CONVERT),
    Foreign("CreateML JSON", _JSON, _list_of("image", "annotations", "coordinates"), _ROBOFLOW),
    Foreign("JSON of Label Studio", _JSON, _list_of("data", "annotations", "result"), _STUDIO),
    Foreign("JSON-MIN of Label Studio", _JSON, _list_of("annotator", "lead_time"), _STUDIO),
    Foreign("a project of VIA (VGG Image Annotator)", _JSON, _has('"_via_'), _VIA),
    Foreign("JSON of VIA (VGG Image Annotator)", _JSON, _has('"regions"', '"shape_attributes"'), _VIA),
    Foreign("CSV of VIA (VGG Image Annotator)", _CSV, _columns("region_shape_attributes"), _VIA),
    Foreign(
        "a label file of Supervisely", _JSON, _has('"classTitle"', '"points"'), _AGAIN.format("Supervisely")
    ),
    Foreign("JSON of Datumaro", _JSON, _keys("categories", "items"), _AGAIN.format("Datumaro or CVAT")),
    Foreign("JSON of VoTT", _JSON, _keys("assets", "tags"), _VOTT),
    Foreign("JSON of Cityscapes", _JSON, _keys("imgHeight", "objects"), _CONVERT),
    Foreign("JSON of BDD100K", _JSON, _list_of("name", "labels"), _CONVERT),
    Foreign("metadata of Hugging Face", (".jsonl",), _keys("file_name", "objects"), _FILES_OF_ITS_OWN),
    Foreign("NDJSON of Labelbox", _LINES, _has('"data_row"'), _CONVERT),
    Foreign("JSON lines of Roboflow (PaliGemma)", _LINES, _has('"prefix"', '"suffix"'), _ROBOFLOW),
    Foreign("a manifest of SageMaker Ground Truth", (".manifest", ".jsonl"), _has('"source-ref"'), _CONVERT),
    Foreign("TensorFlow's CSV", _CSV, _columns("filename", "class", "xmin", "ymin"), _ROBOFLOW),
    Foreign("CSV of Open Images", _CSV, _columns("imageid", "labelname", "xmin"), _CONVERT),
    Foreign("a table of boxes", _CSV, _columns("xmin", "ymin", "xmax", "ymax"), _CONVERT),
    Foreign("a table of classes by image", _CSV, _columns("filename"), "give each class a folder of its own"),
    Foreign("XML of CVAT for images", (".xml",), _has("<annotations>", "<meta>"), _AGAIN.format("CVAT")),
    Foreign("a TFRecord, its images within", (".tfrecord", ".tfrecords", ".record"), None, _ROBOFLOW),
    Foreign("a table with images within", (".parquet", ".arrow"), None, _FILES_OF_ITS_OWN),
)
"""The first that fits is it."""


def foreign_file(path: Path) -> Foreign | None:
    """What a file is, if it is of an export that is not read."""
    ending = path.suffix.lower()
    candidates = [one for one in FOREIGN if ending in one.endings]
    if not candidates:
        return None
    with path.open("rb") as stream:
        raw = stream.read(_HEAD_BYTES)
    if is_utf16(raw):
        return None
    head = raw.decode("utf-8-sig", "replace").lstrip()
    return next((one for one in candidates if one.fits is None or one.fits(head)), None)


def refuse_foreign_file(path: Path, field: str) -> None:
    """Raises InvalidDataError for a file of an export that is not read."""
    if found := foreign_file(path):
        raise InvalidDataError(f"{field}: {path.name} is {found.name}, which is not read", found.remedy)


def refuse_foreign(folder: Path, field: str) -> None:
    """Raises InvalidDataError for a folder whose labels are in a file of an export that is not read."""
    if found := find_foreign(folder):
        file, kind = found
        raise InvalidDataError(
            f"{field}: the labels of {folder.name} are in {file.relative_to(folder)}: {kind.name}, "
            "which is not read",
            kind.remedy,
        )


def find_foreign(folder: Path) -> tuple[Path, Foreign] | None:
    """The first file below a folder that is of an export that is not read, and which that is."""
    endings = {ending for one in FOREIGN for ending in one.endings}
    for file in islice(_files(folder, endings), _FILES):
        if kind := foreign_file(file):
            return file, kind
    return None


def _files(folder: Path, endings: set[str]) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        depth = len(Path(parent).relative_to(folder).parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if depth < _DEPTH else []
        for name in sorted(names):
            file = Path(parent, name)
            if file.suffix.lower() in endings and not name.startswith(".") and file.is_file():
                yield file
