"""What the container may use, and whether the kernel killed for memory: from its cgroup (version 2 or 1), and
from what the pod asks for, which the operator hands on in the environment."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

from yolo_crds.meta import CPU_REQUEST_ENV, MEMORY_LIMIT_ENV

ROOT = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60
"""Version 1 writes nearly 2^63 where there is no limit of memory."""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def cpus(root: Path = ROOT, environment: Mapping[str, str] = os.environ) -> int:
    """Whole CPUs that this container may count on, at least 1 and never more than its affinity.

    The limit of its cgroup where there is one, else what the pod asks for, rounded up: how many CPUs the node
    has says nothing, since its other pods were promised theirs. Without either, as on a workstation, all.
    """
    available = len(os.sched_getaffinity(0))
    promised = _quota(root) or _number(environment.get(CPU_REQUEST_ENV, ""))
    return max(1, min(available, math.ceil(promised))) if promised else available


def threads(root: Path = ROOT, environment: Mapping[str, str] = os.environ) -> int:
    """The part of `cpus` that one process may keep busy: the ranks of a training on one node share them."""
    ranks = _number(environment.get("LOCAL_WORLD_SIZE", "")) or 1  # of `supervise.ranks`
    return max(1, cpus(root, environment) // int(ranks))


def memory_limit(root: Path = ROOT, environment: Mapping[str, str] = os.environ) -> int | None:
    """Bytes at which the kernel begins to kill, shared memory included; None where nothing limits them."""
    texts = (
        _read(root / "memory.max"),
        _read(root / "memory" / "memory.limit_in_bytes"),
        environment.get(MEMORY_LIMIT_ENV, ""),
    )
    limits = [int(number) for text in texts if 0 < (number := _number(text)) < _NO_LIMIT]
    return min(limits, default=None)


def memory_used(root: Path = ROOT) -> int:
    """Bytes that the container holds: without file pages that the kernel would drop first; 0 when unknown."""
    used = _number(_read(root / "memory.current")) or _number(
        _read(root / "memory" / "memory.usage_in_bytes")
    )
    stat = _read(root / "memory.stat") or _read(root / "memory" / "memory.stat")
    kept = dict(line.split(" ", 1) for line in stat.splitlines() if " " in line)
    # Version 1 also has `inactive_file`, but of this level alone.
    dropped = _number(kept.get("total_inactive_file", "")) or _number(kept.get("inactive_file", ""))
    return max(0, int(used - dropped))


def oom_kills(root: Path = ROOT) -> int:
    """How many processes of the cgroup the kernel has killed for want of memory; 0 when it does not say."""
    for path in (root / "memory.events", root / "memory" / "memory.oom_control"):
        for line in _read(path).splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill" and value.isdigit():
                return int(value)
    return 0


def _quota(root: Path) -> float:
    """CPUs of the cgroup's limit; 0 without one."""
    quota = _read(root / "cpu.max").split()
    if not quota:
        quota = [_read(root / "cpu" / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    try:
        return max(0.0, int(quota[0]) / int(quota[1]))
    except (ValueError, IndexError, ZeroDivisionError):
        return 0.0  # "max", or no cgroup at all


def _number(text: str) -> float:
    """What a file or variable says; 0 where it says nothing, or "max"."""
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0
