"""Find images that an annotation file names by path: exports disagree on what the path is relative to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath

from ..errors import InvalidDataError
from .border import own_folder
from .skipped import Skipped


class ImageFinder:
    """Looks for what a file of a data set names; the border is that of `border`.

    A relative path counts from several folders, first from that where the last image was found. An absolute
    one is taken where it lies on the volume. Otherwise it is of another machine, as are `C:/…` and URLs: then
    it is the one file of the data set whose path ends as it does, over the most folders.
    """

    def __init__(self, root: Path, bases: Sequence[Path], skipped: Skipped) -> None:
        """`root`: of the volume, resolved; `bases`: the first lies in the data set."""
        self._inside = f"{str(root).rstrip('/')}/"
        self._bases = [str(base) for base in dict.fromkeys(bases) if base.is_relative_to(root)]
        self._searched = _searched(self._bases, root)
        self._skipped = skipped
        self._real_folders: dict[str, str] = {}
        self._by_name: dict[str, list[str]] | None = None
        self._matched: dict[str, str] = {}

    def find(self, name: str) -> Path | None:
        """Where the image is, or would be in the first of the folders; None when the name is refused, see
        `refusal`.

        Raises InvalidDataError for a path of another machine that ends as several files do, or as a file that
        another such path was taken for.
        """
        plain = PurePosixPath(name.replace("\\", "/"))
        if not plain.name or "\0" in name:
            return None
        if is_absolute(plain):
            return self._find_absolute(plain)
        first = None
        for i, base in enumerate(self._bases):
            place = os.path.normpath(f"{base}/{plain}")
            if not place.startswith(self._inside):
                continue
            first = first or place
            if os.path.isfile(place):  # noqa: PTH113 - a Path for each folder takes longer than all the rest
                self._bases.insert(0, self._bases.pop(i))
                return Path(place)
        return Path(first) if first else None

    def refusal(self, name: str) -> str:
        """The kind of `Skipped` that a name counts as which `find` gives nothing for."""
        plain = PurePosixPath(name.replace("\\", "/"))
        if not plain.name or "\0" in name:
            return "unsafeName"
        return "foreignPath" if is_absolute(plain) else "outsideVolume"

    def _find_absolute(self, plain: PurePosixPath) -> Path | None:
        place = os.path.normpath(str(plain))
        within = self._on_volume(place)
        if within and os.path.isfile(within):  # noqa: PTH113
            return Path(within)
        return self._match(place) or (Path(within) if within else None)

    def _on_volume(self, place: str) -> str | None:
        """The place, where its folder lies on the volume once links are followed."""
        folder, _, name = place.rpartition("/")
        if (real := self._real_folders.get(folder)) is None:
            real = self._real_folders[folder] = os.path.realpath(folder)
        return f"{real}/{name}" if f"{real}/".startswith(self._inside) else None

    def _match(self, place: str) -> Path | None:
        """The file of the data set that ends as a path of another machine does."""
        if self._by_name is None:
            self._by_name = self._walk()
        name = place.rpartition("/")[2]
        scores = {folder: _common_end(f"{folder}/{name}", place) for folder in self._by_name.get(name, ())}
        best = [folder for folder, score in scores.items() if score == max(scores.values())]
        if not best:
            return None
        if len(best) > 1:
            places = " and ".join(self._shown(f"{folder}/{name}") for folder in best[:2])
            raise self._ambiguous(f"{place!r} is a path of another machine and ends as {places} do")
        found = f"{best[0]}/{name}"
        other = self._matched.setdefault(found, place)
        if other != place:
            where = self._shown(found)
            raise self._ambiguous(f"{other!r} and {place!r} are paths of another machine that end as {where}")
        self._skipped.add("matchedPath", f"{place} is {self._shown(found)}")
        return Path(found)

    def _ambiguous(self, what: str) -> InvalidDataError:
        return InvalidDataError(
            f"{what}; it is not guessed which image is meant",
            "name images by paths relative to the file that names them, as images/train/a.jpg",
        )

    def _shown(self, path: str) -> str:
        return path.removeprefix(self._inside)

    def _walk(self) -> dict[str, list[str]]:
        """The folders that hold a file, by its name."""
        found: dict[str, list[str]] = {}
        for top in self._searched:
            for parent, folders, files in os.walk(top):
                folders[:] = [folder for folder in folders if not folder.startswith(".")]
                for file in files:
                    if parent not in (places := found.setdefault(file, [])):
                        places.append(parent)
        return found


def _searched(bases: Sequence[str], root: Path) -> list[str]:
    """The folders that are searched for paths of other machines: the data set's own, never a whole volume."""
    own = [str(own_folder(Path(base), root)) for base in bases[:1]]
    return [base for base in bases if base != str(root)] if own == [str(root)] else own


def is_absolute(path: PurePosixPath) -> bool:
    """`/…`, a drive of Windows (`C:/…`) or a URL."""
    return path.is_absolute() or (len(path.parts) > 1 and path.parts[0].endswith(":"))


def _common_end(one: str, other: str) -> int:
    """Over how many of their last parts two paths are the same."""
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
