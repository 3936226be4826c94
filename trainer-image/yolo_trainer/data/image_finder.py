"""Find images that an annotation file names by path: exports disagree on what the path is relative to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath


class ImageFinder:
    """Looks below several folders, first where the last image was found; never out of the data volume."""

    def __init__(self, root: Path, bases: Sequence[Path]) -> None:
        self._inside = f"{root}/"
        self._bases = [str(base) for base in dict.fromkeys(bases) if base.is_relative_to(root)]

    def find(self, name: str) -> Path | None:
        """Where the image is, or would be in the first of the folders; None when the name is refused: it is
        absolute, or leads out of the volume by `..`."""
        plain = PurePosixPath(name.replace("\\", "/"))
        if not plain.name or plain.is_absolute() or plain.parts[0].endswith(":") or "\0" in name:
            return None
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
