"""Read COCO annotation files: boxes, polygons, run-length masks and keypoints of all images in one JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from yolo_crds.training import Task

from ...errors import InvalidDataError
from ..image_finder import ImageFinder
from ..json_file import stream_json
from ..skipped import Skipped
from ..source import Sample, Shape, Source
from .coco_head import Head, Id, as_id, flip_idx, read_head
from .coco_shapes import Annotation, ShapeReader
from .packed_shapes import PackedShapes

CROWD_SHARE = 0.05
"""Part of the annotations from which on crowds hardly are any: of COCO 2017's own it is 0.012."""
_CROWD_HINT = (
    "supervision, Datumaro, Darwin and CVAT (brush masks) mark single objects so: if these are such, set "
    "template.data.crowd to take"
)
_IMAGE_FOLDERS = ("images", "data")
_LABEL_FOLDERS = ("annotations", "annotation", "labels")
_SPLITS = ("train", "val", "test")
_REFERENCES = ("image_id", "category_id")


def is_coco(content: Mapping[str, Any]) -> bool:
    """Whether a JSON object looks like a COCO annotation file."""
    return isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list)


def open_coco(
    path: Path,
    root: Path,
    task: Task,
    skipped: Skipped,
    *,
    take_crowds: bool = False,
    is_rest: bool = False,
) -> Source:
    """The data set in a COCO file; `root` is the volume's resolved root.

    The file is read as a stream: once up to the end of the images and categories, and once more for the
    annotations, which need both and may come before them.

    Raises InvalidDataError that names the entry: a category that is not there, numbers that are none; and for
    a file of boxes or crowds alone, unless `is_rest`: another file of the data set holds what the task takes.
    """
    shown = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    head = read_head(path, shown)
    keypoints = head.keypoints() if task == "pose" else []
    reader = _Reader(head, ShapeReader(task, skipped, len(keypoints)), skipped, take_crowds, is_rest)
    for _, i, raw in stream_json(path, ["annotations"]):
        reader.add(raw, f"annotations[{i}]")
    reader.check_images()
    warnings = reader.check_crowds()
    reader.check_shapes()
    samples = _samples(reader, ImageFinder(root, _image_folders(path), skipped))
    return Source(
        kind="coco",
        path=path,
        samples=samples,
        names=head.check_names(reader.used),
        files=[path],
        kpt_shape=(len(keypoints), 3) if keypoints else None,
        flip_idx=flip_idx(keypoints) if keypoints else None,
        warnings=warnings,
        in_pixels=True,
        why=f"{path.name} has `images` and `annotations`",
    )


@dataclass(frozen=True)
class _Reader:
    """What is read of the annotations of a file."""

    head: Head
    shape: ShapeReader
    skipped: Skipped
    take_crowds: bool
    is_rest: bool
    shapes: dict[Id, PackedShapes] = field(default_factory=dict)
    """By the image's id."""
    used: set[Id] = field(default_factory=set)
    """Ids of the categories that occur."""
    strays: list[str] = field(default_factory=list)
    """The first annotation of an image that is not there."""
    counts: Counter[str] = field(default_factory=Counter)
    """The other annotations: `object` or `crowd`."""

    @cached_property
    def names(self) -> dict[Id, str]:
        """Of the categories, by id."""
        return self.head.names

    def add(self, raw: Any, place: str) -> None:
        """Takes one more annotation; raises InvalidDataError that names it."""
        number, category = (as_id(raw.get(key)) if isinstance(raw, dict) else None for key in _REFERENCES)
        where = f"{self.head.shown}, {place}"
        if number is None or category is None:
            raise InvalidDataError(f"{where}: needs `image_id` and `category_id`; it is {str(raw)[:80]}")
        if (label := self.names.get(category)) is None:
            known = ", ".join(f"{i} {name}" for i, name in list(self.names.items())[:10])
            raise InvalidDataError(f"{where}: category_id {category} is not among the categories ({known})")
        if (image := self.head.images.get(number)) is None:
            self.skipped.add("strayLabel", stray := f"{place}, image_id {number}")
            if not self.strays:
                self.strays.append(stray)
            return
        if number not in self.shapes:
            self.shapes[number] = PackedShapes()
        is_crowd = raw.get("iscrowd") in (1, "1")
        self.counts["crowd" if is_crowd else "object"] += 1
        if is_crowd and not self.take_crowds:
            self.shapes[number].append(Shape("crowd", label, ()))
            return
        one = Annotation(raw, self.head.shown, place, label, image)
        if is_crowd:
            self.skipped.add("takenCrowd", one.shown)
        self.used.add(category)
        self.shapes[number].append(self.shape.read(one))

    def check_images(self) -> None:
        """Raises InvalidDataError when there are annotations and all of them are of other images."""
        if self.strays and not self.counts:
            ids = ", ".join(map(str, islice(self.head.images, 3))) or "none"
            raise InvalidDataError(
                f"{self.head.shown}: no annotation is of an image of this file ({self.strays[0]}; ids in "
                f"`images`: {ids})",
                "`image_id` is the `id` of an entry of `images` in the same file",
            )

    def check_shapes(self) -> None:
        """Raises InvalidDataError when none of them can be what the task takes: coordinates that are no
        pixels; for outlines, boxes alone."""
        kinds, task = self.shape.kinds, self.shape.task
        if 0 < self.shape.reach <= 1:
            raise InvalidDataError(
                f"{self.head.shown}: no coordinate is larger than 1; COCO's are pixels, these look like "
                "parts of the image's width and height",
                "multiply x and width by the image's width, y and height by its height",
            )
        forms = self.shape.forms
        if forms["corner"] > forms["size"]:
            raise InvalidDataError(
                f"{self.head.shown}: `bbox` is [x1, y1, x2, y2] by the outlines of {forms['corner']} "
                f"annotations of {forms.total()} that tell; COCO's is [x, y, width, height]",
                "take x1 and y1 off the last two numbers",
            )
        if self.is_rest or task not in ("segment", "semantic"):
            return
        if kinds and set(kinds) == {"rectangle"}:
            raise InvalidDataError(
                f"{self.head.shown}: none of its {kinds.total()} annotations has a `segmentation`, which "
                f"{task} needs; the data fit detect",
                "export polygons or masks, or set template.task: detect and a model for it",
            )

    def check_crowds(self) -> list[str]:
        """A warning where many annotations mark a crowd and are left out; raises InvalidDataError when all
        of them do."""
        crowds, objects = self.counts["crowd"], self.counts["object"]
        if self.take_crowds or crowds <= CROWD_SHARE * (crowds + objects):
            return []
        what = f"{crowds} of {crowds + objects} annotations mark a crowd (iscrowd: 1)"
        if not (objects or self.is_rest):
            raise InvalidDataError(f"{self.head.shown}: {what}, and a crowd is not trained on", _CROWD_HINT)
        return [f"{self.head.shown}: {what} and are left out, in COCO about 1 %; {_CROWD_HINT}"]


def _image_folders(path: Path) -> list[Path]:
    """Where exports keep images: beside the file, in `images/`, in `data/` (FiftyOne), or in a folder that
    the file is named for, be it nearly: `instances_val.json`, `val2017/`, `validation/`."""
    here, above = path.parent, path.parent.parent
    part = path.stem.rpartition("_")[2]  # instances_train2017.json: train2017
    tops = [
        here,
        *(here / name for name in _IMAGE_FOLDERS),
        *(above / name for name in _IMAGE_FOLDERS),
        above,
    ]
    named = [top / part for top in tops]
    own = tops if here.name.lower() in _LABEL_FOLDERS else tops[:3]  # others may lie beside the data set
    alike = [folder for top in own for folder in _folders_alike(top, part)]
    return [*tops[:3], *named, *alike, *tops[3:]]


def _folders_alike(folder: Path, part: str) -> list[Path]:
    """The folders within that are for the same part of a data set (training, validation, test) as a file."""
    split = next((split for split in _SPLITS if part.lower().startswith(split)), None)
    if split is None or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.lower().startswith(split) and path.is_dir())


def _samples(reader: _Reader, finder: ImageFinder) -> list[Sample]:
    """The images in the order of their names, since the finder goes by what it has found before; entries of
    one file are one image with the labels of all."""
    for name in reader.head.twice:
        reader.skipped.add("duplicateImage", name)
    found: dict[tuple[Path, tuple[float, float] | None], PackedShapes] = {}
    for number, image in sorted(reader.head.images.items(), key=lambda entry: entry[1].name):
        place = finder.find(image.name)
        if place is None:
            reader.skipped.add(finder.refusal(image.name), repr(image.name)[:80])
            continue
        shapes = reader.shapes.get(number) or PackedShapes()
        if (first := found.setdefault((place, image.size), shapes)) is not shapes:
            reader.skipped.add("mergedImage", image.name)
            first.extend(shapes)
    return [
        Sample(place.stem, place.parent, (place.suffix,), shapes or (), size)
        for (place, size), shapes in found.items()
    ]
