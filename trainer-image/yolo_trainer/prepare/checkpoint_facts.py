"""What a checkpoint says of itself: its task, classes, image size and channels. Nothing of it is loaded.

The pickle is read with a stand-in for every class and function that it names, so that none of them is looked
up, let alone called (https://docs.python.org/3/library/pickle.html#restricting-globals).
"""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from yolo_crds.training import Task

from .checkpoints import PICKLE_BYTES, read_pickle

_TASKS: dict[str, Task] = {
    "SemanticSegmentationModel": "semantic",
    "SegmentationModel": "segment",
    "PoseModel": "pose",
    "OBBModel": "obb",
    "DepthModel": "depth",
    "ClassificationModel": "classify",
    "DetectionModel": "detect",
}
"""By how the names of Ultralytics' model classes end (nn/tasks.py); the first that fits."""


@dataclass(frozen=True)
class Facts:
    """What is known of a checkpoint; None where it does not say."""

    task: Task | None = None
    names: tuple[str, ...] | None = None
    """Class names by index."""
    imgsz: int | None = None
    """Edge of the images that it was trained on, in pixels."""
    channels: int | None = None


class _StandIn:
    """Bears whatever a pickle does with an object, and keeps its state."""

    state: Any = None

    def __init__(self, *arguments: object, **named: object) -> None:
        del arguments, named

    def __new__(cls, *arguments: object, **named: object) -> Self:
        del arguments, named
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        """Of a list of another class."""

    def add(self, item: object) -> None:
        """Of a set of another class."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        return type(name, (_StandIn,), {})

    def persistent_load(self, pid: object) -> None:
        """Of a tensor's storage nothing is read."""
        del pid


def read_facts(path: Path) -> Facts:
    """What the checkpoint says, which `check_checkpoint` has passed; nothing known of what cannot be read."""
    content = _read(read_pickle(path))
    model = content.get("ema") or content.get("model")
    kind = type(model).__name__ if isinstance(model, _StandIn) else ""
    state = model.state if isinstance(model, _StandIn) and isinstance(model.state, dict) else {}
    return Facts(
        task=next((task for end, task in _TASKS.items() if kind.endswith(end)), None),
        names=_names(state.get("names")),
        imgsz=_number(_mapping(content.get("train_args")).get("imgsz")),
        channels=_number(_mapping(state.get("yaml")).get("channels")),
    )


def read_containers(stream: IO[bytes]) -> dict[str, Any]:
    """The containers, numbers and texts of what torch.save wrote, without tensors; empty if unreadable."""
    try:
        with zipfile.ZipFile(stream) as archive:
            member = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(member) as file:
                return _read(file.read(PICKLE_BYTES))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, StopIteration):
        return {}


def _read(pickled: bytes) -> dict[str, Any]:
    try:
        content = _Reader(io.BytesIO(pickled), encoding="latin-1").load()
    except Exception:  # pickle raises nearly anything on bytes that are odd
        return {}
    return content if isinstance(content, dict) else {}


def _names(value: object) -> tuple[str, ...] | None:
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict) or sorted(map(str, value)) != sorted(map(str, range(len(value)))):
        return None
    return tuple(str(value[key])[:128] for key in sorted(value, key=int))


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _mapping(value: object) -> Mapping[object, object]:
    return value if isinstance(value, dict) else {}
