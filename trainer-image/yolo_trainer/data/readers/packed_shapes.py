"""The shapes of one image in little memory, for data sets that keep those of all images in one file."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import overload

from ..mask_frame import Frame
from ..source import Shape

_Head = tuple[str, str, int, int, Frame | None]
"""Kind, label, how many points and keypoints, and `Shape.frame`."""


class PackedShapes(Sequence[Shape]):
    """Shapes whose numbers lie in one array: a polygon of 20 points takes 330 bytes instead of 2,300."""

    __slots__ = ("_heads", "_numbers")

    def __init__(self) -> None:
        self._heads: list[_Head] = []
        self._numbers = array("d")

    def append(self, shape: Shape) -> None:
        """Takes one more; its integers come back as floats."""
        counts = len(shape.points), len(shape.keypoints)
        self._heads.append(_head(shape.kind, shape.label, *counts, shape.frame))
        for row in (*shape.points, *shape.keypoints):
            self._numbers.extend(row)

    def extend(self, shapes: Iterable[Shape]) -> None:
        """Takes several more."""
        for shape in shapes:
            self.append(shape)

    def __len__(self) -> int:
        return len(self._heads)

    def __iter__(self) -> Iterator[Shape]:
        numbers = iter(self._numbers)
        for kind, label, points, keypoints, frame in self._heads:
            yield Shape(
                kind,
                label,
                tuple((next(numbers), next(numbers)) for _ in range(points)),
                tuple((next(numbers), next(numbers), next(numbers)) for _ in range(keypoints)),
                frame,
            )

    @overload
    def __getitem__(self, index: int) -> Shape: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Shape]: ...
    def __getitem__(self, index: int | slice) -> Shape | Sequence[Shape]:
        return list(self)[index]


@lru_cache(maxsize=65_536)
def _head(kind: str, label: str, points: int, keypoints: int, frame: Frame | None) -> _Head:
    """One tuple for all shapes that share it: labels of a file are a string each otherwise."""
    return kind, label, points, keypoints, frame
