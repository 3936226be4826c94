"""Find images that an annotation file names by path: exports disagree on what the path is relative to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath


class ImageFinder:
    """Looks below several folders, first where the last image was found; never out of the data volume."""

    def __init__(self, root: Path, bases: Sequence[Path]) -> None:
        self._root = root
        self._bases = [base for base in dict.fromkeys(bases) if base.is_relative_to(root)]

    def find(self, name: str) -> Path | None:
        """Where the image is, or would be in the first of the folders; None when the name is refused: it is
        absolute, or leads out of the volume by `..`."""
        plain = PurePosixPath(name.replace("\\", "/"))
        if not plain.name or plain.is_absolute() or plain.parts[0].endswith(":") or "\0" in name:
            return None
        candidates = [Path(os.path.normpath(base / plain)) for base in self._bases]
        inside = [path for path in candidates if path.is_relative_to(self._root)]
        for path in inside:
            if path.is_file():
                base = self._bases[candidates.index(path)]
                self._bases.remove(base)
                self._bases.insert(0, base)
                return path
        return inside[0] if inside else None
