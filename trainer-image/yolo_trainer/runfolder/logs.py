"""The logs of an attempt: its own, and the one at the old path, which tells all attempts as one training.

The published log is made anew at each start, from the logs of the attempts before and this one's own, and
moved over the older one: what an overtaken attempt still writes goes into a file that has no name any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO

from yolo_crds.layout import RunFolder

from . import copies, files
from .publish import Licence

LOGS = "logs"
STREAMS = {"out": "train_std.log", "err": "train_err.log"}
"""File names of the older server, by stream."""


class Log:
    """A stream's two files. One that cannot be written is given up; the other goes on."""

    def __init__(self, own: IO[str]) -> None:
        self._files = [own]

    def show(self, parts: Sequence[Path], place: Path) -> None:
        """Writes what there is so far to `place` as well, and from now on each line."""
        copies.join(parts, place)
        for earlier in self._files[1:]:
            earlier.close()
        self._files[1:] = [files.append_to(place)]

    def write(self, text: str) -> list[str]:
        """Writes to both; sentences about a file that is given up."""
        lost = []
        for file in list(self._files):
            try:
                file.write(text)
            except OSError as error:
                self._files.remove(file)
                lost.append(f"{file.name} is given up: {error}")
                with contextlib.suppress(OSError):
                    file.close()
        return lost

    def close(self) -> None:
        """Closes both."""
        for file in self._files:
            with contextlib.suppress(OSError):
                file.close()
        self._files.clear()


def open_logs(folder: RunFolder, chain: Sequence[Path], licence: Licence) -> dict[str, Log]:
    """The attempt's logs to append to, by stream; `chain` holds attempts' folders and ends with its own."""
    files.make_folder(chain[-1] / LOGS)
    opened: dict[str, Log] = {}
    with contextlib.ExitStack() as stack:
        for stream, name in STREAMS.items():
            parts = [attempt / LOGS / name for attempt in chain]
            log = opened[stream] = Log(files.append_to(parts[-1]))
            stack.callback(log.close)
            licence.put(folder.logs / name, partial(log.show, parts))
        stack.pop_all()
    return opened
