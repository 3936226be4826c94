"""Find the image that a label file says it is for, when the file is not called as the image is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ..image_finder import ImageFinder


class ImageNames:
    """The images of a data set by their names."""

    def __init__(self, finder: ImageFinder, images: Iterable[Path]) -> None:
        self._finder = finder
        self._by_name: dict[str, list[Path]] = {}
        for image in images:
            for name in {image.name, image.stem}:
                self._by_name.setdefault(name, []).append(image)

    def find(self, name: str, label_file: Path) -> Path | None:
        """The image at the path `name`, or the only one of that file name or of the label file's; else where
        it would be, None when the path is refused."""
        base = base_name(name)
        place = self._finder.find(name) or self._finder.find(base)
        if place is not None and place.is_file():
            return place
        for known in (base, PurePosixPath(base).stem, label_file.stem):
            if len(found := self._by_name.get(known, [])) == 1:
                return found[0]
        return place


def base_name(name: str) -> str:
    """The last part of a path of any system."""
    return name.replace("\\", "/").rpartition("/")[2]
