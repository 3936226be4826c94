"""Where a node's images live: folders in the cache that outlast clusters, so that an image is loaded once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from .locks import locked
from .paths import cache_dir
from .processes import marked

KEPT = 4  # entries kept for clusters of other names before the oldest unused one is taken over


def content_dir(state: Path, node: str) -> Path:
    """containerd's root for this node: its own, a stopped namesake's, or a new one."""
    pool = cache_dir() / "containerd"
    with locked(pool / "lock"):
        entry = choose(_owners(pool), (str(state), node), in_use=lambda owner: bool(marked(Path(owner))))
        folder = pool / str(entry)
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / "owner.tmp"
        aside.write_text(json.dumps([str(state), node]))
        aside.replace(folder / "owner.json")
        return folder / "root"


def choose(
    owners: dict[int, tuple[str, str]], wanted: tuple[str, str], *, in_use: Callable[[str], bool]
) -> int:
    """The entry for `wanted` (state folder, node). `owners` is in the order of last use, the oldest first."""
    state, node = wanted
    free = {}
    for entry, owner in owners.items():
        if owner == wanted:
            return entry
        if not in_use(owner[0]):
            free[entry] = owner
    for entry, (other, other_node) in reversed(free.items()):
        if other_node == node and Path(other).name == Path(state).name:
            return entry
    if free and len(owners) >= KEPT:
        return next(iter(free))
    return next(number for number in range(len(owners) + 1) if number not in owners)


def _owners(pool: Path) -> dict[int, tuple[str, str]]:
    found = []
    for path in pool.glob("*/owner.json"):
        try:
            state, node = json.loads(path.read_text())
            found.append((path.stat().st_mtime, int(path.parent.name), (state, node)))
        except (ValueError, FileNotFoundError):
            continue
    return {entry: owner for _, entry, owner in sorted(found)}
