"""SIGTERM in the worker: leave at once, wherever the program is, but never in the middle of a save."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Interrupted(BaseException):
    """The process was asked to end. Not an Exception: libraries that catch those must let it through."""


class Interrupts:
    """Turns SIGTERM and SIGINT into `Interrupted` in the main thread."""

    def __init__(self) -> None:
        self.requested = False
        self._shields = 0

    def install(self) -> None:
        """Takes over both signals."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def check(self) -> None:
        """Raises `Interrupted` if a signal came: for where a library swallowed the first one."""
        if self.requested and not self._shields:
            raise Interrupted

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        """A signal within the block takes effect at its end."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        self.check()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.requested = True
        self.check()
