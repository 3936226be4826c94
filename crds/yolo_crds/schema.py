"""What an Ultralytics version knows by name: arguments, architectures, checkpoints, metrics.

All of it is read from `schema.json`, which the trainer image exports from the installed version.
"""

import difflib
from collections.abc import Iterable
from functools import cache
from importlib import resources

from pydantic import Field

from .base import Lenient
from .training import Task


class Argument(Lenient):
    """One argument of Ultralytics."""

    types: list[str]
    """JSON types: integer, number, boolean, string, array."""
    default: object = None
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    section: str = ""
    description: str = ""


class Architecture(Lenient):
    """One model that Ultralytics knows by name."""

    task: Task
    file: str | None = None
    """YAML file of the package that it is built from."""
    scale: str | None = None


class Schema(Lenient):
    """The export of one Ultralytics version."""

    ultralytics: str
    arguments: dict[str, Argument]
    architectures: dict[str, Architecture]
    """By file name, such as `yolo11s-seg.yaml`."""
    weights: dict[str, Architecture]
    """Published checkpoints by file name, such as `yolo11s-seg.pt`."""
    task_metric: dict[Task, str] = Field(default_factory=dict)
    """The metric that a task is judged by, as `metrics/mAP50-95(B)`."""


_EQUALS = 4
"""So many equally likely names are compared."""


@cache
def load_schema() -> Schema:
    """The committed export of the Ultralytics version that the trainer image holds."""
    text = resources.files(__package__).joinpath("schema.json").read_text(encoding="utf-8")
    return Schema.model_validate_json(text)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like `name`, of equals the first; None when none does."""
    found = difflib.get_close_matches(name, list(known), n=_EQUALS, cutoff=0.6)
    return max(sorted(found), key=lambda one: _likeness(name, one), default=None)


def _likeness(name: str, one: str) -> float:
    matcher = difflib.SequenceMatcher(b=name)
    matcher.set_seq1(one)
    return matcher.ratio()
