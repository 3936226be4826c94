"""Where a kubelet notes who has which devices: a folder that is a constant in its source.

Nodes of one machine would share it, and a kubelet that starts again would find the notes of another: it hands
out what a pod has already. So the folder is a link by way of the working directory: for our kubelets that
is their own root; for those that run in `/`, such as systemd's, the link leads to the folder that was there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import paths
from .locks import locked

FIXED = Path("/var/lib/kubelet/device-plugins")


def ensure(kubelet_root: Path) -> None:
    """Before a kubelet starts whose working directory is `kubelet_root`."""
    own_notes(kubelet_root).mkdir(parents=True, exist_ok=True)
    with locked(_lock()):
        if FIXED.is_symlink():
            return
        if FIXED.exists():
            shutil.rmtree(_others(), ignore_errors=True)
            FIXED.rename(_others())
        _others().mkdir(parents=True, exist_ok=True)
        FIXED.symlink_to(_target())


def own_notes(kubelet_root: Path) -> Path:
    """The folder behind the link for a kubelet in `kubelet_root`."""
    return kubelet_root / _others().relative_to("/")


def remove() -> None:
    """When no cluster is left on the machine: puts back what was there, also after a reboot or a kill."""
    with locked(_lock()):
        try:
            paths.RUN.rmdir()
        except FileNotFoundError:
            pass
        except OSError:  # not empty: other clusters run
            return
        if FIXED.is_symlink() and FIXED.readlink() == _target():
            FIXED.unlink()
        if _others().exists() and not os.path.lexists(FIXED):
            _others().rename(FIXED)


def _lock() -> Path:
    """The machine's, as the folder is: several users, or one with `sudo` and without, have several caches."""
    return paths.RUN.with_name(f"{paths.RUN.name}.device-notes.lock")


def _others() -> Path:
    return FIXED.with_name(f"{FIXED.name}.shared")


def _target() -> Path:
    return Path("/proc/self/cwd") / _others().relative_to("/")
