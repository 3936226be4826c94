"""Show an attempt's files at the old paths: relative symbolic links, swapped by rename, never read back."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from yolo_crds.layout import RunFolder
from yolo_crds.status import Weight, Weights

from ..errors import volume_errors
from ..volume import TEMPORARY_PREFIX
from .checkpoint import read_digest

ADOPTED = "adopted"
"""Folder below `.attempts/` that keeps the real files of an older server which stood at a published path."""
_PLOTS = ("*.png", "*.jpg", "events.out.tfevents.*")


def link(place: Path, target: Path, adopted: Path) -> None:
    """Makes `place` a relative link to `target`; a file of an older server there is moved below `adopted`."""
    with volume_errors(place, "publish"):
        place.parent.mkdir(parents=True, exist_ok=True)
        relative = os.path.relpath(target, place.parent)
        if place.is_symlink():
            if str(place.readlink()) == relative:
                return
        elif place.exists():
            adopted.mkdir(parents=True, exist_ok=True)
            place.replace(adopted / place.name)
        temporary = place.with_name(f"{TEMPORARY_PREFIX}{place.name}.{secrets.token_hex(4)}")
        temporary.symlink_to(relative)
        temporary.replace(place)


def publish_files(folder: RunFolder, token: str, *, plots: bool = False) -> None:
    """Publishes weights, results.csv and args.yaml as far as the attempt has them; plots at its end."""
    attempt = folder.attempt(token)
    adopted = folder.attempt(ADOPTED)
    for name in ("results.csv", "args.yaml"):
        if (attempt / name).exists():
            link(folder.train / name, attempt / name, adopted)
    for file in sorted(attempt.glob("weights/*.pt")):
        link(folder.weights / file.name, file, adopted / "weights")
    for pattern in _PLOTS if plots else ():
        for file in sorted(attempt.glob(pattern)):
            link(folder.train / file.name, file, adopted)


def publish_logs(folder: RunFolder, token: str) -> None:
    """Publishes the attempt's logs below `train_info/`."""
    for place in (folder.std_log, folder.err_log):
        link(place, folder.attempt(token) / "logs" / place.name, folder.attempt(ADOPTED) / "logs")


def published_weights(folder: RunFolder, token: str) -> Weights | None:
    """Size and sha256 of the attempt's checkpoints, under their published paths; None without any."""
    found: dict[str, Weight] = {}
    for name in ("best", "last"):
        file = folder.attempt(token) / "weights" / f"{name}.pt"
        digest = read_digest(file)
        with contextlib.suppress(OSError):
            size = file.stat().st_size
            if digest:
                path = (folder.weights / file.name).relative_to(folder.root)
                found[name] = Weight(path=str(path), size=size, sha256=digest)
    return Weights(best=found.get("best"), last=found.get("last")) if found else None


def carry_log(earlier: Path, log: Path) -> None:
    """Puts an earlier attempt's log in front of this one's, once: readers see one training."""
    if earlier == log or not earlier.is_file():
        return
    own = log.read_bytes() if log.exists() else b""
    before = earlier.read_bytes()
    if own.startswith(before):
        return
    temporary = log.with_name(f"{log.name}.tmp")
    with temporary.open("wb") as file:
        file.write(before)
        file.write(own)
    shutil.copymode(earlier, temporary)
    temporary.replace(log)
