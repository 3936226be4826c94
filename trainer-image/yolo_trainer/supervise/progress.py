"""How far an attempt is: the worker's events folded into one state, and that state as a progress line."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping

from yolo_crds.status import Best
from yolo_crds.trainer import PROGRESS_MAX_BYTES, ProgressLine

from . import words

_EPOCHS_IN_ETA = 8
"""Median of so many epochs: one slow epoch (cold caches) does not spoil the estimate."""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _rounded(value: object) -> float | None:
    """To five digits, which is more than two trainings of one seed agree in; the result has them all."""
    number = _number(value)
    return None if number is None else float(f"{number:.5g}")


def _all_rounded(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _rounded(value) for name, value in metrics.items()}


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
        self.in_epochs = False
        """From the first epoch's begin to the end of the last one."""
        self._headed: set[str] = set()
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
                self.in_epochs = True
                self.epochs = int(str(event["epochs"]))
                self._epoch_started = now
                self._progress({"stage": "epoch", "batch": 0, "batches": event.get("batches")})
            case "epoch_finished":
                self._epoch_finished(event, now)
            case "finished":
                self.in_epochs = False
                self._set_metrics(event)
            case "warning":
                self.warnings.append(str(event["message"]))

    def warn(self, message: str) -> None:
        """What a person should know while the training runs, not only at its end."""
        self.warnings.append(message)
        self._urgent = message

    def heading(self) -> str | None:
        """What to head the log with when something new has begun; each stage once, epochs as one."""
        if self.stage == "import" and "import" not in self._headed:
            self._headed.clear()  # what prepare has told, in one program
        has_begun = self.stage != "verify" or "batches" in self._direct  # prepare begins by that name
        if not has_begun or self.stage in self._headed or (self.in_epochs and self.stage != "epoch"):
            return None
        self._headed.add(self.stage)
        return words.heading(self.stage, self._running, self.epochs)

    def epoch_line(self, event: Mapping[str, object], now: float) -> str:
        """What a person reads of the epoch that this event says has ended."""
        losses = event.get("losses")
        return words.epoch_line(
            self.epochs_done or 0,
            self.epochs or 0,
            losses={k: _number(v) for k, v in losses.items()} if isinstance(losses, Mapping) else {},
            metrics=self.metrics,
            best=self.best,
            images_per_second=self._images_per_second,
            gpu_gib=_number(event.get("gpu_gib")),
            seconds=self._durations[-1],
            eta_seconds=self._eta(now),
        )

    def words(self, now: float) -> str:
        """How far it is, for people; ASCII, at most `words.WORDS_MOST` long."""
        batch, batches = self._direct.get("batch"), self._direct.get("batches")
        epoch = self._running or self.epochs_done
        return words.how_far(self.stage, epoch, self.epochs, batch, batches, self._eta(now))

    def line(self, seq: int, now: float, wall: float) -> ProgressLine:
        """The state, which with `words` before it is a line of at most `PROGRESS_MAX_BYTES`; `wall` in Unix
        seconds."""
        values: dict[str, object] = {
            "epoch": self._running or self.epochs_done,
            "epochs": self.epochs,
            "percent": self._percent(),
            "eta_seconds": self._eta(now),
            "images_per_second": self._images_per_second,
            "metrics": {name: _rounded(value) for name, value in self.metrics.items()},
            "fitness": _rounded(self._fitness),
            "best": self.best and self.best.model_copy(update={"metrics": _all_rounded(self.best.metrics)}),
            "warning": self._urgent,
            **self._direct,
            "stage": self.stage,
        }
        values |= {"seq": seq, "time": round(wall, 1)}
        line = ProgressLine.model_validate(values)
        if len(line.to_line()) < PROGRESS_MAX_BYTES - words.WORDS_MOST:
            return line
        return ProgressLine.model_validate({**values, "metrics": {}, "best": None})

    def _progress(self, fields: dict[str, object]) -> None:
        self.stage = str(fields.pop("stage", self.stage))
        if self._running is None and self.stage in {"val", "export"}:
            self.in_epochs = False
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
