"""XML that somebody else wrote as a tree of elements: bounded in size and depth, each with its line."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from ...errors import InvalidDataError, volume_errors

MAX_BYTES = 16 << 20
_MAX_DEPTH = 32
_DECLARED = re.compile(rb"\s*<\?xml[^>]*?\sencoding\s*=\s*[\"']([A-Za-z][\w.-]*)")
_OF_EXPAT = frozenset({"utf-8", "utf-16", "utf-16-le", "utf-16-be", "iso8859-1", "ascii"})
"""Encodings that expat decodes itself, as Python names them."""


@dataclass
class Element:
    """One element; `text` is what stands in it outside of its children."""

    tag: str
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def find(self, tag: str) -> Element | None:
        """The first child of that tag."""
        return next(self.all(tag), None)

    def all(self, tag: str) -> Iterator[Element]:
        """The children of that tag, in their order."""
        return (child for child in self.children if child.tag == tag)

    def below(self) -> Iterator[Element]:
        """All elements within, in their order."""
        for child in self.children:
            yield child
            yield from child.below()

    def words(self, tag: str) -> str:
        """The text of a child; empty when there is none."""
        child = self.find(tag)
        return child.text.strip() if child else ""

    def number(self, tag: str, path: Path) -> float:
        """The finite number in a child; raises InvalidDataError that names file, line and tag."""
        number = as_number(self.words(tag))
        if number is None:
            child = self.find(tag)
            found = f"<{tag}> is {child.text.strip()[:40]!r}" if child else f"there is no <{tag}>"
            line = child.line if child else self.line
            raise InvalidDataError(f"{path}, line {line}: in <{self.tag}> {found}; want a finite number")
        return number


def as_number(text: str) -> float | None:
    """A finite number; None for other text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _decoded(raw: bytes, encoding: str) -> bytes | None:
    """A file of an encoding that Python knows and expat does not, such as GBK, in UTF-8; None for others."""
    try:
        if codecs.lookup(encoding).name in _OF_EXPAT:
            return None
        return raw.decode(encoding).encode()
    except (LookupError, ValueError):
        return None


def read_xml(path: Path) -> Element:
    """The root of an XML file; a document type is refused, and with it every entity that could expand.

    Raises InvalidDataError with file and line.
    """
    with volume_errors(path, "read"), path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise InvalidDataError(f"{path} is larger than {MAX_BYTES} bytes")
    declared = _DECLARED.match(raw)
    if declared and (text_of := _decoded(raw, declared[1].decode("ascii"))) is not None:
        raw, parser = text_of, expat.ParserCreate("utf-8")
    else:
        parser = expat.ParserCreate()
    top = Element("", 0)
    stack = [top]

    def start(tag: str, _attributes: object) -> None:
        if len(stack) > _MAX_DEPTH:
            raise InvalidDataError(f"{path}, line {parser.CurrentLineNumber}: nested too deep")
        element = Element(tag, parser.CurrentLineNumber)
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
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter two for an encoding
        raise InvalidDataError(f"{path} is not XML: {error}") from error
    return top.children[0]
