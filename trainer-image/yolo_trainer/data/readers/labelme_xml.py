"""Read the label files of the MIT's LabelMe, which CVAT and Datumaro export as LabelMe 3.0: one XML an image.

Its root is `<annotation>`, as Pascal VOC's is, and nothing else is the same. The rules are Datumaro's
(plugins/data_formats/labelme.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ...errors import InvalidDataError, volume_errors
from ..geometry import Point, box_around, corners
from ..images import MAX_BYTES
from ..source import Labels, Note, Shape
from .instances import Part, join_groups
from .pictured_mask import read_outline
from .voc import YES, kind_of_annotation, read_annotation, size_of, turn_box
from .voc_outline import points_of
from .xml_tree import Element

MASKS = "Masks"
NO_IMAGES = frozenset({MASKS, "Scribbles"})
"""Folders beside the label files whose pictures are no images of the data set."""
_LABELS = "Annotations"
_NAMELESS = Shape("broken", "", ())
_ROTATION = re.compile(r"(?:^|,)\s*rotation\s*=\s*([^,]*)")


def read_labelme_xml(path: Path) -> Labels:
    """The objects of one XML file; those that are deleted are left out.

    Parts of one whole that have the same name are one object. Raises InvalidDataError with file and line.
    """
    root = read_annotation(path)
    if kind_of_annotation(root) == "voc":
        raise InvalidDataError(
            f"{path} is a file of Pascal VOC among files of LabelMe 3.0",
            "give each kind a folder of its own",
        )
    notes: list[Note] = []
    size = size_of(root, "imagesize", "ncols", "nrows")
    wholes = _wholes(root)
    parts = []
    for i, element in enumerate(root.all("object")):
        shown = f"{path.name}, line {element.line}"
        if element.words("deleted").lower() in YES:
            notes.append(("deleted", shown))
        elif label := element.words("name"):
            parts.append(Part(_shape(element, label, path, size, notes), wholes.get(_id(element, i))))
        else:
            parts.append(Part(_NAMELESS))
    shapes, joined = join_groups(parts)
    return Labels(tuple(shapes), size, (*notes, *[("joinedShape", path.name)] * joined))


def _id(element: Element, position: int) -> str:
    return element.words("id") or str(position)


def _wholes(root: Element) -> dict[str, str]:
    """What object each one is a part of, in the end, by their ids; objects by themselves are not in it."""
    above: dict[str, str] = {}
    for i, element in enumerate(root.all("object")):
        number, parts = _id(element, i), element.find("parts")
        if parts is None or element.words("deleted").lower() in YES:
            continue
        if whole := parts.words("ispartof"):
            above.setdefault(number, whole)
        for part in parts.words("hasparts").split(","):
            if part.strip():
                above.setdefault(part.strip(), number)
    wholes = {}
    for number in [*above, *above.values()]:
        top, seen = number, {number}
        while (top := above.get(top, top)) not in seen:
            seen.add(top)
        wholes[number] = top if top not in above else min(seen)
    return wholes


def _shape(
    element: Element, label: str, path: Path, size: tuple[float, float] | None, notes: list[Note]
) -> Shape:
    if (segm := element.find("segm")) is not None:
        return _mask_shape(segm, label, path, size)
    polygon = element.find("polygon")
    points = tuple(points_of(polygon, path)) if polygon else ()
    if element.words("type") != "bounding_box" or len(points) < 2:
        return Shape("polygon", label, points)
    box = box_around(points)
    if len(points) > 2 and set(points) != set(corners(box)):
        return Shape("polygon", label, points)
    shown = f"{path.name}, line {element.line}"
    if turned := turn_box(box, _rotation(element), shown, notes):
        return Shape("polygon", label, turned)
    return Shape("rectangle", label, (box[:2], box[2:]))


def _rotation(element: Element) -> str:
    """CVAT writes attributes as one text: `<attributes>colour=red, rotation=30.0</attributes>`."""
    match = _ROTATION.search(element.words("attributes"))
    return match[1].strip() if match else ""


def _mask_folders(path: Path) -> Iterator[Path]:
    """Beside the label file (CVAT), or as the MIT lays it out: `Masks` in place of `Annotations`."""
    yield path.parent / MASKS
    if _LABELS in path.parent.parts:
        before, _, after = str(path.parent).rpartition(f"/{_LABELS}")
        yield Path(f"{before}/{MASKS}{after}")


def _mask_shape(segm: Element, label: str, path: Path, size: tuple[float, float] | None) -> Shape:
    """The outline of the pixels that a picture in the folder `Masks` shows, as large as the image."""
    place, name = f"{path}, line {segm.line}", segm.words("mask")
    if not name or Path(name).name != name:
        raise InvalidDataError(f"{place}: <segm> needs in <mask> the name of a file in {MASKS}, not {name!r}")
    file = next((found for place in _mask_folders(path) if (found := place / name).is_file()), None)
    if file is None:
        return Shape(f"mask, {MASKS}/{name} is missing", label, ())
    with volume_errors(file, "read"), file.open("rb") as opened:
        data = opened.read(MAX_BYTES)
    want = (int(size[0]), int(size[1])) if size else None
    try:
        points: list[Point] = read_outline(data, (0, 0), [want] if want else [])
    except ValueError as error:
        raise InvalidDataError(f"{place}: {MASKS}/{name}: {error}") from error
    return Shape("polygon" if points else "mask without a pixel", label, tuple(points))
