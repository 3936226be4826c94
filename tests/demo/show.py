"""Live progress as a person likes it: one line that refreshes on a terminal, a line a change elsewhere."""

import sys
import time
from collections.abc import Iterable
from typing import Any

_BAR = 24


def format_state(name: str, state: dict[str, Any], elapsed: float) -> str:
    """One line: phase or stage, epoch, metric, ETA, time since the start."""
    parts = [name, f"{state['phase']:<10}"]
    if state.get("percent") is not None and state["phase"] not in ("Pending", "Preparing", "Queued"):
        done = round(_BAR * state["percent"] / 100)
        parts.append("█" * done + "░" * (_BAR - done))
    if state.get("epoch") is not None:
        parts.append(f"epoch {state['epoch']}/{state['epochs']}")
    metrics = state.get("metrics") or {}
    parts += [f"{key} {metrics[wire]:.2f}" for key, wire in _METRICS.items() if metrics.get(wire) is not None]
    if state.get("eta_seconds") is not None and state["phase"] == "Running":
        parts.append(f"ETA {_duration(state['eta_seconds'])}")
    if state.get("message") and state["phase"] not in ("Running", "Succeeded"):
        parts.append(f"{state['reason']}: {state['message']}")
    return "  ".join([*parts, f"[{_duration(elapsed)}]"])


def show_progress(name: str, states: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Print every state; the last one is returned."""
    started = time.monotonic()
    last: dict[str, Any] = {}
    shown = ""
    for state in states:
        last = state
        line = format_state(name, state, time.monotonic() - started)
        if sys.stdout.isatty():
            print(f"\r\x1b[K{line}", end="", flush=True)
        elif line.rsplit("  [", 1)[0] != shown:
            print(line, flush=True)
        shown = line.rsplit("  [", 1)[0]
    if sys.stdout.isatty():
        print()
    return last


_METRICS = {"mAP50": "metrics/mAP50(B)", "mAP50-95": "metrics/mAP50-95(B)"}


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
