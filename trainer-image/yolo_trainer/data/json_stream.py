"""Read large JSON files piece by piece: a window of text moves over the file, and `json` parses each element.

Parsed at once, a data set's file takes ten times its size in memory. ADR 5 tells why no library does it.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ..errors import InvalidDataError
from .text_file import REMEDY, is_utf16

MAX_ELEMENT = 64 << 20
"""Characters of one element of a list or object."""
_CHUNK_BYTES = 128 << 10
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"[-+.0-9eE]*")
_parse = json.JSONDecoder().raw_decode


class JsonStream:
    """A position in a JSON text; every method leaves it behind what it returned or yielded."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._text, self._at, self._ended = "", 0, False
        self._line = self._column = 1  # of the window's first character

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._fill()

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        while True:
            try:
                value, end = _parse(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._ended or len(self._text) - self._at > MAX_ELEMENT:
                    raise self._fault(error.msg, error.pos) from error
            except RecursionError as error:
                raise self._fault("nested too deep, recursion", self._at) from error
            else:
                # `1.5` cut by the window's end after the point is a whole 1 to the parser.
                rest = _NUMBER.match(self._text, end)
                if self._ended or (rest and rest.end() < len(self._text)):
                    self._at = end
                    return value
            self._fill()

    def members(self) -> Iterator[str]:
        """The keys of an object; who takes one reads or skips its value before the next."""
        self._take("{", "an object")
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                raise self._fault("Expecting property name enclosed in double quotes", self._at)
            key = self.value()
            self._take(":", "':' delimiter")
            yield key
            if self._is_end("}"):
                return

    def elements(self) -> Iterator[tuple[int | str, Any]]:
        """The elements of a list with their index, or the values of an object with their key."""
        if self.peek() == "{":
            for key in self.members():
                yield key, self.value()
            return
        self._take("[", "a list")
        if self.peek() == "]":
            self._at += 1
            return
        index = 0
        while True:
            yield index, self.value()
            index += 1
            if self._is_end("]"):
                return

    def skip(self) -> None:
        """Passes over the next value without having it in memory whole."""
        if self.peek() in ("[", "{"):
            for _ in self.elements():
                pass
        else:
            self.value()

    def end(self) -> None:
        """Raises InvalidDataError when anything but white space follows."""
        if self.peek():
            message = "more follows the first value; JSON lines (.jsonl) are not read, one object is"
            raise self._fault(message, self._at)

    def _take(self, character: str, what: str) -> None:
        if self.peek() != character:
            raise self._fault(f"Expecting {what}", self._at)
        self._at += 1

    def _is_end(self, closing: str) -> bool:
        """Whether a list or object ends here; otherwise the comma is passed."""
        found = self.peek()
        if found not in (",", closing):
            raise self._fault("Expecting ',' delimiter", self._at)
        self._at += 1
        return found == closing

    def _fill(self) -> None:
        """Moves the window on: what was read goes, and at least as much as is left comes."""
        gone = self._text[: self._at]
        self._line, self._column = self._place(self._at)
        data = self._file.read(max(_CHUNK_BYTES, len(self._text) - len(gone)))
        self._ended = not data
        try:
            self._text = self._text[self._at :] + self._decode(data, self._ended)
        except UnicodeDecodeError as error:
            raise self._encoding_fault(error) from error
        self._at = 0

    def _encoding_fault(self, error: UnicodeDecodeError) -> InvalidDataError:
        """Told at the byte: up to it what came is text still."""
        if is_utf16(error.object) and (self._line, self._column, self._text) == (1, 1, ""):
            return InvalidDataError(f"{self._path} is text in UTF-16; want UTF-8", REMEDY)
        self._text = self._text[self._at :] + error.object[: error.start].decode("utf-8", "replace")
        byte = error.object[error.start]
        return self._fault(f"no UTF-8 (byte {byte:#04x})", len(self._text), REMEDY)

    def _place(self, at: int) -> tuple[int, int]:
        """Line and column in the file of a position in the window."""
        before = self._text[:at]
        lines = before.count("\n")
        return self._line + lines, len(before) - before.rfind("\n") if lines else self._column + at

    def _fault(self, message: str, at: int, hint: str | None = None) -> InvalidDataError:
        line, column = self._place(at)
        return InvalidDataError(f"{self._path} is not JSON: {message}: line {line} column {column}", hint)
