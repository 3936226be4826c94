"""SIGTERM in the worker: leave at once, wherever the program is, but not amid a step or a save."""

from __future__ import annotations

import contextlib
import faulthandler
import signal
from collections.abc import Iterator
from types import FrameType

_SECONDS = 20.0
"""So long after SIGTERM the process is gone, whatever it does: a save, a collective that never ends."""
_REST_SECONDS = 40.0
"""Of a longer grace period: what is left for who asked for the stop. By default, 60 s, it ends in 20 s."""
_KILL_SECONDS = 7.0
"""Of a shorter one: the supervisor kills 5 s before its end, and the worker's own word comes first."""


def seconds_to_leave(grace: float) -> float:
    """How long a stop may take in a pod with so many seconds of grace: a longer one is used for saving."""
    return min(max(_SECONDS, grace - _REST_SECONDS), max(1.0, grace - _KILL_SECONDS))


class Interrupted(BaseException):
    """The process was asked to end. Not an Exception: libraries that catch those must let it through."""


class Interrupts:
    """Turns the first SIGTERM or SIGINT into `Interrupted` in the main thread; further ones change nothing.

    A process that has not left `seconds` later is ended with its stacks on standard error, in the middle of
    a save too: files are moved to their places whole.
    """

    def __init__(self) -> None:
        self.requested = False
        self.seconds = _SECONDS
        self._shields = 0
        self._held = False

    def install(self) -> None:
        """Takes over both signals."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def check(self) -> None:
        """Raises `Interrupted` if a signal came: for where a library swallowed the first one."""
        if self.requested and not self._shields and not self._held:
            raise Interrupted

    def hold(self) -> None:
        """From here to `release` a signal waits: a step is under way."""
        self._held = True

    def release(self) -> None:
        """Ends `hold`; what came meanwhile takes effect."""
        self._held = False
        self.check()

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
        if self.requested:
            return
        self.requested = True
        # A thread of C code: it ends the process even where the interpreter waits for a disk or a GPU.
        faulthandler.dump_traceback_later(self.seconds, exit=True)
        self.check()
