"""Names of models: the file that `template.model` means, on the volume or in the package, and its task."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from .meta import normalize_model_name
from .schema import Architecture, load_schema, nearest
from .training import Task

_TASK_MARKS: dict[str, Task] = {
    "-sem": "semantic",
    "-seg": "segment",
    "-cls": "classify",
    "-pose": "pose",
    "-obb": "obb",
    "-depth": "depth",
}
_ARCHITECTURE_SUFFIXES = (".yaml", ".yml")
_P6 = re.compile(r"(yolov[58])([nslmx])6\Z")
_RUN_PREFIX = "run:"
_OF_RUN = re.compile(rf"{_RUN_PREFIX}([^/]+)/(best|last)(?:\.pt)?\Z")


@dataclass(frozen=True)
class EarlierRun:
    """A checkpoint that a training left in its run folder, as a model to start from."""

    model_name: str
    """Of the run folder; in NFC."""
    file: str
    """`best.pt` or `last.pt`."""

    def __str__(self) -> str:
        return f"{_RUN_PREFIX}{self.model_name}/{self.file.removesuffix('.pt')}"


def parse_earlier_run(model: str) -> EarlierRun | None:
    """The checkpoint that `run:<model name>/best` or `…/last` names; None for any other model.

    Raises ValueError with a sentence for one that begins so and goes on otherwise.
    """
    if not model.startswith(_RUN_PREFIX):
        return None
    found = _OF_RUN.match(model)
    if found is None:
        raise ValueError(f"{model!r} names no checkpoint of a run; write run:<model name>/best, or …/last")
    return EarlierRun(normalize_model_name(found[1]), f"{found[2]}.pt")


def is_architecture(model: str) -> bool:
    """Whether the name asks for a training from scratch; else it means a checkpoint."""
    return PurePosixPath(model).suffix in _ARCHITECTURE_SUFFIXES


def checkpoint_files(model: str) -> list[str]:
    """Names of the checkpoint that a bare name or .pt means, the likeliest first.

    yolov5s.pt is published as yolov5su.pt, with Ultralytics' own head, and so is looked for first: a file of
    the old name is likely the YOLOv5 repository's.
    """
    stem = model.removesuffix(".pt")
    renamed = f"{stem}u.pt"
    return [renamed, f"{stem}.pt"] if renamed in load_schema().weights else [f"{stem}.pt"]


def package_architecture(model: str) -> str | None:
    """Name of the package's own file for an architecture, such as yolov5s-p6.yaml for yolov5s6.yaml; None
    when it has none.
    """
    path = PurePosixPath(model)
    name = _P6.sub(r"\1\2-p6", path.stem) + path.suffix
    return name if name in load_schema().architectures else None


def known_model(model: str) -> Architecture | None:
    """What Ultralytics knows of a model by its name; None when the name is the user's own."""
    schema = load_schema()
    for name in (model, f"{model}.pt", f"{model}.yaml"):
        if found := schema.weights.get(name) or schema.architectures.get(name):
            return found
    return next((schema.weights[file] for file in checkpoint_files(model) if file in schema.weights), None)


def infer_task(model: str) -> Task:
    """The task of a model by its name, as Ultralytics reads it; `detect` when the name does not say."""
    if known := known_model(model):
        return known.task
    path = PurePosixPath(model)
    for mark, task in _TASK_MARKS.items():
        if mark in path.stem or task in path.parts:
            return task
    return "detect"


def suggest_model(model: str) -> str | None:
    """The known checkpoint or architecture that was likely meant; None when this is one, or is like none."""
    schema = load_schema()
    if is_architecture(model):
        return None if package_architecture(model) else nearest(model, schema.architectures)
    files = checkpoint_files(model)
    return None if any(file in schema.weights for file in files) else nearest(files[-1], schema.weights)
