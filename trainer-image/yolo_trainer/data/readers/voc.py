"""Read the label files of Pascal VOC: one XML an image."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from ...errors import InvalidDataError, volume_errors
from ..geometry import Point
from ..source import Labels, Shape

MAX_BYTES = 16 << 20
_MAX_DEPTH = 32
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass
class _Element:
    tag: str
    line: int
    text: str = ""
    children: list[_Element] = field(default_factory=list)

    def find(self, tag: str) -> _Element | None:
        return next((child for child in self.children if child.tag == tag), None)

    def words(self, tag: str) -> str:
        """The text of a child; empty when there is none."""
        child = self.find(tag)
        return child.text.strip() if child else ""


def is_voc(path: Path) -> bool:
    """Whether an XML file is an annotation of Pascal VOC; InvalidDataError when it is broken."""
    return _read(path).tag == "annotation"


def read_voc(path: Path) -> Labels:
    """The boxes of one XML file, pixels as written (from 0; the challenge's own files count from 1).

    Objects that are marked `difficult` are left out, as Ultralytics does. Raises InvalidDataError with file
    and line.
    """
    root = _annotation(path)
    shapes = [_shape(element, path) for element in root.children if element.tag == "object"]
    return Labels(tuple(shapes), _size(root))


def image_of_voc(path: Path) -> str | None:
    """File name of the image that an XML file says it is for."""
    return _annotation(path).words("filename") or None


def _annotation(path: Path) -> _Element:
    root = _read(path)
    if root.tag != "annotation":
        raise InvalidDataError(f"{path}, line {root.line}: <{root.tag}> is no <annotation> of Pascal VOC")
    return root


def _shape(element: _Element, path: Path) -> Shape:
    place = f"{path}, line {element.line}"
    label = element.words("name")
    if not label:
        raise InvalidDataError(f"{place}: an <object> without <name>")
    if element.words("difficult") == "1":
        return Shape("difficult", label, ())
    box = element.find("bndbox")
    if box is None:
        return Shape("object without bndbox", label, ())
    try:
        x1, y1, x2, y2 = (float(box.words(corner)) for corner in _CORNERS)
    except ValueError as error:
        raise InvalidDataError(
            f"{path}, line {box.line}: <bndbox> of {label!r}: {error}; want numbers in {', '.join(_CORNERS)}"
        ) from error
    if not all(math.isfinite(v) for v in (x1, y1, x2, y2)):
        raise InvalidDataError(f"{path}, line {box.line}: <bndbox> of {label!r} is not finite")
    points: tuple[Point, ...] = ((x1, y1), (x2, y2))
    return Shape("rectangle", label, points)


def _size(root: _Element) -> tuple[float, float] | None:
    size = root.find("size")
    try:
        width, height = (float(size.words(name)) for name in ("width", "height")) if size else (0.0, 0.0)
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None


def _read(path: Path) -> _Element:
    """The tree of an XML file; a document type is refused, and with it every entity that could expand."""
    with volume_errors(path, "read"), path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise InvalidDataError(f"{path} is larger than {MAX_BYTES} bytes")
    parser = expat.ParserCreate()
    top = _Element("", 0)
    stack = [top]

    def start(tag: str, _attributes: object) -> None:
        if len(stack) > _MAX_DEPTH:
            raise InvalidDataError(f"{path}, line {parser.CurrentLineNumber}: nested too deep")
        element = _Element(tag, parser.CurrentLineNumber)
        stack[-1].children.append(element)
        stack.append(element)

    def end(_tag: str) -> None:
        stack.pop()

    def text(data: str) -> None:
        stack[-1].text += data

    def refuse(*_: object) -> None:
        raise InvalidDataError(
            f"{path}, line {parser.CurrentLineNumber}: a document type (<!DOCTYPE …>) is refused, since its "
            "entities can expand without end; take the line out"
        )

    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as error:
        raise InvalidDataError(f"{path} is not XML: {error}") from error
    return top.children[0]
