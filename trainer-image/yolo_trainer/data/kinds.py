"""What kind of data set annotation files show, by their first keys or elements."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from yolo_crds.training import Task

from ..errors import InvalidDataError
from .json_file import read_outline
from .readers.annotated_folder import files_below
from .readers.coco import is_coco
from .readers.labelme import is_labelme
from .readers.ucd import is_ucd
from .readers.voc import kind_of_annotation
from .readers.xml_tree import read_xml

DEPTH = 2
"""Folders below the named one in which annotation files are looked for."""
_PEEKED = 20  # annotation files that are opened to tell the kind
_NOT_INSTANCES = ("captions", "image_info", "panoptic", "stuff")


def kinds_in(path: Path, task: Task) -> tuple[dict[str, list[Path]], InvalidDataError | None]:
    """The kinds that annotation files in a folder show, each with the files that do; and the fault of one
    that is of no kind because it cannot be read."""
    kinds: dict[str, list[Path]] = {}
    broken = None
    for suffix in (".xml", ".json"):
        for file in islice(files_below(path, suffix, DEPTH), _PEEKED):
            try:
                kind = _kind_of(file)
            except InvalidDataError as error:
                broken = broken or error
                continue
            if kind is not None:
                kinds.setdefault(kind, []).append(file)
    if (untold := kinds.pop("annotation", None)) and not {"voc", "labelme-xml"} & kinds.keys():
        kinds["voc"] = untold
    if split := sorted(path.glob("*.uci")):
        kinds.setdefault("ucd", []).extend(split)
    if coco := kinds.get("coco"):
        # Of COCO's own files those with keypoints are of use for pose alone: they know no class but persons.
        is_pose = task == "pose"
        kinds["coco"] = [f for f in coco if f.name.startswith("person_keypoints") == is_pose] or coco
    return kinds, broken


def _kind_of(path: Path) -> str | None:
    """The kind of an annotation file; None for other JSON or XML, which may lie in a folder too."""
    if path.suffix.lower() == ".xml":
        return kind_of_annotation(read_xml(path))
    if path.name.startswith(_NOT_INSTANCES):
        return None
    return json_kind(path)


def json_kind(path: Path) -> str | None:
    """The kind of data set that the first keys of a JSON file show."""
    outline = read_outline(path, enough=lambda so_far: _kind_by_keys(so_far) is not None)
    return _kind_by_keys(outline)


def _kind_by_keys(content: Mapping[str, Any]) -> str | None:
    signs = {"coco": is_coco, "labelme": is_labelme, "ucd": is_ucd}
    return next((kind for kind, fits in signs.items() if fits(content)), None)
