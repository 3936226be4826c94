"""What a prepared data set was made of: the size, time of change and content hash of every source image.

It makes a second prepare of an unchanged set a matter of `stat`, and lets train name a file that changed.

JSON Lines, so that a million images need no memory: a line with the set's hash, one an image, one with their
number, by which a torn file is told.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from yolo_crds.base import Lenient, Sentence
from yolo_crds.status import Dataset

from ..errors import InvalidDataError
from ..volume import write_lines
from .images import JPEG_END, ImageFacts
from .parallel import Report, map_waiting
from .tree import UNTOLD, State, Tree

FILE_NAME = "manifest.jsonl"
_TAIL_BYTES = 64

R = TypeVar("R")


class Entry(Lenient):
    """One image of a prepared set."""

    file: str
    """Path in the prepared set, as `images/train/a.jpg`."""
    source: str
    """Path of the user's image, relative to the root of the data volume, or of `image`."""
    image: str | None = None
    """The image volume that it came from; such a picture is a copy."""
    size: int
    mtime_ns: int
    inode_ns: int = 0
    """Third of `tree.State`, as the first two above: all three of the source."""
    sha256: str
    width: int
    height: int
    copied: bool = False
    """A copy instead of a link: later changes of the source do not touch it."""
    completed: bool = False
    """The copy has an end marker that the source lacks (`images.complete_jpeg`)."""
    decoded: bool = True
    """Checked down to its pixels; otherwise by its header."""
    orientation: int = 0
    """`ImageFacts.orientation`; 0 in manifests that were written before it was asked for."""

    @property
    def file_size(self) -> int:
        """Bytes of the file that is trained on."""
        return self.size + len(JPEG_END) if self.completed else self.size


class TornManifestError(InvalidDataError):
    """A line of a manifest that is none: the file was damaged after it was written."""


@dataclass(frozen=True)
class Manifest:
    """All images of a prepared set, read from its file each time that they are asked for."""

    folder: Path
    hash: str
    count: int
    """Of the images."""

    def entries(self) -> Iterator[Entry]:
        """One image after the other, in the order of the file.

        Raises TornManifestError for a line that is none, OSError when the volume fails.
        """
        with (self.folder / FILE_NAME).open("rb") as file:
            for number, line in enumerate(islice(file, 1, self.count + 1), start=2):
                try:
                    yield Entry.model_validate_json(line)
                except ValidationError as error:
                    raise TornManifestError(
                        f"{self.folder.name}/{FILE_NAME}, line {number}: describes no image",
                        "remove the prepared set; the next training prepares it anew",
                    ) from error

    def facts(self, roots: Mapping[str | None, Path]) -> Iterator[ImageFacts]:
        """What is known of each source image, to spare another reading of unchanged ones.

        `roots` are those of the data volume (None) and of the image at hand, by its reference.
        """
        for entry in self.entries():
            if entry.image not in roots:
                continue
            yield ImageFacts(
                path=f"{roots[entry.image]}/{entry.source}",
                size=entry.size,
                mtime_ns=entry.mtime_ns,
                inode_ns=entry.inode_ns,
                sha256=entry.sha256,
                width=entry.width,
                height=entry.height,
                unfinished=entry.completed,
                decoded=entry.decoded,
                orientation=entry.orientation,
            )


class Details(Lenient):
    """What a person may want to know of a preparation, besides the numbers of `Dataset`."""

    dataset: Dataset
    reference: str = ""
    """What `template.data.train` named, and in which image."""
    data_yaml: str
    """Name of the data file in the prepared set; empty for classification, which takes the folder."""
    warnings: list[Sentence] = Field(default_factory=list)
    skipped_names: dict[str, list[Sentence]] = Field(default_factory=dict)
    """The first few of each kind of `dataset.skipped`."""
    unknown_labels: dict[str, int] = Field(default_factory=dict)
    """Boxes left out because their label is not listed, by label."""
    taken_for: dict[str, str] = Field(default_factory=dict)
    """By field (`train`, `val`): the kind of data set that it was taken for, and why."""
    boxes_by_split: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Boxes (classification: images) by class name, for `train` and `val`."""
    checked: Literal["decode", "header"] = "decode"
    """How deep every image was checked, as `Data.verify`."""
    image_sizes: dict[str, int] = Field(default_factory=dict)
    """Images by `width x height`, the most frequent ten."""


def write_manifest(folder: Path, content_hash: str, entries: Iterable[Entry]) -> None:
    """Writes the manifest of a set, whole or not at all; the set counts as whole from then on."""
    write_lines(folder / FILE_NAME, _lines(content_hash, entries))


def _lines(content_hash: str, entries: Iterable[Entry]) -> Iterator[str]:
    yield json.dumps({"v": 2, "hash": content_hash})
    count = 0
    for count, entry in enumerate(entries, start=1):  # noqa: B007 - how many there were
        yield entry.model_dump_json(by_alias=True, exclude_defaults=True)
    yield json.dumps({"images": count})


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a prepared set; None when there is none to be read: the set is not whole."""
    try:
        with (folder / FILE_NAME).open("rb") as file:
            head = json.loads(file.readline())
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            tail = json.loads(file.read().splitlines()[-1])
        return Manifest(folder, str(head["hash"]), int(tail["images"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def first_changed(manifest: Manifest, root: Path, report: Report) -> str | None:
    """The first source image (relative to the data volume's root) that is not as it was prepared.

    Looked at in threads and with progress told: a million files on a slow volume take their time.
    """

    def look(entry: Entry) -> str | None:
        return entry.source if not entry.copied and is_changed(entry, root) else None

    return next(filter(None, _look_at(manifest, look, report)), None)


def is_whole(
    manifest: Manifest, root: Path, seen: Mapping[str, State], report: Report, *, only_copies: bool
) -> bool:
    """Whether every image is as it was prepared and, if so wanted, is a copy; `seen` as in `is_damaged`.

    In threads and with progress told; False also for a manifest that is torn.
    """

    def look(entry: Entry) -> bool:
        return is_damaged(entry, manifest.folder, root, seen) or (only_copies and not entry.copied)

    return not _is_any(manifest, look, report)


def is_as_read(manifest: Manifest, trees: Mapping[str | None, Tree], report: Report) -> bool:
    """Whether the set is whole and every source image is in the state in which it was read; `trees` by their
    image. Told as `is_whole`."""

    def look(entry: Entry) -> bool:
        tree = trees.get(entry.image)
        if tree is None or (entry.copied and is_damaged(entry, manifest.folder, tree.root)):
            return True
        try:
            found = tree.state(os.stat(f"{tree.root}/{entry.source}"))  # noqa: PTH116 - as in `is_changed`
        except OSError:
            return True
        return found != (entry.size, entry.mtime_ns, entry.inode_ns) or found[-1] == UNTOLD

    return not _is_any(manifest, look, report)


def _is_any(manifest: Manifest, look: Callable[[Entry], bool], report: Report) -> bool:
    """Whether `look` finds an image; True also where the manifest is torn."""
    try:
        return any(_look_at(manifest, look, report))
    except TornManifestError:
        return True


def _look_at(manifest: Manifest, look: Callable[[Entry], R], report: Report) -> Iterator[R]:
    def each(chunk: list[Entry]) -> list[R]:
        return [look(entry) for entry in chunk]

    return map_waiting(each, manifest.entries(), manifest.count, "scan", report)


def is_damaged(entry: Entry, folder: Path, root: Path, seen: Mapping[str, State] | None = None) -> bool:
    """Whether an image of the set in `folder` is not as it was prepared: its source, or its copy.

    `seen` spares another look at sources whose state is known by path.
    """
    if not entry.copied:
        return is_changed(entry, root, seen)
    try:
        found = (folder / entry.file).lstat()
    except OSError:
        return True
    return not stat.S_ISREG(found.st_mode) or found.st_size != entry.file_size


def is_changed(entry: Entry, root: Path, seen: Mapping[str, State] | None = None) -> bool:
    """Whether the source image is gone, or of another size or time of change; `seen` as in `is_damaged`."""
    path = f"{root}/{entry.source}"
    if seen and (state := seen.get(path)):
        return state[:2] != (entry.size, entry.mtime_ns)
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path for each image takes its time
    except OSError:
        return True
    return (found.st_size, found.st_mtime_ns) != (entry.size, entry.mtime_ns)
