"""Takes back the cache's disk: old builds, the registry, and the images of stopped clusters' nodes."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import build, slots
from .paths import ClusterError, cache_dir
from .processes import marked
from .progress import say, step


def prune() -> None:
    """Removes what the next `up` can make again; keeps the current builds and buildah's storage.

    Raises ClusterError while a cluster of this user runs: it lives on these folders.
    """
    running = [owner for owner in slots.owners().values() if marked(Path(owner))]
    if running:
        raise ClusterError(
            f"clusters run on what would be removed, take them down first: {', '.join(running)}"
        )
    current = {build.entry(program, build.ensure_go()[1]).name for program in build.programs()}
    old = [path for path in (cache_dir() / "bin").glob("*") if path.name not in current]
    doomed = [*old, cache_dir() / "registry", cache_dir() / "containerd"]
    with step(f"removing {len(old)} old builds, the registry and the nodes' images"):
        for path in doomed:
            shutil.rmtree(path, ignore_errors=True)
    say("  buildah's storage has its own: python -m cluster.images prune")
