"""Class names of a data.yaml: its `names:`, else a text file of names beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import InvalidDataError
from .class_files import Classes, find_classes, read_names
from .data_yaml import class_count, class_names
from .yaml_places import YamlPlaces

_NAMES_HINT = "write the names as a list, as names: [helmet, person], or name a text file of one a line"


def yaml_classes(content: Mapping[str, Any], path: Path, places: YamlPlaces) -> Classes:
    """The classes of a data.yaml: `names:`, or the file that it names there, or the one beside it; made up
    from `nc:` as Ultralytics does.

    Raises InvalidDataError when names and their number do not agree, or two files give different names.
    """
    raw = content.get("names") or None
    if isinstance(raw, str):
        file = places.find(raw, f"{path}: `names:`", _NAMES_HINT)
        if not file.is_file():
            raise InvalidDataError(f"{path}: `names: {raw}` is no file of names but a folder")
        return _of_files(content, path, Classes(read_names(file), files=[file]), "gives names in")
    if raw is not None:
        return Classes(class_names(content, path))
    beside = find_classes((path.parent, places.folder), places.root)
    if beside.names is not None:
        return _of_files(content, path, beside, "has no `names:`; they are taken from")
    count = class_count(content, path)
    if count is None:
        note = "has neither `names:` nor `nc:`; class numbers in labels are places in template.data.labels"
        return Classes(warnings=[f"{path.name} {note}"])
    names = [f"class_{i}" for i in range(count)]
    shown = ", ".join(names[:3]) + (" …" if count > 3 else "")
    note = f"{path.name} has `nc: {count}` and no `names:`; its classes are called {shown}"
    return Classes(names, warnings=[note], made_up=note)


def _of_files(content: Mapping[str, Any], path: Path, classes: Classes, what: str) -> Classes:
    names, count = classes.names or [], class_count(content, path)
    if count is not None and count != len(names):
        where = " and ".join(map(str, classes.files))
        raise InvalidDataError(f"{path}: `nc: {count}` but {len(names)} names in {where}")
    files = " and ".join(file.name for file in classes.files)
    return replace(classes, warnings=[f"{path.name} {what} {files}", *classes.warnings])
