"""What annotations of a COCO file refer to: its categories and images by their ids, and its keypoints."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import InvalidDataError
from ..json_file import stream_json
from ..source import as_size

Id = int | str
_SIDES = ("left", "right")


class Image(NamedTuple):
    """An entry of `images`."""

    name: str
    size: tuple[float, float] | None


@dataclass(frozen=True)
class Head:
    """Categories and images by their ids, in the order of the file."""

    shown: str
    """The file, for people."""
    categories: dict[Id, dict[str, Any]] = field(default_factory=dict)
    images: dict[Id, Image] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)
    """Entries of `images` that are there more than once."""

    @property
    def names(self) -> dict[Id, str]:
        """Names of the categories by id, in the order of the ids."""
        return {i: self.categories[i]["name"] for i in sorted(self.categories, key=_order)}

    def is_group(self, number: Id) -> bool:
        """Whether a category groups others: Roboflow heads the list with such a one, which may have the name
        of the only class."""
        name = self.categories[number]["name"]
        return any(c.get("supercategory") == name for i, c in self.categories.items() if i != number)

    def check_names(self, used: Collection[Id]) -> list[str]:
        """Names of the classes in the order of their ids: of those that are used, or group no others.

        Raises InvalidDataError when two have the same: they would become one class.
        """
        names: dict[str, Id] = {}
        for number, name in self.names.items():
            if number not in used and self.is_group(number):
                continue
            if (first := names.setdefault(name, number)) != number:
                raise InvalidDataError(
                    f"{self.shown}: the class name {name!r} is given twice, to the ids {first} and {number}",
                    "give each class its own name; to merge two, give their annotations one `category_id`",
                )
        return list(names)

    def keypoints(self) -> list[str]:
        """Names of the keypoints.

        Raises InvalidDataError when there are none, or not as many in every category that has any.
        """
        in_order = [self.categories[i].get("keypoints") for i in self.names]
        lists = [names for names in in_order if isinstance(names, list) and names]
        if not lists:
            raise InvalidDataError(
                f"{self.shown}: no category has `keypoints`, which pose needs; the data fit detect or segment"
            )
        if len({len(names) for names in lists}) > 1:
            raise InvalidDataError(
                f"{self.shown}: categories have different numbers of keypoints; pose takes one number"
            )
        return [str(name) for name in lists[0]]


def read_head(path: Path, shown: str) -> Head:
    """Reads a file up to the end of its images and categories.

    Raises InvalidDataError that names the entry which has no name, or no id of its own.
    """
    head = Head(shown)
    for key, i, raw in stream_json(path, ["categories", "images"]):
        where = f"{shown}, {key}[{i}]"
        if key == "categories":
            _add_category(head, raw, where)
        else:
            _add_image(head, raw, where)
    if not head.categories:
        raise InvalidDataError(f"{shown}: `categories` is empty or missing; COCO names its classes there")
    return head


def as_id(raw: object) -> Id | None:
    """An id as tools write it, so that 3, 3.0 and "3" are the same; None for what is none."""
    match raw:
        case bool():
            return None
        case int():
            return raw
        case float() if raw.is_integer():
            return int(raw)
        case str() if text := raw.strip():
            is_number = text.isascii() and text.isdigit() and (text[0] != "0" or text == "0")
            return int(text) if is_number and len(text) < 20 else text
    return None


def flip_idx(keypoints: list[str]) -> list[int] | None:
    """What each keypoint is in the mirrored image, told by `left` and `right` in its name."""
    index = {name: i for i, name in enumerate(keypoints)}
    mirrored = []
    for name in keypoints:
        left, right = (name.lower().find(side) for side in _SIDES)
        if left < 0 and right < 0:
            mirrored.append(index[name])
            continue
        other = name.lower().replace("left", "\0").replace("right", "left").replace("\0", "right")
        by_lower = {n.lower(): i for n, i in index.items()}
        if other not in by_lower:
            return None
        mirrored.append(by_lower[other])
    return mirrored if mirrored != sorted(mirrored) else None


def _add_category(head: Head, raw: Any, where: str) -> None:
    match raw:
        case {"name": str() as name} if name := name.strip():
            pass
        case _:
            raise InvalidDataError(f"{where}: needs a name and an `id` of its own; it is {_some(raw)}")
    number = as_id(raw.get("id"))
    if number is None:
        raise InvalidDataError(
            f"{where}: needs an `id`, by which annotations mean {name!r} (`category_id`); it is {_some(raw)}"
        )
    first = head.categories.setdefault(number, {**raw, "name": name})
    if first["name"] != name:
        raise InvalidDataError(
            f"{where}: needs an `id` of its own; {number} means {first['name']!r} already, not {name!r}"
        )


def _add_image(head: Head, raw: Any, where: str) -> None:
    match raw:
        case {"file_name": str() as name}:
            pass
        case _:
            raise InvalidDataError(f"{where}: needs `file_name` and an `id` of its own; it is {_some(raw)}")
    number = as_id(raw.get("id"))
    if number is None:
        raise InvalidDataError(
            f"{where}: needs an `id`, by which annotations mean {name!r} (`image_id`); it is {_some(raw)}"
        )
    size = as_size([raw.get("width"), raw.get("height")])
    first = head.images.setdefault(number, image := Image(name, size))
    if first.name != name:
        raise InvalidDataError(
            f"{where}: needs `file_name` and an `id` of its own; {number} means {first.name!r} already, "
            f"not {name!r}"
        )
    if first is not image:
        head.twice.append(name)


def _order(number: Id) -> tuple[bool, Id]:
    """Numbers in their order, before texts in theirs."""
    return isinstance(number, str), number


def _some(raw: object) -> str:
    return str(raw)[:80]
