"""What every data set format is read into: images to look for, and what is known of their labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from yolo_crds.layout import DataVolume

from .errors import InvalidDataError
from .geometry import Point
from .volume import beneath


@dataclass(frozen=True)
class Shape:
    """One labelled thing, points in pixels. `kind`: rectangle, polygon, circle, point, line, linestrip."""

    kind: str
    label: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Sample:
    """One image of a data set, before anything is known about the file."""

    stem: str
    """Name of the image, without its ending."""
    folder: Path
    """Where the image lies."""
    endings: tuple[str, ...]
    """What its file name may end in: the first that exists is it."""
    shapes: tuple[Shape, ...] = ()
    """UCD: its labels."""
    size: tuple[float, float] | None = None
    """UCD: width and height that the shapes' pixels count in; unset: the image's own."""
    label_file: Path | None = None
    """YOLO: the text file of its labels; a missing one means a background image."""
    class_name: str | None = None
    """Classification: the folder that it lies in."""


@dataclass(frozen=True)
class Source:
    """A data set as its author wrote it."""

    kind: str
    """`ucd`, `yolo` or `folders` (classification)."""
    path: Path
    """The file or folder that it was read from."""
    samples: list[Sample]
    own_val: list[Sample] | None = None
    """Validation images that the data set itself names."""
    names: list[str] | None = None
    """Class names by index; None when the format has no index (UCD) or no names (a bare YOLO folder)."""
    files: list[Path] = field(default_factory=list)
    """Files that it was read from, besides images and label files."""
    kpt_shape: tuple[int, int] | None = None
    flip_idx: list[int] | None = None
    warnings: list[str] = field(default_factory=list)


def find_reference(volume: DataVolume, reference: str, data_field: str) -> Path:
    """The file or folder that `template.data.<field>` means: a path on the data volume, or the name of a
    UCD data set below `ucd/`, or of a folder below `datasets/`.

    Raises InvalidDataError, naming the field, when it leads out of the volume or is nowhere.
    """
    name = reference.replace("\\", "/").rstrip("/")
    tried = (
        [name]
        if name.startswith("/")
        else [
            name,
            f"{volume.ucd.name}/{name}.json",
            f"{volume.ucd.name}/{name}",
            f"{volume.ucd.name}/{name}.uci",
            f"{volume.datasets.name}/{name}",
        ]
    )
    for candidate in tried:
        try:
            found = beneath(volume.root, candidate)
        except ValueError as error:
            raise InvalidDataError(f"template.data.{data_field}: {error}") from error
        if found.exists():
            return found
    looked = ", ".join(str(volume.root / candidate) for candidate in tried)
    raise InvalidDataError(
        f"template.data.{data_field}: {reference!r} was not found; looked for {looked}",
        "put the data set there, or name one that is",
    )
