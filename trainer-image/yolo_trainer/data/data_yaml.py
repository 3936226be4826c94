"""What a data.yaml says about classes, keypoints and masks: read safely, each key checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import InvalidDataError, volume_errors

MAX_BYTES = 4 << 20
MAX_CLASSES = 10_000
MASKS = "masks"
"""Folder of class masks that Ultralytics takes without being told by `masks_dir:`."""
_IGNORE = "ignore_label"
_IGNORED_ID = 255


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping, read safely; raises InvalidDataError when it is none."""
    with volume_errors(path, "read"), path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise InvalidDataError(f"{path} is larger than {MAX_BYTES} bytes")
    try:
        content = yaml.safe_load(raw.decode("utf-8-sig"))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InvalidDataError(f"{path} is not YAML: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(content, dict):
        raise InvalidDataError(f"{path} is no mapping of names to values")
    return content


def class_names(content: Mapping[str, Any], path: Path) -> list[str] | None:
    """`names:` (a list, or a mapping by index), else `nc:` made-up ones; None without both."""
    names, count = content.get("names"), content.get("nc")
    if names is None:
        if isinstance(count, int) and 0 < count <= MAX_CLASSES:
            return [f"class_{i}" for i in range(count)]
        return None
    if not isinstance(names, list | dict) or not names:
        raise InvalidDataError(f"{path}: `names:` is neither a list nor a mapping of names")
    if len(names) > MAX_CLASSES:
        raise InvalidDataError(f"{path}: `names:` has {len(names)} entries; at most {MAX_CLASSES} are taken")
    if isinstance(names, dict):
        if not all(i in names for i in range(len(names))):
            raise InvalidDataError(f"{path}: the keys of `names:` are not 0 to {len(names) - 1}")
        names = [names[i] for i in range(len(names))]
    for i, name in enumerate(names):
        if not isinstance(name, str | int | float):
            raise InvalidDataError(f"{path}: name {i} of `names:` is no text")
    if isinstance(count, int) and count != len(names):
        raise InvalidDataError(f"{path}: `nc: {count}` but {len(names)} names")
    return [str(name) for name in names]


def keypoint_shape(content: Mapping[str, Any], path: Path) -> tuple[int, int] | None:
    """`kpt_shape:` as number of keypoints, and numbers for each (2 or 3)."""
    match content.get("kpt_shape"):
        case None:
            return None
        case [int() as count, (2 | 3) as dims] if 0 < count <= 1000:
            return count, dims
    raise InvalidDataError(f"{path}: `kpt_shape:` is not [number of keypoints, 2 or 3]")


def flip_indices(content: Mapping[str, Any], path: Path) -> list[int] | None:
    """`flip_idx:`, the index of each keypoint in the mirrored image."""
    value = content.get("flip_idx")
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(i, int) for i in value):
        raise InvalidDataError(f"{path}: `flip_idx:` is no list of whole numbers")
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
