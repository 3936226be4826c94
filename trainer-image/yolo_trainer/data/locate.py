"""Find the files of a data set's samples by `lstat`, without opening any."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..errors import DENIED, VOLUME_UNAVAILABLE, InvalidDataError, from_os_error
from .images import FORMATS, ImageFacts
from .source import Sample
from .tree import UNTOLD, State, Tree

_NO_LINK = "put the file itself there, not a link to it"


class Located(NamedTuple):
    """A sample whose files were looked up; `problem` says why it cannot be used."""

    split: str
    sample: Sample
    facts: ImageFacts | None = None
    label_stat: State | None = None
    """Of the label file; None when there is none."""
    mask_file: tuple[str, State] | None = None
    """Path and state of the mask, where the sample has one."""
    problem: str | None = None
    """A kind of `Skipped`, such as `missingImage`."""
    detail: str = ""

    def state(self) -> tuple[object, ...]:
        """What tells whether a second look would find the same; no file is opened for it."""
        facts = self.facts
        image = (facts.path, facts.state) if facts else None
        return self.split, self.sample.stem, image, self.label_stat, self.mask_file, self.problem

    @property
    def is_told(self) -> bool:
        """Whether the state tells that; otherwise the files must be read."""
        mask = self.mask_file[1] if self.mask_file else None
        states = (self.facts.state if self.facts else None, self.label_stat, mask)
        return all(state is None or state[-1] != UNTOLD for state in states)


class Locator:
    """Looks up images and label files in the tree that their split lies in.

    Folders are resolved once, and of the files only links: `resolve` of every path asks the volume for each
    folder on the way to it, again and again.
    """

    def __init__(self, trees: Mapping[str, Tree], fields: Mapping[str, str]) -> None:
        """`fields`: what named the images of a split, as `template.data.val`."""
        self._trees, self._fields = trees, fields
        self._folders: dict[str, str] = {}

    def __call__(self, samples: list[tuple[str, Sample]]) -> list[Located]:
        """What is there of each sample, given with its split. Safe to be called by several threads."""
        return [self._locate(split, sample) for split, sample in samples]

    def _refuse(self, split: str, what: str, hint: str) -> InvalidDataError:
        return InvalidDataError(f"{self._fields[split]}: {what}", hint)

    def _locate(self, split: str, sample: Sample) -> Located:
        tree = self._trees[split]
        if not _is_file_name(sample.stem):
            return Located(split, sample, problem="unsafeName")
        folder = str(sample.folder)
        for ending in sample.endings:
            candidate = f"{folder}/{sample.stem}{ending}"
            try:
                path, found = self._look_up(folder, f"{sample.stem}{ending}")
            except FileNotFoundError:
                continue
            except OSError as error:
                raise from_os_error(error, candidate, "read") from error
            if not tree.holds(path):
                return Located(split, sample, problem="outsideVolume")
            if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for without end
                return Located(split, sample, problem="noFile")
            return self._with_label(Located(split, sample, ImageFacts(path, *tree.state(found))), tree)
        return Located(split, sample, problem="missingImage", detail=_first_place(sample, tree))

    def _with_label(self, located: Located, tree: Tree) -> Located:
        """With the state of the label file or mask that belongs to the image."""
        mask = located.sample.mask_file
        if mask is None:
            return located._replace(label_stat=self._label_stat(located, tree))
        found = self._find_mask(mask, located.split, tree)
        return located._replace(mask_file=found, problem=None if found else "missingMask")

    def _label_stat(self, located: Located, tree: Tree) -> State | None:
        file = located.sample.label_file
        if file is None:
            return None
        try:
            folder, _, name = str(file).rpartition("/")
            path, found = self._look_up(folder, name)
        except OSError as error:
            _refuse_untold(error, str(file))
            return None  # no label file: a background image
        if not tree.holds(path):
            raise self._refuse(located.split, f"{file} leads out of {tree}", _NO_LINK)
        if not stat.S_ISREG(found.st_mode):
            what = f"{file} is no file but a folder, pipe or device"
            raise self._refuse(located.split, what, "put the label file there, or nothing for a background")
        return tree.state(found)

    def _find_mask(self, path: Path, split: str, tree: Tree) -> tuple[str, State] | None:
        """The mask of that name, a PNG or else of another ending that Ultralytics tries."""
        for ending in ("png", *sorted(FORMATS - {"png"})):
            candidate = path.with_suffix(f".{ending}")
            try:
                real, found = self._look_up(str(candidate.parent), candidate.name)
            except OSError as error:
                _refuse_untold(error, str(candidate))
                continue
            if not tree.holds(real):
                raise self._refuse(split, f"{candidate} leads out of {tree}", _NO_LINK)
            if stat.S_ISREG(found.st_mode):
                return real, tree.state(found)
        return None

    def _look_up(self, folder: str, name: str) -> tuple[str, os.stat_result]:
        """The resolved path of a file, and its state; raises OSError when it is not there."""
        path = f"{folder}/{name}"
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            path = os.path.realpath(path, strict=True)
            return path, os.lstat(path)
        if (resolved := self._folders.get(folder)) is None:
            resolved = self._folders[folder] = os.path.realpath(folder, strict=True).rstrip("/")
        return f"{resolved}/{name}", found


def _refuse_untold(error: OSError, path: str) -> None:
    """Raises where the volume does not say whether there are labels: none found is no background then."""
    if error.errno in DENIED | VOLUME_UNAVAILABLE:
        raise from_os_error(error, path, "read") from error


def _first_place(sample: Sample, tree: Tree) -> str:
    """Where a missing image was looked for first; or that its name would be right without the ending."""
    place = f"{sample.folder}/{sample.stem}"
    if len(sample.endings) > 1 and place.endswith(sample.endings) and os.path.lexists(place):
        return f"{tree.relative(place)} is there; a code has no ending"
    return f"looked for {tree.relative(place)}{sample.endings[0]}"


def _is_file_name(stem: str) -> bool:
    """Whether a stem can be written into UTF-8 files one a line; a name in another encoding cannot."""
    if stem.isascii() and stem.isprintable():
        return bool(stem)
    try:
        return bool(os.fsencode(stem).decode("utf-8")) and not any(ord(c) < 32 for c in stem)
    except (UnicodeDecodeError, UnicodeEncodeError):
        return False
