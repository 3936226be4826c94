"""When silence means that the worker hangs: judged by batches, not by whether a process lives."""

from __future__ import annotations

from collections.abc import Mapping

_LIMITS = {"start": 300.0, "import": 600.0, "save": 900.0, "export": 1800.0}
"""Seconds that a stage may be silent; all others have the training's stall limit."""
_BATCHED = frozenset({"epoch", "val"})
"""Stages in which only batches count as life: a data loader can print for ever and deliver nothing."""


class Watchdog:
    """Follows one worker; times are seconds of one steady clock."""

    def __init__(self, stall_seconds: float, now: float) -> None:
        self.stage = "start"
        self._stall_seconds = stall_seconds
        self._most = float("inf")
        self._alive = now

    def event(self, event: Mapping[str, object], now: float) -> None:
        """The worker reported something."""
        match event.get("event"):
            case "progress" | "epoch_started":
                self.stage = str(event.get("stage", "epoch"))
            case "epoch_finished":
                self.stage = "save"
        self._alive = now

    def output(self, now: float) -> None:
        """The worker printed something."""
        if self.stage not in _BATCHED:
            self._alive = now

    def doubt(self, seconds: float) -> None:
        """From now on no stage may be silent for longer than this."""
        self._most = seconds

    def silent_for(self, now: float) -> float | None:
        """Seconds of silence once they are too many for the stage, else None."""
        limit = min(_LIMITS.get(self.stage, self._stall_seconds), self._most)
        silence = now - self._alive
        return silence if silence > limit else None
