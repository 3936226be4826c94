"""What a data.yaml says about classes, keypoints and masks: read safely, each key checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from ...errors import InvalidDataError
from ..text_file import read_lines

MAX_BYTES = 1 << 20
"""Twenty times the largest file of Ultralytics' own."""
MAX_CLASSES = 10_000
MASKS = "masks"
"""Folder of class masks that Ultralytics takes without being told by `masks_dir:`."""
_IGNORE = "ignore_label"
_IGNORED_ID = 255
_MAX_NODES = 1_000_000


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping, read safely; raises InvalidDataError when it is none."""
    text = "\n".join(read_lines(path, MAX_BYTES))
    try:
        content = _load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InvalidDataError(f"{path} is not YAML: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(content, dict):
        raise InvalidDataError(f"{path} is no mapping of names to values")
    return content


def _load(text: str) -> object:
    """The document, refused before it is built when its aliases would make it endless ("billion laughs")."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _weight(node, {}) > _MAX_NODES:
            raise yaml.YAMLError("its anchors and aliases stand for more than it may hold")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _weight(node: yaml.Node, known: dict[int, int]) -> int:
    """Nodes below and with this one, each alias counted as what it stands for; a loop counts as too many."""
    if id(node) not in known:
        known[id(node)] = _MAX_NODES  # what is met again before it is summed up holds itself
        children: Iterable[yaml.Node] = ()
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = chain.from_iterable(node.value)
        known[id(node)] = 1 + sum(_weight(child, known) for child in children)
    return known[id(node)]


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
        names = _in_order(names, path)
    for i, name in enumerate(names):
        if isinstance(name, bool):
            raise InvalidDataError(
                f"{path}: name {i} of `names:` is {str(name).lower()} to YAML, as yes, no, on and off are",
                'put the name into quotes, as in names: ["yes", "no"]',
            )
        if not isinstance(name, str | int | float):
            raise InvalidDataError(f"{path}: name {i} of `names:` is no text")
    if isinstance(count, int) and count != len(names):
        raise InvalidDataError(f"{path}: `nc: {count}` but {len(names)} names")
    return [str(name) for name in names]


def _in_order(names: Mapping[Any, Any], path: Path) -> list[Any]:
    """The values by their keys, which may be text too: JSON knows no other."""
    by_index = {int(key) if isinstance(key, str) and key.isdecimal() else key: names[key] for key in names}
    if len(by_index) < len(names) or not all(i in by_index for i in range(len(names))):
        found = ", ".join(str(key)[:20] for key in list(names)[:5] if isinstance(key, str | int | float))
        raise InvalidDataError(
            f"{path}: the keys of `names:` are not 0 to {len(names) - 1}, but {found}"
            + (" …" if len(names) > 5 else "")
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
