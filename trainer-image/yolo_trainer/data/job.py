"""One preparation of a data set on its way: what is asked for, and what is to be said of it so far."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property

from yolo_crds.layout import DataVolume
from yolo_crds.references import shown
from yolo_crds.schema import load_schema
from yolo_crds.training import Data, Task

from .parallel import Report
from .remote import Remote
from .skipped import Skipped
from .tree import Tree

_VERSION = 8
"""Of the rules by which sets are prepared; part of the keys under which outcomes are remembered."""


@dataclass
class Job:
    """One preparation on its way."""

    volume: DataVolume
    data: Data
    task: Task
    report: Report
    tree: Tree
    """That `data` names paths in: the data volume, or the image volume of `data.image`."""
    remote: Remote | None
    skipped: Skipped = field(default_factory=Skipped)
    warnings: list[str] = field(default_factory=list)
    started_ns: int = field(default_factory=time.time_ns)

    @cached_property
    def trees(self) -> tuple[Tree, ...]:
        """All that files may lie in, the data volume first."""
        volume = Tree(self.volume)
        return (volume, self.tree) if self.tree.image else (volume,)

    def told(self, text: str) -> str:
        """A sentence with paths as seen from their volume."""
        for tree in self.trees:
            text = tree.told(text)
        return text

    @property
    def train(self) -> str:
        """How the user named the training data, for messages."""
        return shown(self.data.train)

    @property
    def options(self) -> list[object]:
        """What an outcome depends on besides files."""
        return [_VERSION, load_schema().ultralytics, self.data.to_wire(), self.task]
