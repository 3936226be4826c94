"""What stood in a run folder before our first claim, of an older server or of Ultralytics itself."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

from yolo_crds.layout import RunFolder

from . import copies, files
from .checkpoint import WEIGHTS
from .logs import LOGS


def adopt(folder: RunFolder) -> None:
    """Keeps it below `.attempts/adopted`, before our first claim publishes over it."""
    if files.names(folder.claims):
        return
    adopted = folder.adopted
    for source, target in (
        (folder.train, adopted),
        (folder.weights, adopted / WEIGHTS),
        (folder.logs, adopted / LOGS),
    ):
        for name in files.names(source):
            file = None if name.startswith(".") else _regular(source / name, folder.root)
            if file is not None:
                files.make_folder(target)
                with contextlib.suppress(FileExistsError):  # another attempt is at it, too
                    copies.link_or_copy(file, target / name)


def _regular(path: Path, root: Path) -> Path | None:
    """A file, or the one on the run volume that a symbolic link leads to; None for whatever else."""
    found = files.status(path)
    if found is None or not stat.S_ISREG(found.st_mode):
        return None
    real = path.resolve()
    return real if not path.is_symlink() or real.is_relative_to(root.resolve()) else None
