"""One at a time: advisory file locks that end with the process that holds them."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .progress import say


@contextmanager
def locked(path: Path, *, waiting_for: str | None = None) -> Iterator[None]:
    """Holds the lock on `path` (created if missing); says what it waits for if another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting_for:
                say(f"  waiting for another process that has {waiting_for} …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
