"""Where a data set's files lie, on the data volume or in an image volume, and what tells that one changed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from yolo_crds.layout import DataVolume

from ..errors import InvalidDataError, volume_errors

UNTOLD = -1
"""In place of a time of change: nothing but its content tells whether a file changed."""
_SECOND = 1_000_000_000  # nanoseconds

State = tuple[int, int, int]
"""Size, time of change of the content, and of the inode (0 where the first two tell enough, or `UNTOLD`)."""


@dataclass(frozen=True)
class Tree:
    """A folder that the files of a data set must not lead out of."""

    layout: DataVolume = field(default_factory=DataVolume)
    """Its folders are named as the data volume's: `ucd/` and `img_cache/` mean the same in an image."""
    image: str | None = None
    """Reference of the image whose files these are; unset: the data volume."""

    @cached_property
    def root(self) -> Path:
        """Resolved."""
        return self.layout.root.resolve()

    @cached_property
    def _inside(self) -> str:
        return f"{str(self.root).rstrip('/')}/"

    def holds(self, path: str) -> bool:
        """Whether a resolved path is beneath the root."""
        return path.startswith(self._inside)

    def relative(self, path: str) -> str:
        """A path beneath the root, as seen from there."""
        return path.removeprefix(self._inside)

    def told(self, text: str) -> str:
        """A sentence with paths as seen from the root, which nobody outside of the pod knows."""
        for root in dict.fromkeys(map(str, (self.root, self.layout.root))):
            # Not the same letters within another path, as in /home/me/data/…
            mounted = rf"(?<![\w./\\-]){re.escape(root.rstrip('/'))}"
            text = re.sub(rf"{mounted}/(?=[^\s/])", "", text)
            text = re.sub(rf"{mounted}/?(?![\w./\\-])", str(self), text)
        return text

    def __str__(self) -> str:
        return f"the image {self.image}" if self.image else "the data volume"

    def state(self, found: os.stat_result) -> State:
        """What two looks at a file have in common as long as it is the same.

        On the data volume size and time of change tell. Layers of an image set that time to whatever their
        builder likes, 1970 as a rule, so another image under the same tag may differ in content alone:

        - A reference with a digest names its content; no time is needed, and any node's unpacking will do.
        - Otherwise the inode's time of change is looked at: the kernel sets it as the layer is unpacked, and
          a layer of other content is unpacked at another moment. On another node the files are read again.
        - Filesystems that mount a layer packed (EROFS, eStargz) know no such moment and repeat the layer's
          own time. That one has whole seconds as a rule and the kernel's practically never, so whole seconds
          tell nothing, and the content is read each time.
        """
        inode = 0
        if self.image is not None and "@sha256:" not in self.image:
            inode = found.st_ctime_ns if found.st_ctime_ns % _SECOND else UNTOLD
        return found.st_size, found.st_mtime_ns, inode


def open_image(image: str, folder: Path) -> Tree:
    """The files of `template.data.image`, mounted at `folder`.

    Raises InvalidDataError when nothing is mounted there.
    """
    with volume_errors(folder, "read"):
        if not folder.is_dir() or not any(folder.iterdir()):
            raise InvalidDataError(
                f"template.data.image: no file of {image} is at {folder}",
                "it must be mounted there as an image volume; outside of a cluster unpack it anywhere and "
                "name that folder as artifactDir in the trainer's configuration",
            )
    return Tree(DataVolume(folder), image)
