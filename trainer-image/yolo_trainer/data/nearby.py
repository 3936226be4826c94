"""What lies on a volume by almost the name that was given, for who mistyped it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from yolo_crds.layout import DataVolume

_NAMES_LOOKED_AT = 2_000
"""Of a folder."""
_UCD_ENDINGS = (".json", ".uci")


def names_nearby(layout: DataVolume, tried: Sequence[str]) -> list[str]:
    """Names by which something would be found, nearly the given one, the nearest first; at most two.

    `tried` are the places where that was looked for (`DataVolume.places`), as it was given first.
    """
    found: dict[str, float] = {}
    in_part: dict[str, float] = {}
    for number, place in enumerate(tried):
        for path, likeness, is_whole in _corrected(layout.root, place):
            name = str(path.relative_to(layout.root))
            if number:  # what is looked for below a folder is named without it
                name = name.partition("/")[2]
            name = _without_ending(name) if path.parent.is_relative_to(layout.ucd) and number else name
            likes = found if is_whole else in_part
            likes[name] = max(likes.get(name, 0.0), likeness)
    likes = found or in_part
    return sorted(likes, key=lambda name: likes[name], reverse=True)[:2]


def _corrected(root: Path, place: str) -> Iterator[tuple[Path, float, bool]]:
    """A place with the first part that is not there replaced by what is there and looks like it; how much it
    does (0 to 1); whether the rest of the place is there, too, else it is left out."""
    path = PurePosixPath(place)
    if path.is_absolute() and not path.is_relative_to(root):
        return
    folder, rest = root, list(path.relative_to(root).parts if path.is_absolute() else path.parts)
    while len(rest) > 1 and (folder / rest[0]).is_dir():
        folder /= rest.pop(0)
    if not rest:
        return
    wanted = _without_ending(rest[0])
    names = _names_in(folder)
    plain = {_without_ending(name) for name in names}
    for like in difflib.get_close_matches(wanted, plain, n=2):
        name = next(name for name in names if _without_ending(name) == like)
        whole = folder.joinpath(name, *rest[1:])
        likeness = difflib.SequenceMatcher(None, wanted, like).ratio()
        yield (whole, likeness, True) if whole.exists() else (folder / name, likeness, False)


def _without_ending(name: str) -> str:
    for ending in _UCD_ENDINGS:
        name = name.removesuffix(ending)
    return name


def _names_in(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _NAMES_LOOKED_AT)]
    except OSError:
        return []
    return [name for name in names if not name.startswith(".")]
