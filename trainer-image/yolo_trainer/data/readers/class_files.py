"""Class names that tools write beside images and label files: found, and where there are several compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import InvalidDataError
from ..json_file import read_json_object
from ..source import check_unique
from ..text_file import read_lines
from .data_yaml import MAX_CLASSES
from .yaml_file import MAX_BYTES

LISTS = ("classes.txt", "_darknet.labels", "obj.names", "names.txt")
"""Class names by line: Label Studio and LabelImg; Roboflow's YOLO Darknet; Darknet without its obj.data;
people who have a data.yaml without names."""
NOTES = "notes.json"
"""Label Studio: `categories`, each with `id` and `name`."""
_SHOWN = 6


@dataclass(frozen=True)
class Classes:
    """The classes of a folder."""

    names: list[str] | None = None
    ids: list[int] | None = None
    """What label rows call each of them; unset: its position."""
    files: list[Path] = field(default_factory=list)
    """That they were read from."""
    warnings: list[str] = field(default_factory=list)
    made_up: str = ""
    """What is to be said where nobody has named them."""


def read_names(path: Path) -> list[str]:
    """Class names from a text file, one a line; the line's number is the index."""
    names = [line.strip() for line in read_lines(path, MAX_BYTES)]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise InvalidDataError(f"{path}: want one class name a line, and no line empty")
    check_unique(names, path)
    return names


def find_classes(folders: Iterable[Path], root: Path) -> Classes:
    """The classes that files in one of the folders name; none where there is no such file.

    Label Studio numbers rows by the ids of its notes.json, and lists the names in classes.txt in the order
    that it met them: with `category=` in its labels, that order is another. So ids are taken from notes.json.

    Raises InvalidDataError when two files name different classes, with both, and for a link that leads out of
    the volume's resolved `root`.
    """
    folders = list(dict.fromkeys(folders))
    lists = [file for folder in folders for name in LISTS if _is_there(file := folder / name, root)]
    if not lists:
        lists = sorted(
            {file for folder in folders for file in folder.glob("*.names") if _is_there(file, root)}
        )
    notes = next((file for folder in folders if _is_there(file := folder / NOTES, root)), None)
    names = read_names(lists[0]) if lists else None
    for other in lists[1:]:
        if (others := read_names(other)) != names:
            raise _differing(lists[0], names or [], other, others)
    by_id = _read_notes(notes) if notes else None
    if notes is None or by_id is None:
        return Classes(names, files=lists)
    ids = sorted(by_id)
    found = [by_id[i] for i in ids]
    if names is not None and sorted(names) != sorted(found):
        raise _differing(lists[0], names, notes, found)
    is_plain = ids == list(range(len(ids)))
    warnings = []
    if names is not None and (names != found or not is_plain):
        by_notes = ", ".join(f"{i} {by_id[i]}" for i in ids[:_SHOWN])
        by_line = ", ".join(f"{i} {name}" for i, name in enumerate(names[:_SHOWN]))
        more = " …" if len(ids) > _SHOWN else ""
        warnings.append(
            f"{lists[0].name} and {notes.name} number the classes differently ({by_line}{more}; "
            f"{by_notes}{more}): the ids of {notes.name} are taken, as Label Studio writes them into its rows"
        )
    return Classes(found, None if is_plain else ids, [*lists, notes], warnings)


def refuse_other_notes(yaml: Path, folder: Path, names: Sequence[str], root: Path) -> None:
    """Raises InvalidDataError when a data.yaml gives the classes of Label Studio's notes.json other ids: it
    was written after classes.txt, whose order is another. `folder` is what it describes, `root` as for
    `find_classes`."""
    beside = (place / NOTES for place in (yaml.parent, folder))
    notes = next((file for file in beside if _is_there(file, root)), None)
    by_id = _read_notes(notes) if notes else None
    if (
        notes is None
        or not by_id
        or sorted(by_id.values()) != sorted(names)
        or by_id == dict(enumerate(names))
    ):
        return
    wanted = ", ".join(f"{i}: {by_id[i]}" for i in sorted(by_id)[:_SHOWN])
    given = ", ".join(f"{i}: {name}" for i, name in enumerate(names[:_SHOWN]))
    raise InvalidDataError(
        f"{yaml} numbers the classes {given}, but {notes}, by which Label Studio writes its rows, {wanted}",
        f"write `names: {{{wanted}}}` into {yaml.name}; or remove {notes.name} if the rows have other ids",
    )


def lists_beside(yaml: Path, folder: Path, root: Path) -> list[Path]:
    """Lists of class names beside a data.yaml or in the folder that it describes; `root` as for
    `find_classes`."""
    places = (place / name for place in dict.fromkeys((yaml.parent, folder)) for name in LISTS)
    return [file for file in places if _is_there(file, root)]


def _is_there(file: Path, root: Path) -> bool:
    """Whether there is a file; raises InvalidDataError for a link that leads out of `root`."""
    if not file.is_file():
        return False
    if not file.resolve().is_relative_to(root):
        raise InvalidDataError(
            f"{file} leads out of the data volume", "put the file itself there, not a link to it"
        )
    return True


def differing_list(yaml: Path, lists: Iterable[Path], names: Sequence[str]) -> list[str]:
    """A warning for the first of the lists that numbers the classes of a data.yaml otherwise."""
    for file in lists:
        try:
            others = read_names(file)
        except InvalidDataError:
            continue
        if others != list(names):
            given, by_line = (
                ", ".join(f"{i} {name}" for i, name in enumerate(some[:_SHOWN]))
                + (" …" if len(some) > _SHOWN else "")
                for some in (names, others)
            )
            return [
                f"{yaml.name} and {file.name} number the classes differently ({given}; {by_line}): "
                f"those of {yaml.name} are taken"
            ]
    return []


def _read_notes(path: Path) -> dict[int, str] | None:
    """Class names by id of a notes.json; None for another file of that name."""
    categories = read_json_object(path, MAX_BYTES).get("categories")
    if not isinstance(categories, list) or not categories:
        return None
    if len(categories) > MAX_CLASSES:
        raise InvalidDataError(f"{path}: {len(categories)} categories; at most {MAX_CLASSES} are taken")
    by_id: dict[int, str] = {}
    for i, category in enumerate(categories):
        id_, name = _category(category, f"{path}: categories[{i}]")
        if id_ in by_id:
            raise InvalidDataError(
                f"{path}: id {id_} is given to {by_id[id_]!r} and to {name!r}",
                "give each category an id of its own, the one that its label rows begin with",
            )
        by_id[id_] = name
    check_unique(list(by_id.values()), path)
    return by_id


def _category(raw: Any, place: str) -> tuple[int, str]:
    match raw:
        case {"id": int() as id_, "name": str() as name} if name.strip() and not isinstance(id_, bool):
            return id_, name.strip()
    raise InvalidDataError(f'{place} is not {{"id": whole number, "name": text}}')


def _differing(first: Path, names: Sequence[str], other: Path, others: Sequence[str]) -> InvalidDataError:
    """The error for two files of which one is wrong, and nothing tells which."""
    shown = [", ".join(given[:_SHOWN]) + (" …" if len(given) > _SHOWN else "") for given in (names, others)]
    return InvalidDataError(
        f"{first} names the classes {shown[0]}, but {other} names {shown[1]}",
        f"one of the two is not of these label files: correct or remove {first.name} in "
        f"{first.parent.name}/ or {other.name} in {other.parent.name}/",
    )
