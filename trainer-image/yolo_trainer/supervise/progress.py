"""How far an attempt is: the worker's events folded into one state, and that state as a progress line."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping

from yolo_crds.status import Best
from yolo_crds.trainer import PROGRESS_MAX_BYTES, ProgressLine

_EPOCHS_IN_ETA = 8
"""Median of so many epochs: one slow epoch (cold caches) does not spoil the estimate."""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _best(event: Mapping[str, object]) -> Best | None:
    """The best epoch as the trainer tells it: of equal ones the last, which is the one in best.pt."""
    best = event.get("best")
    if not isinstance(best, Mapping):
        return None
    metrics = {k: v for k, v in dict(best.get("metrics") or {}).items() if v is not None}
    return Best.model_validate({**best, "metrics": metrics})


class Progress:
    """State of one attempt; times are seconds of one steady clock."""

    def __init__(self, now: float) -> None:
        self.stage = "start"
        self.epochs: int | None = None
        self.epochs_done: int | None = None
        self.metrics: dict[str, float | None] = {}
        self.best: Best | None = None
        self.warnings: list[str] = []
        self._urgent: str | None = None
        self._direct: dict[str, object] = {}
        self._fitness: float | None = None
        self._images_per_second: float | None = None
        self._running: int | None = None
        self._epoch_started = now
        self._durations: deque[float] = deque(maxlen=_EPOCHS_IN_ETA)

    def apply(self, event: Mapping[str, object], now: float) -> None:
        """Folds one event of `report.Report` in; events of unknown kinds change nothing."""
        match event.get("event"):
            case "progress":
                self._progress({k: v for k, v in event.items() if k != "event"})
            case "resumed":
                self.epochs_done = int(str(event["epoch"]))
                self.epochs = int(str(event["epochs"]))
                self.best = _best(event)
            case "epoch_started":
                self._running = int(str(event["epoch"]))
                self.epochs = int(str(event["epochs"]))
                self._epoch_started = now
                self._progress({"stage": "epoch", "batch": 0, "batches": event.get("batches")})
            case "epoch_finished":
                self._epoch_finished(event, now)
            case "finished":
                self._set_metrics(event)
            case "warning":
                self.warnings.append(str(event["message"]))

    def warn(self, message: str) -> None:
        """What a person should know while the training runs, not only at its end."""
        self.warnings.append(message)
        self._urgent = message

    def line(self, seq: int, now: float, wall: float) -> ProgressLine:
        """The state as a line of at most `PROGRESS_MAX_BYTES`; `wall` in Unix seconds."""
        values: dict[str, object] = {
            "epoch": self._running or self.epochs_done,
            "epochs": self.epochs,
            "percent": self._percent(),
            "eta_seconds": self._eta(now),
            "images_per_second": self._images_per_second,
            "metrics": self.metrics,
            "fitness": self._fitness,
            "best": self.best,
            "warning": self._urgent,
            **self._direct,
            "stage": self.stage,
        }
        line = ProgressLine.model_validate({"seq": seq, "time": wall, **values})
        if len(line.to_line()) < PROGRESS_MAX_BYTES:
            return line
        return ProgressLine.model_validate({"seq": seq, "time": wall, **values, "metrics": {}, "best": None})

    def _progress(self, fields: dict[str, object]) -> None:
        self.stage = str(fields.pop("stage", self.stage))
        known = ProgressLine.model_fields.keys() - {"v", "seq", "time"}
        self._direct = {k: v for k, v in fields.items() if k in known and v is not None}

    def _epoch_finished(self, event: Mapping[str, object], now: float) -> None:
        epoch = int(str(event["epoch"]))
        self._durations.append(now - self._epoch_started)
        self._running = None
        self.epochs_done = epoch
        self.epochs = int(str(event.get("epochs") or self.epochs or epoch))
        self._direct = {}
        self._images_per_second = _number(event.get("images_per_second"))
        self._fitness = _number(event.get("fitness"))
        self._set_metrics(event)
        self.best = _best(event) or self.best

    def _set_metrics(self, event: Mapping[str, object]) -> None:
        metrics = event.get("metrics")
        if isinstance(metrics, Mapping):
            self.metrics = {str(k): _number(v) for k, v in metrics.items()}

    def _share(self) -> float:
        """Part of the running epoch's batches that are through."""
        if self._running is None or self.stage not in {"epoch", "val", "save"}:
            return 0.0
        if self.stage != "epoch":
            return 1.0
        done, total = _number(self._direct.get("batch")), _number(self._direct.get("batches"))
        return min(1.0, done / total) if done and total else 0.0

    def _percent(self) -> float | None:
        if not self.epochs:
            return None
        return round(min(100.0, 100 * ((self.epochs_done or 0) + self._share()) / self.epochs), 1)

    def _eta(self, now: float) -> int | None:
        """Median epoch (training and validation) times what is left; before the first, from its own pace."""
        if self.epochs is None:
            return None
        running = now - self._epoch_started if self._running else 0.0
        if self._durations:
            epoch = statistics.median(self._durations)
        elif share := self._share():
            epoch = running / share
        else:
            return None
        left = self.epochs - (self.epochs_done or 0)
        return max(0, round(epoch * left - min(running, epoch)))
