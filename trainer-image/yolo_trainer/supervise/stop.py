"""SIGTERM in PID 1, heard before anything else is imported."""

from __future__ import annotations

import signal
from types import FrameType


class StopSignal:
    """Remembers that the program was asked to end. As PID 1 it would not even notice SIGTERM by itself."""

    def __init__(self) -> None:
        self.number: int | None = None

    def install(self) -> None:
        """Takes over SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.number = self.number or number
