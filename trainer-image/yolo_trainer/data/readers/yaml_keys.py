"""The keys of a data.yaml: which are read, which go on to Ultralytics, and which nobody reads.

After what Ultralytics 8.4.190 reads of one: `data/utils.py` (check_det_dataset), `data/dataset.py`,
`models/yolo/*/train.py` and `models/yolo/pose/val.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolo_crds.training import Task

from ...errors import InvalidDataError
from ..source import COLOURS, Passed
from .data_yaml import class_count, keypoint_shape

_READ = frozenset(
    {
        *("path", "train", "training", "val", "valid", "validation", "nc", "names", "channels", "download"),
        *("kpt_shape", "flip_idx", "kpt_names", "kpt_oks_sigmas", "masks_dir", "label_mapping"),
    }
)
_OF_NO_EFFECT = frozenset({"test", "minival", "roboflow"})
"""Other images than a training's; where Roboflow keeps the set."""
_SHOWN = 10


def read_passed(content: Mapping[str, Any], path: Path, task: Task) -> Passed:
    """Raises InvalidDataError that names the key, for what Ultralytics or prepare could not follow."""
    channels = _channels(content, path)
    if task != "pose":
        return Passed(channels)
    return Passed(channels, _keypoint_names(content, path), _sigmas(content, path))


def unread_keys(content: Mapping[str, Any]) -> list[str]:
    """A warning that names the keys which neither prepare nor Ultralytics reads."""
    unread = [str(key)[:40] for key in content if key not in _READ | _OF_NO_EFFECT]
    more = " …" if len(unread) > _SHOWN else ""
    return [f"keys that are not read: {', '.join(unread[:_SHOWN])}{more}"] if unread else []


def _channels(content: Mapping[str, Any], path: Path) -> int:
    match content.get("channels"):
        case None:
            return COLOURS
        case (1 | 3) as channels if type(channels) is int:
            return channels
        case int() as channels if type(channels) is int and channels > 0:
            raise InvalidDataError(
                f"{path}: `channels: {channels}` is not supported: images of 1 channel (grey) or 3 (colour) "
                "are checked and prepared, no multispectral ones",
                "take one or three of the channels into images of their own, with `channels:` 1 or 3",
            )
    raise InvalidDataError(f"{path}: `channels: {repr(content['channels'])[:40]}` is neither 1 nor 3")


def _keypoint_names(content: Mapping[str, Any], path: Path) -> dict[int, list[str]] | None:
    """The names by class index; a list alone holds for every class."""
    raw, shape = content.get("kpt_names"), keypoint_shape(content, path)
    if not raw or shape is None:
        return None
    if isinstance(raw, list):
        names = content.get("names")
        raw = dict.fromkeys(range(len(names) if names else class_count(content, path) or 1), raw)
    if isinstance(raw, dict) and all(_is_index(key) and _are_names(raw[key], shape[0]) for key in raw):
        return {int(key): list(raw[key]) for key in raw}
    raise InvalidDataError(
        f"{path}: `kpt_names:` does not give {shape[0]} names for class indices",
        "write a list of names for each class, as kpt_names: {0: [nose, left_eye, right_eye]}",
    )


def _is_index(key: object) -> bool:
    return type(key) is int or (isinstance(key, str) and key.isdecimal())


def _are_names(value: object, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(isinstance(one, str) for one in value)


def _sigmas(content: Mapping[str, Any], path: Path) -> list[float] | None:
    raw, shape = content.get("kpt_oks_sigmas"), keypoint_shape(content, path)
    if raw is None or shape is None:
        return None
    if (
        isinstance(raw, list)
        and len(raw) == shape[0]
        and all(type(one) in (int, float) and math.isfinite(one) and one > 0 for one in raw)
    ):
        return [float(one) for one in raw]
    raise InvalidDataError(f"{path}: `kpt_oks_sigmas:` is not {shape[0]} numbers above 0, one a keypoint")
