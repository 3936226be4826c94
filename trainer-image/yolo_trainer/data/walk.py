"""Walk through a data set's folder as Ultralytics does: links to folders are followed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import InvalidDataError, from_os_error
from .images import FORMATS


def walk(folder: Path, root: Path | None = None) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk`, hidden folders left out and the others in order; links to folders are followed, but for
    those to where the walk came through, and those that are called as images are.

    Raises InvalidDataError for one that leads out of `root` (resolved), before anything there is listed;
    without `root` the caller has seen to that (`links.refuse_links_out`). What cannot be listed raises what
    `errors.volume_errors` raises: left out without a word, its images would be missing.
    """
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=refuse_unlisted):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield parent, folders, files
        for name in [name for name in folders if os.path.islink(f"{parent}/{name}")]:  # noqa: PTH114
            link = f"{parent}/{name}"
            if root is not None and not Path(os.path.realpath(link)).is_relative_to(root):
                raise InvalidDataError(
                    f"{link} leads out of the data volume",
                    "put the folder itself there, not a link to it",
                )
            if leads_back(link, folder) or name.rpartition(".")[2].lower() in FORMATS:
                folders.remove(name)


def refuse_unlisted(error: OSError) -> None:
    """For `onerror` of os.walk, which passes over a folder that it may not list; one that is gone is none."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise from_os_error(error, str(error.filename), "list") from error


def leads_back(link: str, folder: Path) -> bool:
    """Whether a link below `folder` leads to one of the folders on the way to it, or above one of them."""
    target = os.path.realpath(link).rstrip("/")
    steps = list(Path(link).parents)
    way = [os.path.realpath(step) for step in steps[: len(steps) - len(folder.parents)]]
    return any(f"{real}/".startswith(f"{target}/") for real in way)
