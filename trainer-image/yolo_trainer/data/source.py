"""What every data set format is read into: images to look for, and what is known of their labels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path, PurePosixPath

from ..errors import SPEC_HINT, InvalidDataError
from ..volume import beneath
from .geometry import Point
from .mask_frame import Frame
from .nearby import names_nearby
from .tree import Tree


@dataclass(frozen=True, slots=True)
class Shape:
    """One labelled thing, points in pixels. `kind`: rectangle, polygon, circle, point, line, linestrip.

    What a reader cannot use is a shape too, of a kind `broken`, `difficult` or `crowd` without points: only
    so is an image that has no other not taken for one of nothing (`lost_labels`).
    """

    kind: str
    label: str
    points: tuple[Point, ...]
    keypoints: tuple[tuple[float, float, float], ...] = ()
    """x, y and visibility (0 not labelled, 1 hidden, 2 seen) of each, for pose."""
    frame: Frame | None = None
    """The pixels that the points count in, where only the image itself tells whether these are its own."""


FOUR_CORNERS = frozenset({"rotation", "oriented_rectangle", "quadrilateral"})
"""What tools call turned rectangles and the like, given by their corners: X-AnyLabeling, LabelMe (6), and
X-AnyLabeling again."""

Note = tuple[str, str]
"""A kind of `Skipped` and what is named for a person: what was left out or read otherwise than it stands."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What a label file of one image says."""

    shapes: tuple[Shape, ...]
    size: tuple[float, float] | None = None
    """Width and height that the shapes' pixels count in."""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a data set, before anything is known about the file."""

    stem: str
    """Name of the image, without its ending."""
    folder: Path
    """Where the image lies."""
    endings: tuple[str, ...]
    """What its file name may end in: the first that exists is it."""
    shapes: Sequence[Shape] = ()
    """Its labels, where the data set keeps them in one file for all images."""
    size: tuple[float, float] | None = None
    """Width and height that the shapes' pixels count in; unset: the image's own."""
    label_file: Path | None = None
    """The file of its labels, where there is one for each image; a missing one means a background."""
    read_labels: Callable[[Path], Labels] | None = None
    """How `label_file` is read into shapes; unset: it holds the rows of YOLO."""
    class_name: str | None = None
    """Classification: the folder that it lies in."""
    mask_file: Path | None = None
    """Semantic segmentation: the image whose pixels are class ids, where a data set has such."""

    notes: tuple[Note, ...] = ()
    """What is to be told of its labels."""

    def __reduce__(self) -> tuple[type[Sample], tuple[object, ...]]:
        """For the way to another process, in a quarter of the time of a dataclass's own."""
        return Sample, attrgetter(*self.__slots__)(self)


COLOURS = 3
"""Channels of an image that nobody says anything of."""


@dataclass(frozen=True)
class Passed:
    """What a data.yaml says to Ultralytics besides its classes."""

    channels: int = COLOURS
    """Of the images as they are read, and of the model's first layer."""
    kpt_names: Mapping[int, Sequence[str]] | None = None
    """Names of the keypoints by class index."""
    kpt_oks_sigmas: Sequence[float] | None = None
    """How exactly each keypoint is labelled, for the metric of pose."""

    def for_classes(self, names: Sequence[str] | None, wanted: Sequence[str]) -> Passed:
        """With the class indices of the `wanted` names in place of those of `names`."""
        if self.kpt_names is None or names is None:
            return self
        index = {name: i for i, name in enumerate(wanted)}
        moved = {
            index[name]: self.kpt_names[i]
            for i, name in enumerate(names)
            if name in index and i in self.kpt_names
        }
        return replace(self, kpt_names=dict(sorted(moved.items())))


@dataclass(frozen=True)
class Source:
    """A data set as its author wrote it."""

    kind: str
    """`ucd`, `coco`, `voc`, `labelme`, `labelme-xml`, `dota`, `ndjson`, `yolo` or, for classification,
    `folders`."""
    path: Path
    """The file or folder that it was read from."""
    samples: list[Sample]
    own_val: list[Sample] | None = None
    """Validation images that the data set itself names."""
    names: list[str] | None = None
    """Class names by index; None when the format has no index (UCD, Pascal VOC, LabelMe) or no names (a bare
    YOLO folder)."""
    ids: Sequence[int] | None = None
    """What label rows call each of `names`, where it is not its position."""
    files: list[Path] = field(default_factory=list)
    """Files that it was read from, besides images and label files."""
    kpt_shape: tuple[int, int] | None = None
    flip_idx: list[int] | None = None
    passed: Passed = field(default_factory=Passed)
    names_note: str = ""
    """What is to be said of `names` when none of them was asked for."""
    warnings: list[str] = field(default_factory=list)
    mask_ids: Mapping[int, int] = field(default_factory=dict)
    """Class indices by the ids in masks, where they are not the same; 255 for pixels that do not count."""
    in_pixels: bool = False
    """Labels are shapes in pixels by class name; otherwise rows of YOLO, or none."""
    why: str = ""
    """What it was taken for that kind by."""
    tree: Tree = field(default_factory=Tree)
    """That its files lie in: an archive's are on the data volume, wherever the archive is."""


def as_point(raw: object) -> Point | None:
    """[x, y] of JSON as a point; None for anything else, infinities too."""
    match raw:
        case [int() | float() as x, int() | float() as y] if math.isfinite(x) and math.isfinite(y):
            return float(x), float(y)
    return None


def as_size(raw: object) -> tuple[float, float] | None:
    """[width, height] of JSON, in numbers or as text; None when it is missing, or [-1, -1]: the header of the
    image says it."""
    match raw:
        case [int() | float() | str() as width, int() | float() | str() as height]:
            try:
                size = float(width), float(height)
            except (ValueError, OverflowError):
                return None
            return size if all(0 < edge < math.inf for edge in size) else None
    return None


def check_unique(names: Sequence[str], file: Path) -> None:
    """Raises InvalidDataError for class names of which two are the same: they would become one class."""
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InvalidDataError(
            f"{file}: the class name {twice[0]!r} is given twice",
            "give each class a name of its own; to merge two, write the index of one into the labels",
        )


class NotFoundError(InvalidDataError):
    """There is nothing by the name that was given."""

    is_alike = False
    """Whether the hint names what was perhaps meant."""


def find_reference(tree: Tree, reference: str, data_field: str) -> Path:
    """The file or folder that `template.data.<field>` means: a path in the tree, or the name of a UCD data
    set below `ucd/`, or of a folder below `datasets/`.

    Raises InvalidDataError, naming the field, when it leads out of the tree; NotFoundError when it is
    nowhere.
    """
    root = tree.layout.root
    if tree.image is not None and PurePosixPath(reference.replace("\\", "/")).is_absolute():
        raise InvalidDataError(
            f"template.data.{data_field}: {reference!r} is absolute",
            "with template.data.image give a path within the image, or . for all of it",
        )
    tried = tree.layout.places(reference)
    for candidate in tried:
        try:
            found = beneath(root, candidate)
        except ValueError as error:
            raise InvalidDataError(f"template.data.{data_field}: {error}", SPEC_HINT) from error
        if found.exists():
            return found
    alike = names_nearby(tree.layout, tried)
    otherwise = (
        "name a path that the image holds" if tree.image else "put the data set there, or name one that is"
    )
    looked = ", ".join(candidate.removeprefix(f"{root}/") for candidate in tried)
    missing = NotFoundError(
        f"template.data.{data_field}: {reference!r} was not found in {tree}; looked for {looked}",
        f"did you mean {' or '.join(map(repr, alike))}?" if alike else otherwise,
    )
    missing.is_alike = bool(alike)
    raise missing
