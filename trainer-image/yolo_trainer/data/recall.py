"""A second prepare of an unchanged set without reading its annotation file again.

It holds as long as all that the first one looked at is as it was then. That is for sets that keep their
labels in one file: with a label file for each image there is nothing to spare, to look at each is the work.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from yolo_crds.base import Lenient
from yolo_crds.layout import DataVolume

from .locate import Located
from .source import Source
from .tree import UNTOLD, State, Tree
from .walk import walk

SETTLED_NS = 2_000_000_000
"""A file that was written later than so long before a preparation began may have been read half."""


class Origin(Lenient):
    """What a field of `template.data` was taken for."""

    kind: str
    path: Path


class Outcome(Lenient):
    """What came of a preparation, and the state of what it was made of, besides the images."""

    hash: str
    key: str
    """Of `Index.lookup`."""
    origins: dict[str, Origin]
    """By field: `train`, and `val` where it was given."""
    states: dict[str, State | None]
    """By path: files that were read, and folders whose entries were; None for what was not there."""

    def holds(self, trees: Sequence[Tree]) -> bool:
        """Whether all of it is as it was."""
        return all(_state(path, trees) == state for path, state in self.states.items())


def recall_key(options: object, paths: Mapping[str, Path], image: str | None) -> str:
    """Under which an outcome is remembered: the options, and what the references meant."""
    named = {name: str(path) for name, path in paths.items()}
    return hashlib.sha256(json.dumps([options, named, image], sort_keys=True).encode()).hexdigest()


def states_of(
    paths: Mapping[str, Path],
    sources: Mapping[str, Source],
    located: Sequence[Located],
    trees: Sequence[Tree],
    started_ns: int,
) -> dict[str, State | None] | None:
    """What the outcome of a preparation that began at `started_ns` (of the epoch) depends on; None where
    looking at it would not tell that it still holds: with files of labels for each image, images that were
    left out, a file just written, or an image volume that tells no times.
    """
    if any(one.problem or one.sample.label_file or one.sample.class_name is not None for one in located):
        return None
    if any(one.sample.mask_file or not one.is_told for one in located):
        return None
    files = {str(file) for source in sources.values() for file in source.files}
    wanted = set(files)
    for name, source in sources.items():
        wanted.add(str(paths[name]))
        wanted.update(_surroundings(paths[name], source, trees[0].layout))
    # Another ending would go first if it came; of the first one none does.
    wanted.update(str(one.sample.folder) for one in located if not _has_first_ending(one))
    states = {path: _state(path, trees) for path in sorted(wanted)}
    is_told = all(state is None or state[-1] != UNTOLD for state in states.values())
    are_settled = all((state := states[file]) and state[1] < started_ns - SETTLED_NS for file in files)
    return states if is_told and are_settled else None


def _surroundings(path: Path, source: Source, volume: DataVolume) -> Iterator[str]:
    """Folders in which something new could make another data set of the named one."""
    if path.is_dir():
        yield from (folder for folder, _, _ in walk(path))
    elif source.kind == "ucd" and path.suffix.lower() == ".json":
        yield str(path.parent / volume.images.name)  # an archive's own images, which go before the volume's
    else:
        yield from (str(path.parent), str(path.parent.parent))


def _has_first_ending(one: Located) -> bool:
    return one.facts is not None and one.facts.path.endswith(one.sample.endings[0])


def _state(path: str, trees: Sequence[Tree]) -> State | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - links count by what they lead to
    except OSError:
        return None
    tree = next((tree for tree in trees[1:] if tree.holds(path)), trees[0])
    return tree.state(found)
