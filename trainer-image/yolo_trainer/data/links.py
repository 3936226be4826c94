"""Links in a data set's folder that lead out of where it lies: refused before a file behind one is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import InvalidDataError
from .images import FORMATS
from .tree import Tree
from .walk import leads_back


def refuse_links_out(paths: Iterable[Path], tree: Tree) -> None:
    """Raises InvalidDataError for the first path that leads out of the tree."""
    for path in paths:
        if not path.resolve().is_relative_to(tree.root):
            raise InvalidDataError(
                f"{path} leads out of {tree}", "put the file itself there, not a link to it"
            )


def links_below(folder: Path) -> Iterator[Path]:
    """Every link in a folder but those to images, of which one that leads out is only left out.

    A link to a folder is followed when the next one is asked for: by then it was found to lead nowhere else.
    """
    folders = [str(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    if entry.name.rpartition(".")[2].lower() not in FORMATS:
                        yield Path(entry.path)
                        if entry.is_dir() and not leads_back(entry.path, folder):
                            folders.append(entry.path)
                elif entry.is_dir():
                    folders.append(entry.path)
