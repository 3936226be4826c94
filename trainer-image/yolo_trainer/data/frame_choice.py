"""Settle in which frame labels count that may count in two, by what a whole data set tells (`frames`)."""

from __future__ import annotations

from collections.abc import Mapping

from .frames import Frame, decide
from .inspection import Inspected
from .skipped import Skipped


def settle_frames(inspected: list[Inspected], sources: Mapping[str, object], skipped: Skipped) -> None:
    """Gives each image the one reading of its labels, and counts what was decided.

    Images of a validation part that the training data set names itself tell and follow as those for training.
    """
    groups: dict[tuple[str, bool], list[int]] = {}
    for i, one in enumerate(inspected):
        if one.two_ways:
            source = one.split if one.split in sources else "train"
            groups.setdefault((source, one.two_ways.is_turned), []).append(i)
    for places in groups.values():
        frames = decide([ways.evidence for i in places if (ways := inspected[i].two_ways)])
        for i, frame in zip(places, frames, strict=True):
            inspected[i] = _settle(inspected[i], frame, skipped)


def _settle(one: Inspected, frame: Frame | None, skipped: Skipped) -> Inspected:
    assert one.two_ways is not None, "only what can be read in two ways is settled"
    evidence, stored, is_turned = one.two_ways
    if frame == "stored":
        if is_turned:
            skipped.add("turnedLabels", one.shown)
        return one._replace(reading=stored, two_ways=None)
    if not is_turned:
        skipped.add("swappedSize", one.shown)
    elif frame is None:
        skipped.add("frameUntold", one.shown)
    elif evidence.size == "stored":
        skipped.add("uprightLabels", one.shown)
    return one._replace(two_ways=None)
