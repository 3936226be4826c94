"""A node's own cgroup in every hierarchy: what its pods live in, and how they are found and ended."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from .processes import end

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = "+cpu +memory +pids +cpuset +io"


def hierarchies() -> list[Path]:
    """The mount points: one (version 2), or one for each controller (version 1) and `unified`."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return [path for path in sorted(ROOT.iterdir()) if path.is_dir() and not path.is_symlink()]


def ensure(name: str) -> None:
    """Makes the cgroup everywhere. Version 1 starts a cpuset empty, and nothing runs in an empty one."""
    for hierarchy in hierarchies():
        folder = hierarchy / name
        folder.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / "cgroup.clone_children").exists() and (folder / file).exists():
                (folder / file).write_text((hierarchy / file).read_text())
        if hierarchy == ROOT:
            for controller in CONTROLLERS.split():
                try:
                    (folder / "cgroup.subtree_control").write_text(controller)
                except OSError:
                    continue  # not there or not delegated: the kubelet says so if it needs it


def _folders(pattern: str) -> Iterator[Path]:
    for hierarchy in hierarchies():
        for top in hierarchy.glob(pattern):
            # Deepest first, so that each is empty when its turn comes. os.walk, unlike rglob, bears it
            # that folders go while it looks.
            yield from (Path(folder) for folder, _, _ in os.walk(top, topdown=False))


def processes(pattern: str) -> set[int]:
    """Every process in the cgroups that match, and below."""
    found: set[int] = set()
    for folder in _folders(pattern):
        try:
            found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
        except OSError:
            continue
    return found


def remove(pattern: str, *, seconds: float = 5.0) -> None:
    """Ends what runs in the cgroups that match and removes them."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if inside := processes(pattern):
            end(inside)
        left = False
        for folder in list(_folders(pattern)):
            try:
                folder.rmdir()
            except OSError:
                left = left or folder.exists()
        if not left:
            return
        time.sleep(0.05)
