"""Sizes and spans of time as people read and write them."""

from __future__ import annotations

import re

_UNITS = ("KiB", "MiB", "GiB", "TiB")
_SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}


def bytes_text(count: int) -> str:
    """A number of bytes with a unit, as `3.2 GiB`."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in _UNITS:
        value /= 1024
        if value < 1023.95 or unit == _UNITS[-1]:
            break
    return f"{value:.1f} {unit}"


def span_text(seconds: float) -> str:
    """A span of time in its largest unit, as `5 d`."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"


def parse_span(text: str) -> int:
    """Seconds of `36h`, `30d` or `2w`; raises ValueError with a sentence for anything else."""
    found = re.fullmatch(r"([0-9]{1,6})([hdw])", text)
    if found is None:
        raise ValueError(f"{text!r} is no span of time; want a number with h, d or w, as 30d")
    return int(found[1]) * _SECONDS[found[2]]
