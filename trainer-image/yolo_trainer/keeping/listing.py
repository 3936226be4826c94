"""What `data ls` tells, as a value: for the table, and for `--json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, computed_field

from yolo_crds.base import Lenient
from yolo_crds.layout import DataVolume

from .holders import Use
from .survey import (
    Stored,
    StoredSet,
    check_prepared,
    last_changed,
    list_fetched,
    list_leftovers,
    list_remembered,
    list_sets,
    list_unpacked,
    own_bytes,
)


class Row(Lenient):
    """One thing below `prepared/`."""

    name: str
    own_bytes: int
    """What the disk would have more without it; links cost nothing."""
    last_used: float | None = None
    """Unix seconds."""
    kind: str | None = None
    """Of a set: the kind of data set that it was made of."""
    source: str | None = None
    """Of a set: what the training that made it named."""
    images: int = 0
    boxes: int = 0
    state: str = ""
    """Of a set: `whole`, `no manifest`, or how many images changed."""
    used_by: list[str] = Field(default_factory=list)
    """Of a set: attempts whose run folders are there, the newest last."""


class Listing(Lenient):
    """All that lies below `prepared/`."""

    sets: list[Row] = Field(default_factory=list)
    unpacked: list[Row] = Field(default_factory=list)
    fetched: list[Row] = Field(default_factory=list)
    leftovers: list[Row] = Field(default_factory=list)
    """Of killed prepares and collectors."""
    remembered: int = 0
    """Outcomes of preparations and hashes of archives."""
    forgotten: int = 0
    """Those of them that are about what is gone."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def own_bytes(self) -> int:
        """Of everything."""
        rows = (*self.sets, *self.unpacked, *self.fetched, *self.leftovers)
        return sum(row.own_bytes for row in rows)


def survey(volume: DataVolume, uses: Mapping[str, Sequence[Use]], now: float) -> Listing:
    """Everything below `prepared/`; every image is looked at, none is opened.

    Raises InvalidDataError when there is no data volume.
    """
    if not check_prepared(volume):
        return Listing()
    remembered = list_remembered(volume)
    return Listing(
        sets=[_set_row(stored, volume) for stored in list_sets(volume, uses)],
        unpacked=[_row(stored) for stored in list_unpacked(volume)],
        fetched=[_row(stored) for stored in list_fetched(volume)],
        leftovers=[_leftover(path) for path in list_leftovers(volume, now)],
        remembered=len(remembered),
        forgotten=sum(not is_there for is_there in remembered.values()),
    )


def _row(stored: Stored) -> Row:
    return Row(name=stored.name, own_bytes=own_bytes(stored.path), last_used=stored.last_used)


def _leftover(path: Path) -> Row:
    return Row(name=path.name, own_bytes=own_bytes(path), last_used=last_changed(path))


def _set_row(stored: StoredSet, volume: DataVolume) -> Row:
    damaged = stored.damaged(volume)
    details = stored.details
    state = "no manifest" if damaged is None else f"{damaged} images changed" if damaged else "whole"
    row = _row(stored).model_copy(update={"state": state, "used_by": [str(use) for use in stored.uses]})
    if details is None:
        return row
    found = details.dataset
    return row.model_copy(
        update={
            "kind": found.kind,
            "source": details.reference,
            "images": found.images,
            "boxes": found.boxes,
        }
    )
