"""Finds and undoes mounts below a folder: what pods and their runtime leave when they are killed."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

MNT_DETACH = 2


def below(folder: Path) -> list[Path]:
    """Mount points at or below `folder`, the innermost first."""
    prefix = str(folder)
    points = [
        re.sub(r"\\(\d{3})", lambda match: chr(int(match.group(1), 8)), line.split()[4])
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    return [Path(point) for point in reversed(points) if point == prefix or point.startswith(prefix + "/")]


def detach(folder: Path) -> None:
    """Unmounts everything at or below `folder`, even what is in use (its last user ends it)."""
    libc = ctypes.CDLL(None, use_errno=True)
    for point in below(folder):
        libc.umount2(str(point).encode(), MNT_DETACH)
