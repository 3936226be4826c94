"""What leaves the trainer as text: the worker's lines, the old log lines, and progress lines among them.

People and operator read the same stream: a second container for one of them would have to be paid for, and to
end, in every pod, and a file in the pod could be read by exec alone. So what the operator reads stands at the
end of a line of words, seldom enough not to be in the way; it looks for a prefix, wherever in a line.
"""

from __future__ import annotations

import contextlib
import datetime
import sys
import time
import zoneinfo
from collections.abc import Mapping
from typing import TextIO

from yolo_crds.trainer import PROGRESS_EVERY_LINES

from ..runfolder.logs import Log
from .progress import Progress

PROGRESS_SECONDS = 10.0, 30.0
"""Between progress lines: while a training is young and somebody watches, and after ten minutes; in between a
twentieth of its age."""
NEWS_SECONDS = 1.0
"""In place of the first of the two when an epoch has ended."""
_OF_AGE = 20


class Console:
    """Standard streams of the supervisor and, once opened, the attempt's two logs.

    A log file that cannot be written (disk full) is given up; what was printed still reaches the streams.
    """

    def __init__(self, progress: Progress, time_zone: str, *, leads: bool = True) -> None:
        """Of several pods only the one that `leads` tells progress."""
        self._leads = leads
        self._progress = progress
        self._streams: dict[str, TextIO] = {"out": sys.stdout, "err": sys.stderr}
        self._logs: dict[str, Log] = {}
        self._zone = _zone(time_zone)
        self._seq = 0
        self._lines = 0
        self._started = time.monotonic()
        self._last_progress = float("-inf")

    def use_logs(self, logs: Mapping[str, Log]) -> None:
        """From now on lines also go to these logs, by stream."""
        self.close()
        self._logs.update(logs)

    def close(self) -> None:
        """Closes the logs."""
        for log in self._logs.values():
            log.close()
        self._logs.clear()

    def line(self, stream: str, text: str, now: float) -> None:
        """One line of the worker, of stream `out` or `err`.

        While epochs run, rows of Ultralytics' tables, which are indented, go to the log alone: five an epoch,
        and `say` tells the same in one line.
        """
        log = self._logs.get(stream)
        is_row = stream == "out" and self._progress.in_epochs and (not text or text.startswith(" "))
        if log is None or not is_row:
            self._print(stream, text)
        if log:
            for lost in log.write(f"{text}\n"):
                self._print("err", f"WARNING {lost}")
        if self._lines >= PROGRESS_EVERY_LINES - 10:  # what else is printed must fit into the hundred, too
            self.progress(now)

    def legacy(self, text: str, now: float) -> None:
        """A line that clients of the older server parse: `* <text>, <local time>`."""
        if not self._leads:
            return
        stamp = datetime.datetime.now(self._zone).strftime("%Y-%m-%d %H:%M:%S")
        self.line("out", f"* {text}, {stamp}", now)

    def say(self, text: str) -> None:
        """A line for who follows the pod's log; the log files hold what Ultralytics says instead."""
        if self._leads:
            self._print("out", text)

    def progress(self, now: float) -> None:
        """A progress line, now: a few words for people and, from its prefix on, all for the operator."""
        self._last_progress = now
        if not self._leads:
            return
        self._seq += 1
        line = self._progress.line(self._seq, now, time.time()).to_line()
        self._print("out", f"{self._progress.words(now)} {line}")
        self._lines = 0

    def progress_if_due(self, now: float, *, news: bool = False) -> None:
        """A progress line if the last one is old enough (`PROGRESS_SECONDS`); `news`: an epoch has ended."""
        shortest, longest = PROGRESS_SECONDS
        shortest = NEWS_SECONDS if news else shortest
        if now - self._last_progress >= min(longest, max(shortest, (now - self._started) / _OF_AGE)):
            self.progress(now)

    def _print(self, stream: str, text: str) -> None:
        self._lines += 1
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more: the files are still written
            print(text, file=self._streams[stream], flush=True)


def _zone(name: str) -> datetime.tzinfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return datetime.UTC
