"""What the worker prints, as lines: progress bars that overwrite themselves become a line now and then."""

from __future__ import annotations

import re

BAR_SECONDS = 10.0
"""A bar shows its intermediate states this often, and its last one always."""
_MAX_LINE = 16_384
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BREAK = re.compile(rb"\r\n|\r|\n")


class Lines:
    """Splits a byte stream into lines of text, without terminal control sequences.

    `\\r` begins a new state of the same line: one that is overwritten is dropped unless none was shown for
    `BAR_SECONDS`; the state that a line break ends is always shown.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._bar_shown = float("-inf")

    def feed(self, data: bytes, now: float) -> list[str]:
        """The lines that `data` completes; `now` in seconds of any steady clock."""
        lines = []
        buffer = self._rest + data
        start = 0
        for match in _BREAK.finditer(buffer):
            if match.end() == len(buffer) and match[0] == b"\r":
                break  # perhaps the first half of \r\n
            lines += self._line(buffer[start : match.start()], match[0] == b"\r", now)
            start = match.end()
        self._rest = buffer[start:]
        if len(self._rest) > _MAX_LINE:
            lines += self._line(self._rest, overwritten=False, now=now)
            self._rest = b""
        return lines

    def flush(self, now: float) -> list[str]:
        """What is left at the end of the stream."""
        rest, self._rest = self._rest, b""
        return self._line(rest.rstrip(b"\r"), overwritten=False, now=now) if rest.strip() else []

    def _line(self, raw: bytes, overwritten: bool, now: float) -> list[str]:
        text = _ANSI.sub("", raw.decode("utf-8", "replace")).rstrip()
        if overwritten:
            if not text or now - self._bar_shown < BAR_SECONDS:
                return []
            self._bar_shown = now
        return [text]
