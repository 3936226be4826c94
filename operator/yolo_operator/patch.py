"""What of a status is written: the difference to what is stored, or nothing."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from yolo_crds.conditions import TERMINAL_PHASES, Phase
from yolo_crds.status import Status, drop_empty

from .snapshot import Wire, parse_time, print_time

SEEN_EVERY = timedelta(minutes=9)
"""Age at which `seenAt` alone is worth a write; with a resync every five minutes that is every ten."""


def status_patch(stored: Wire, status: Status, now: datetime) -> dict[str, Any]:
    """The patch of `.status`, with the time at which it is written while the training is active; empty when
    nothing but the progress' time would change, and what is stored was not written long ago.
    """
    patch = merge_patch(drop_empty(stored), status.to_wire())
    nothing_new = patch.keys() <= {"progress"} and _only_time(patch.get("progress"))
    active = is_active(status.phase)
    if nothing_new and not (active and _long_ago(status.seen_at, now)):
        return {}
    return patch | {"seenAt": print_time(now)} if active else patch


def merge_patch(old: Wire, new: Wire) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that turns `old` into `new`; empty when nothing differs."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := merge_patch(before, value):
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch


def is_active(phase: Phase | None) -> bool:
    """Whether the operator, and no person, has the next word."""
    return phase != Phase.SUSPENDED and phase not in TERMINAL_PHASES


def _long_ago(seen_at: str | None, now: datetime) -> bool:
    """Whether `seenAt` is worth a write. One in the future is not: two operators whose clocks differ would
    answer each other without end."""
    try:
        return seen_at is None or now - parse_time(seen_at) >= SEEN_EVERY
    except (ValueError, TypeError):
        return True


def _only_time(patch: object) -> bool:
    return patch is None or (isinstance(patch, Mapping) and patch.keys() <= {"updatedAt"})
