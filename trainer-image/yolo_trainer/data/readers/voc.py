"""Read the label files of Pascal VOC and of the tools that added to it: one XML an image.

Besides `<bndbox>`: CVAT's turned boxes (an attribute `rotation`), roLabelImg's `<robndbox>`, and outlines.
"""

from __future__ import annotations

import math
from pathlib import Path

from yolo_crds.training import Task

from ...errors import InvalidDataError
from ..convert import POLYGON_TASKS
from ..geometry import Point, turned_rectangle
from ..source import Labels, Note, Shape
from .voc_outline import read_outline
from .xml_tree import Element, as_number, read_xml

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_NAMED_CORNERS = ("left_top", "right_top", "right_bottom", "left_bottom")
_ANGLES = frozenset({"angle", "rotation", "theta"})
_OBJECT_TAGS = frozenset({"object", "bndbox", "robndbox"})
YES = frozenset({"1", "true", "yes"})


def read_voc(path: Path, task: Task) -> Labels:
    """The objects of one XML file, pixels as written (from 0; the challenge's own files count from 1).

    An object's outline goes before its box where the task takes it, and where it has no box. Objects
    that are marked `difficult` are left out, as Ultralytics does. Raises InvalidDataError with file and line.
    """
    root = read_annotation(path)
    if kind_of_annotation(root) == "labelme-xml":
        raise InvalidDataError(
            f"{path} is a file of LabelMe 3.0 among files of Pascal VOC",
            "give each kind a folder of its own",
        )
    _refuse_inner(root, path)
    notes: list[Note] = []
    shapes = [_shape(element, path, task, notes) for element in root.all("object")]
    return Labels(tuple(shapes), size_of(root, "size", "width", "height"), tuple(notes))


def _refuse_inner(root: Element, path: Path) -> None:
    """Raises InvalidDataError for objects that stand where Pascal VOC has none: they would not be read."""
    for child in (child for child in root.children if child.tag != "object"):
        if found := next((e for e in (child, *child.below()) if e.tag.lower() in _OBJECT_TAGS), None):
            where = "" if found is child else f" in <{child.tag}>"
            raise InvalidDataError(
                f"{path}, line {found.line}: <{found.tag}>{where} is not where Pascal VOC has its objects",
                "want <annotation><object><name> and <bndbox> in it; FAIR1M and others write an XML of their "
                "own: convert it to Pascal VOC, DOTA or YOLO",
            )


def image_of_voc(path: Path) -> str | None:
    """File name of the image that an XML file says it is for."""
    return read_annotation(path).words("filename") or None


def read_annotation(path: Path) -> Element:
    """The root of a file of Pascal VOC or LabelMe 3.0; raises InvalidDataError when it is another's."""
    root = read_xml(path)
    if root.tag != "annotation":
        raise InvalidDataError(f"{path}, line {root.line}: <{root.tag}> is no <annotation> of Pascal VOC")
    return root


def kind_of_annotation(root: Element) -> str | None:
    """Whose the root `<annotation>` is: `voc`, or `labelme-xml` of the MIT's LabelMe, which CVAT exports as
    LabelMe 3.0; `annotation` when nothing in it tells; None for another file."""
    if root.tag != "annotation":
        return None
    if root.find("imagesize"):
        return "labelme-xml"
    if root.find("size"):
        return "voc"
    for element in root.all("object"):
        if element.find("bndbox") or element.find("robndbox"):
            return "voc"
        if any(element.find(tag) for tag in ("deleted", "parts", "segm")):
            return "labelme-xml"
    return "voc" if root.find("object") else "annotation"


def size_of(root: Element, tag: str, *names: str) -> tuple[float, float] | None:
    """Width and height that an XML file gives; None where it does not, or not in numbers above 0."""
    size = root.find(tag)
    width, height = ((as_number(size.words(name)) if size else None) or 0.0 for name in names)
    return (width, height) if width > 0 and height > 0 else None


def turn_box(
    box: tuple[float, float, float, float], rotation: str, place: str, notes: list[Note]
) -> tuple[Point, ...] | None:
    """The corners of a box that is turned; None when it is upright.

    CVAT writes the box as it was before, and `rotation`: degrees, clockwise on the screen, about the centre.
    """
    if not rotation:
        return None
    degrees = as_number(rotation)
    if degrees is None:
        notes.append(("unreadRotation", f"{place}: {rotation[:40]!r}"))
        return None
    if degrees % 180 == 0:
        return None
    notes.append(("turnedBox", f"{place} by {rotation} degrees"))
    x1, y1, x2, y2 = box
    return tuple(turned_rectangle((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, math.radians(degrees)))


def _shape(element: Element, path: Path, task: Task, notes: list[Note]) -> Shape:
    place = f"{path}, line {element.line}"
    label = element.words("name")
    if not label:
        raise InvalidDataError(f"{place}: an <object> without <name>")
    shown = f"{path.name}, line {element.line}"
    notes += [("objectPart", f"{shown}: {part.words('name') or '?'}") for part in element.all("part")]
    if element.words("difficult").lower() in YES:
        return Shape("difficult", label, ())
    if turned := element.find("robndbox"):
        return Shape("polygon", label, _turned_box(turned, path))
    box = element.find("bndbox")
    has_corners = box is not None and box.find("xmin") is not None
    if (task in POLYGON_TASKS or not has_corners) and (
        points := read_outline(element, path, turned_first=task == "obb")
    ):
        return Shape("polygon", label, points)
    notes += [("furtherBox", shown) for _ in [*element.all("bndbox")][1:]]
    if box is None:
        return Shape("object without bndbox", label, ())
    notes += [
        ("unknownAngle", f"{shown}: <{child.tag}> {child.text.strip()[:20]}")
        for child in (*element.children, *box.children)
        if child.tag in _ANGLES and as_number(child.text) not in (0, None)
    ]
    return _box_shape(box, label, path, _rotation(element), shown, notes)


def _box_shape(box: Element, label: str, path: Path, rotation: str, shown: str, notes: list[Note]) -> Shape:
    numbers = [as_number(box.words(corner)) for corner in _CORNERS]
    match numbers:
        case [float() as x1, float() as y1, float() as x2, float() as y2]:
            if x1 > x2 or y1 > y2:
                notes.append(("swappedCorners", shown))
            turned = turn_box((x1, y1, x2, y2), rotation, shown, notes)
            return Shape("polygon" if turned else "rectangle", label, turned or ((x1, y1), (x2, y2)))
    found = ", ".join(f"{corner} {box.words(corner)[:20]!r}" for corner in _CORNERS)
    raise InvalidDataError(
        f"{path}, line {box.line}: <bndbox> of {label!r} has {found}; want finite numbers in "
        f"{', '.join(_CORNERS)}"
    )


def _rotation(element: Element) -> str:
    """CVAT: `<attributes><attribute><name>rotation</name><value>30.0</value></attribute></attributes>`."""
    for holder in (element, *element.all("attributes")):
        for attribute in holder.all("attribute"):
            if attribute.words("name") == "rotation":
                return attribute.words("value")
    return ""


def _turned_box(box: Element, path: Path) -> tuple[Point, ...]:
    """Corners of a `<robndbox>`: centre, width, height and an angle from roLabelImg, in radians clockwise on
    the screen; or four named corners (DIOR-R)."""
    if box.find(f"x_{_NAMED_CORNERS[0]}"):
        return tuple(
            (box.number(f"x_{name}", path), box.number(f"y_{name}", path)) for name in _NAMED_CORNERS
        )
    cx, cy, width, height, angle = (box.number(tag, path) for tag in ("cx", "cy", "w", "h", "angle"))
    if abs(angle) > 2 * math.pi + 0.01:
        raise InvalidDataError(
            f"{path}, line {box.line}: <angle> {angle:g} of a <robndbox> is no angle in radians",
            "roLabelImg writes radians, clockwise, 0 to 3.1416; divide degrees by 57.29578",
        )
    return tuple(turned_rectangle(cx, cy, width, height, angle))
