"""What a data.yaml says about classes, keypoints and masks, each key checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InvalidDataError

MAX_CLASSES = 10_000
MASKS = "masks"
"""Folder of class masks that Ultralytics takes without being told by `masks_dir:`."""
_IGNORE = "ignore_label"
_IGNORED_ID = 255


def class_count(content: Mapping[str, Any], path: Path) -> int | None:
    """`nc:`, a whole number, which may be written as text or with `.0`."""
    match content.get("nc"):
        case None:
            return None
        case int() | float() | str() as raw if not isinstance(raw, bool):
            try:
                count = float(raw)
            except ValueError:
                count = math.nan
            if count.is_integer() and 0 < count <= MAX_CLASSES:
                return int(count)
    raise InvalidDataError(
        f"{path}: `nc: {str(content['nc'])[:40]}` is no number of classes, 1 to {MAX_CLASSES}"
    )


def class_names(content: Mapping[str, Any], path: Path) -> list[str] | None:
    """`names:`, a list or a mapping by index, each as it stands in the file (`read_yaml`); None without."""
    names, count = content.get("names"), class_count(content, path)
    if names is None:
        return None
    if not isinstance(names, list | dict) or not names:
        raise InvalidDataError(
            f"{path}: `names:` is neither a list nor a mapping of names",
            "write them as names: [helmet, person]",
        )
    if len(names) > MAX_CLASSES:
        raise InvalidDataError(f"{path}: `names:` has {len(names)} entries; at most {MAX_CLASSES} are taken")
    if isinstance(names, dict):
        names = _in_order(names, path)
    for i, name in enumerate(names):
        if not isinstance(name, str):
            raise InvalidDataError(f"{path}: name {i} of `names:` is no text")
        if not name.strip():
            raise InvalidDataError(f"{path}: name {i} of `names:` is empty")
    if count is not None and count != len(names):
        raise InvalidDataError(
            f"{path}: `nc: {count}` but {len(names)} names",
            f"write `nc: {len(names)}` or leave it out, if the names are right: {', '.join(names[:5])}"
            + (" …" if len(names) > 5 else ""),
        )
    return names


def _in_order(names: Mapping[Any, Any], path: Path) -> list[Any]:
    """The values by their keys, which may be text too: JSON knows no other."""
    by_index = {int(key) if isinstance(key, str) and key.isdecimal() else key: names[key] for key in names}
    if len(by_index) < len(names) or not all(i in by_index for i in range(len(names))):
        found = ", ".join(str(key)[:20] for key in list(names)[:5] if isinstance(key, str | int | float))
        raise InvalidDataError(
            f"{path}: the keys of `names:` are not 0 to {len(names) - 1}, but {found}"
            + (" …" if len(names) > 5 else ""),
            "number the names as the rows of the label files do, from 0 and without gaps",
        )
    return [by_index[i] for i in range(len(names))]


def keypoint_shape(content: Mapping[str, Any], path: Path) -> tuple[int, int] | None:
    """`kpt_shape:` as number of keypoints, and numbers for each (2 or 3)."""
    match content.get("kpt_shape"):
        case None:
            return None
        case [int() as count, (2 | 3) as dims] if 0 < count <= 1000:
            return count, dims
    raise InvalidDataError(f"{path}: `kpt_shape:` is not [number of keypoints, 2 or 3]")


def flip_indices(content: Mapping[str, Any], path: Path) -> list[int] | None:
    """`flip_idx:`, the index of each keypoint in the mirrored image; empty means that none is mirrored."""
    value, shape = content.get("flip_idx"), keypoint_shape(content, path)
    if value is None:
        return None
    if not isinstance(value, list) or not all(type(i) is int for i in value):
        raise InvalidDataError(f"{path}: `flip_idx:` is no list of whole numbers")
    count = shape[0] if shape else len(value)
    if value and sorted(value) != list(range(count)):
        raise InvalidDataError(
            f"{path}: `flip_idx: {value[:20]}` does not name each of the {count} keypoints, "
            f"0 to {count - 1}, once",
            "give each keypoint's index in the mirrored image, as [0, 2, 1] for nose, left and right eye",
        )
    return value


def masks_folder(content: Mapping[str, Any], root: Path, path: Path) -> str | None:
    """The folder of masks beside `images`: `masks_dir:`, else `masks` where `root` has it."""
    named = content.get("masks_dir")
    if named is None:
        return MASKS if (root / MASKS).is_dir() else None
    if (
        not isinstance(named, str)
        or not named.strip("/")
        or named.startswith("/")
        or ".." in Path(named).parts
    ):
        raise InvalidDataError(f"{path}: `masks_dir: {named}` is no name of a folder beside `images`")
    return named.strip("/")


def mask_ids(content: Mapping[str, Any], path: Path) -> dict[int, int]:
    """`label_mapping:`, what an id in a mask stands for: a class index, or 255 (`ignore_label`) for none."""
    raw = content.get("label_mapping")
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise InvalidDataError(f"{path}: `label_mapping:` is no mapping of ids to class indices")
    try:
        return {int(id_): _IGNORED_ID if to in (None, _IGNORE) else int(to) for id_, to in raw.items()}
    except (TypeError, ValueError) as error:
        raise InvalidDataError(
            f"{path}: `label_mapping:` takes whole numbers, and {_IGNORE} for pixels without a class: {error}"
        ) from error
