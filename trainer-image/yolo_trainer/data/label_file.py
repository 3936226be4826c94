"""The label file of one image, with what its rows are read by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class LabelFile:
    """The rows of one image."""

    text: str
    where: str
    """Path for people."""
    size: tuple[int, int]
    """Width and height of the upright image, in pixels."""
    texts_beside: Callable[[], Iterable[str]] = tuple
    """What other label files of its folder hold, some of them: asked for only to say what is wrong."""
