"""Links in a data set's folder that lead out of where it lies: refused before a file behind one is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import InvalidDataError
from .images import FORMATS
from .tree import Tree


def refuse_links_out(paths: Iterable[Path], tree: Tree) -> None:
    """Raises InvalidDataError for the first path that leads out of the tree."""
    for path in paths:
        if not path.resolve().is_relative_to(tree.root):
            raise InvalidDataError(
                f"{path} leads out of {tree}", "put the file itself there, not a link to it"
            )


def links_below(folder: Path) -> Iterator[Path]:
    """Every link in a folder but those to images, of which one that leads out is only left out."""
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    if entry.name.rpartition(".")[2].lower() not in FORMATS:
                        yield Path(entry.path)
                elif entry.is_dir():
                    folders.append(Path(entry.path))
