"""Read COCO annotation files: boxes, polygons, run-length masks and keypoints of all images in one JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from yolo_crds.training import Task

from ...errors import InvalidDataError
from ..convert import POLYGON_TASKS
from ..geometry import Point
from ..image_finder import ImageFinder
from ..json_file import stream_json
from ..skipped import Skipped
from ..source import Sample, Shape, Source, as_size, check_unique
from .packed_shapes import PackedShapes
from .rle import join_parts, mask_polygons

_SIDES = ("left", "right")


def is_coco(content: Mapping[str, Any]) -> bool:
    """Whether a JSON object looks like a COCO annotation file."""
    return isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list)


def open_coco(path: Path, root: Path, task: Task, skipped: Skipped) -> Source:
    """The data set in a COCO file; `root` is the volume's resolved root.

    The file is read as a stream: once up to the end of the images and categories, and once more for the
    annotations, which need both and may come before them.

    Raises InvalidDataError that names the entry: a category that is not there, numbers that are none.
    """
    categories, images = _read_head(path)
    keypoints = _read_keypoints(categories, path) if task == "pose" else None
    reader = _Reader(path, task, {i: c["name"] for i, c in categories.items()}, skipped, keypoints)
    for key, i, raw in stream_json(path, ["annotations"]):
        _read_annotation(reader, raw, f"{key}[{i}]", images)
    samples = _samples(reader, images, ImageFinder(root, _image_folders(path)))
    names = [
        c["name"] for i, c in sorted(categories.items()) if i in reader.used or not _is_group(i, categories)
    ]
    check_unique(names, path)
    return Source(
        kind="coco",
        path=path,
        samples=samples,
        names=names,
        files=[path],
        kpt_shape=(len(keypoints), 3) if keypoints else None,
        flip_idx=_flip_idx(keypoints) if keypoints else None,
        in_pixels=True,
        why=f"{path.name} has `images` and `annotations`",
    )


class _Image(NamedTuple):
    """An entry of `images`."""

    name: str
    size: tuple[float, float] | None


@dataclass(frozen=True)
class _Reader:
    """What every annotation of a file is read with."""

    path: Path
    task: Task
    names: Mapping[int, str]
    """Category names by id."""
    skipped: Skipped
    keypoints: list[str] | None = None
    shapes: dict[int, PackedShapes] = field(default_factory=dict)
    """What was read, by the image's id."""
    used: set[int] = field(default_factory=set)
    """Ids of the categories that occur."""

    def error(self, where: str, what: str) -> InvalidDataError:
        return InvalidDataError(f"{self.path}, {where}: {what}")


def _image_folders(path: Path) -> list[Path]:
    """Where exports keep images: beside the file, in `images/`, or in a folder that the file is named for."""
    here, above = path.parent, path.parent.parent
    part = path.stem.rpartition("_")[2]  # instances_train2017.json: train2017
    return [
        *(here, here / "images", here / part, here / "images" / part),
        *(above / "images" / part, above / part, above / "images", above),
    ]


def _read_head(path: Path) -> tuple[dict[int, dict[str, Any]], dict[int, _Image]]:
    """Categories and images by their id, in the order of the file."""
    categories: dict[int, dict[str, Any]] = {}
    images: dict[int, _Image] = {}
    for key, i, raw in stream_json(path, ["categories", "images"]):
        match key, raw:
            case "categories", {"id": int() as number, "name": str() as name} if (
                name.strip() and number not in categories
            ):
                categories[number] = {**raw, "name": name.strip()}
            case "images", {"id": int() as number, "file_name": str() as name} if number not in images:
                images[number] = _Image(name, as_size([raw.get("width"), raw.get("height")]))
            case _:
                what = "a name" if key == "categories" else "`file_name`"
                raise InvalidDataError(f"{path}, {key}[{i}]: needs {what} and an `id` of its own")
    if not categories:
        raise InvalidDataError(f"{path}: `categories` is empty or missing; COCO names its classes there")
    return categories, images


def _is_group(number: int, categories: Mapping[int, Mapping[str, Any]]) -> bool:
    """Whether a category groups others: Roboflow heads the list with such a one, which may have the name of
    the only class."""
    name = categories[number]["name"]
    return any(c.get("supercategory") == name for i, c in categories.items() if i != number)


def _read_keypoints(categories: Mapping[int, Mapping[str, Any]], path: Path) -> list[str]:
    """Names of the keypoints, which must be as many in every category that has any."""
    lists = [c["keypoints"] for c in categories.values() if isinstance(c.get("keypoints"), list)]
    if not any(lists):
        raise InvalidDataError(
            f"{path}: no category has `keypoints`, which pose needs; the data fit detect or segment"
        )
    if len({len(names) for names in lists if names}) > 1:
        raise InvalidDataError(
            f"{path}: categories have different numbers of keypoints; pose takes one number"
        )
    return [str(name) for name in next(names for names in lists if names)]


def _flip_idx(keypoints: list[str]) -> list[int] | None:
    """What each keypoint is in the mirrored image, told by `left` and `right` in its name."""
    index = {name: i for i, name in enumerate(keypoints)}
    mirrored = []
    for name in keypoints:
        left, right = (name.lower().find(side) for side in _SIDES)
        if left < 0 and right < 0:
            mirrored.append(index[name])
            continue
        other = name.lower().replace("left", "\0").replace("right", "left").replace("\0", "right")
        by_lower = {n.lower(): i for n, i in index.items()}
        if other not in by_lower:
            return None
        mirrored.append(by_lower[other])
    return mirrored if mirrored != sorted(mirrored) else None


def _samples(reader: _Reader, images: Mapping[int, _Image], finder: ImageFinder) -> list[Sample]:
    samples = []
    for number, image in images.items():
        place = finder.find(image.name)
        if place is None:
            reader.skipped.add("unsafeName", repr(image.name)[:80])
            continue
        shapes = reader.shapes.get(number, ())
        samples.append(Sample(place.stem, place.parent, (place.suffix,), shapes, image.size))
    return samples


def _read_annotation(reader: _Reader, raw: Any, where: str, images: Mapping[int, _Image]) -> None:
    match raw:
        case {"image_id": int() as image, "category_id": int() as category}:
            pass
        case _:
            raise reader.error(where, "needs `image_id` and `category_id`, whole numbers")
    if category not in reader.names:
        known = ", ".join(f"{i} {name}" for i, name in list(reader.names.items())[:10])
        raise reader.error(where, f"category_id {category} is not among the categories ({known})")
    if image not in images:
        reader.skipped.add("strayLabel", f"{where}, image_id {image}")
        return
    if raw.get("iscrowd") == 1:
        shape = Shape("crowd", reader.names[category], ())
    else:
        reader.used.add(category)
        shape = _shape(reader, raw, where, reader.names[category])
    if image not in reader.shapes:
        reader.shapes[image] = PackedShapes()
    reader.shapes[image].append(shape)


def _shape(reader: _Reader, raw: Mapping[str, Any], where: str, label: str) -> Shape:
    segmentation = raw.get("segmentation")
    if segmentation and (reader.task in POLYGON_TASKS or not raw.get("bbox")):
        parts = _parts(reader, segmentation, where)
        if parts:
            return Shape("polygon", label, tuple(join_parts(parts)))
    keypoints = _keypoints(reader, raw, where) if reader.keypoints else ()
    return Shape("rectangle", label, _box(reader, raw.get("bbox"), where), keypoints)


def _box(reader: _Reader, raw: Any, where: str) -> tuple[Point, Point]:
    match raw:
        case [x, y, width, height] if _all_numbers(raw):
            # Without a width it stays one without: min and max of the corners would make it a box again.
            return (x, y), (x + max(width, 0), y + max(height, 0))
    raise reader.error(where, f"`bbox` is {str(raw)[:60]}, not [x, y, width, height]")


def _parts(reader: _Reader, segmentation: Any, where: str) -> list[list[Point]]:
    match segmentation:
        case dict():
            try:
                return mask_polygons(segmentation)
            except ValueError as error:
                raise reader.error(where, str(error)) from error
        case [*parts] if all(isinstance(p, list) and len(p) % 2 == 0 and _all_numbers(p) for p in parts):
            whole = [p for p in parts if len(p) >= 6]
            return [list(zip(map(float, p[::2]), map(float, p[1::2]), strict=True)) for p in whole]
    raise reader.error(where, "`segmentation` is neither lists of x, y, x, y, … nor a run-length mask")


def _keypoints(reader: _Reader, raw: Mapping[str, Any], where: str) -> tuple[tuple[float, float, float], ...]:
    count = len(reader.keypoints or ())
    flat = raw.get("keypoints")
    if not flat:
        reader.skipped.add("noKeypoints", where)
        return ((0.0, 0.0, 0.0),) * count
    if not isinstance(flat, list) or len(flat) != 3 * count or not _all_numbers(flat):
        raise reader.error(where, f"`keypoints` is not {count} times x, y, visibility")
    return tuple(zip(*(map(float, flat[i::3]) for i in range(3)), strict=True))


def _all_numbers(values: list[Any]) -> bool:
    return all(isinstance(v, int | float) and math.isfinite(v) for v in values)
