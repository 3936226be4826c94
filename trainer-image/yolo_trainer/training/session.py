"""What a supervised trainer knows of the attempt that it is a part of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from yolo_crds.training import SaveInterval

from ..process.interrupts import Interrupts
from ..process.report import Report
from ..runfolder.attempt import Attempt
from ..runfolder.attempts import Start
from .callbacks import Callbacks


@dataclass
class Session:
    """What a supervised trainer needs besides Ultralytics' arguments."""

    report: Report
    interrupts: Interrupts
    callbacks: Callbacks
    attempt: Attempt
    """What may be done with the run folder."""
    start: Start
    """What to go on from; its results are kept, since Ultralytics deletes those in its own folder."""
    interval: SaveInterval = field(default_factory=SaveInterval)
    seconds: float = 0.0
    """Training time of earlier attempts."""
    best: dict[str, object] | None = None
    built: list[dict[str, Any]] = field(default_factory=list)
