"""What the container may use and whether the kernel killed for memory, from the cgroup (version 2 or 1)."""

from __future__ import annotations

import math
import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def cpus(root: Path = ROOT) -> int:
    """Whole CPUs that this process may use, at least 1: its affinity, and the quota of its cgroup."""
    available = len(os.sched_getaffinity(0))
    quota = _read(root / "cpu.max").split()
    if not quota:
        quota = [_read(root / "cpu" / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    try:
        limit = int(quota[0]) / int(quota[1])
    except (ValueError, IndexError, ZeroDivisionError):
        return available  # "max", or no cgroup at all
    return available if limit <= 0 else max(1, min(available, math.ceil(limit)))


def oom_kills(root: Path = ROOT) -> int:
    """How many processes of the cgroup the kernel has killed for want of memory; 0 when it does not say."""
    for path in (root / "memory.events", root / "memory" / "memory.oom_control"):
        for line in _read(path).splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill" and value.isdigit():
                return int(value)
    return 0
