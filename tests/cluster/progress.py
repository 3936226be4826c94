"""Says what a long step is doing and for how long: a user who waits must see that something moves."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_INTERVAL = 15.0  # seconds between two lines where the output is no terminal


def say(message: str) -> None:
    """One line for a person, on stderr so that stdout stays for results."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Shows `title` and its elapsed time: refreshed on a terminal, else at start, end and every 15 s."""
    terminal = sys.stderr.isatty()
    started = time.monotonic()
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(1.0 if terminal else QUIET_INTERVAL):
            elapsed = time.monotonic() - started
            line = f"  {title} … {elapsed:.0f} s"
            if terminal:
                print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
            else:
                say(line)

    if terminal:
        print(f"  {title} …", end="", file=sys.stderr, flush=True)
    else:
        say(f"  {title} …")
    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    outcome = "failed after"
    try:
        yield
        outcome = "done in"
    finally:
        ended.set()
        reporter.join()
        elapsed = time.monotonic() - started
        print("\r\x1b[K" if terminal else "", end="", file=sys.stderr)
        say(f"  {title}: {outcome} {elapsed:.1f} s")
