"""Where things lie: one place that knows the repository's, the cache's and the run-time folders."""

from __future__ import annotations

import os
import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = Path(__file__).resolve().parent
RUN = Path("/run/yolo-cluster")
NAME = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")


class ClusterError(Exception):
    """What a person can act on: shown as one message, without a traceback."""


def cache_dir() -> Path:
    """The user's cache: losing it costs time, never correctness."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "yolo-operator"


def state_dir(name: str) -> Path:
    """A cluster's folder: kubeconfig, logs, keys, volumes."""
    if not NAME.fullmatch(name):
        raise ClusterError(f"{name!r} is no cluster name: lower-case letters, digits and dashes, at most 30")
    return REPOSITORY / ".local" / "cluster" / name


def run_dir(slot: int) -> Path:
    """Sockets and mounts of a running cluster: short, since a socket's path has at most 107 bytes."""
    return RUN / str(slot)


def node_dir(slot: int, node: str) -> Path:
    """A node's own disk (the kubelet's root), emptied by `down`."""
    return cache_dir() / "nodes" / str(slot) / node


def buildah_command() -> list[str]:
    """buildah on the storage in the cache, which all image builds and `load` share."""
    storage = cache_dir() / "buildah"
    return ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "runroot")]
