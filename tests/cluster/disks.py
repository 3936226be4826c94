"""Disks that are full: a volume of the pool made small, and what fills it or takes of a node's disk."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

from .addons import OWNER
from .paths import ClusterError

FILLER = ".fills-the-disk"
# Bytes between what is free and a node's limit. Others write to the same disk, and a kubelet whose limit they
# pass before it has taken its pods on again refuses them.
MARGIN = 4 << 30
TAKEN = 12 << 30  # bytes of a node's disk: beyond MARGIN more than the kubelet wins back from unused images


def shrink(folder: Path, mebibytes: int) -> None:
    """Mounts a file system of that size over a volume's folder, with what is in it.

    It lies in memory, so nothing is formatted; pods that run keep the old one. Raises ClusterError if it is
    small already, or smaller than its content.
    """
    if folder.is_mount():
        raise ClusterError(f"{folder.name} is small already")
    below = os.open(folder, os.O_RDONLY)  # the way to what the mount hides
    try:
        options = f"size={mebibytes}m,mode=2775,uid={OWNER},gid={OWNER}"
        _run("mount", "-t", "tmpfs", "-o", options, "yolo-small-volume", str(folder))
        try:
            _run("cp", "-a", f"/proc/{os.getpid()}/fd/{below}/.", str(folder))
        except ClusterError:
            _run("umount", str(folder))
            raise
    finally:
        os.close(below)


def fill(folder: Path) -> None:
    """Takes all that is free on a small volume: whoever writes more gets ENOSPC."""
    if not folder.is_mount():
        raise ClusterError(
            f"{folder.name} lies on this machine's own disk, which is not filled: first "
            f"`small-volume {folder.name} --mebibytes 64`"
        )
    with (folder / FILLER).open("ab", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(65536))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def take(folder: Path) -> None:
    """Reserves TAKEN bytes on the folder's disk, without writing them."""
    with (folder / FILLER).open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, TAKEN)


def free(folder: Path) -> None:
    """Undoes `fill` and `take`."""
    (folder / FILLER).unlink(missing_ok=True)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()[-400:]}")
