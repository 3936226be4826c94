"""Reads protobuf messages by a table of field numbers, for messages that are too few for generated code.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
Schema = Mapping[int, tuple[str, "Schema | None"]]
"""Field number → (name, schema of a nested message; None for a string). All fields are length-delimited."""


class WireError(ValueError):
    """The bytes are no protobuf message."""


def parse(message: bytes, schema: Schema) -> dict[str, list[Any]]:
    """The fields that the schema names, each as a list of all its values; other fields are skipped.

    Raises WireError.
    """
    found: dict[str, list[Any]] = {name: [] for name, _ in schema.values()}
    for number, value in _fields(message):
        if number in schema and value is not None:
            name, inner = schema[number]
            found[name].append(parse(value, inner) if inner else value.decode("utf-8", "replace"))
    return found


def text(fields: Mapping[str, list[Any]], name: str) -> str:
    """A single string field: the last one counts, a missing one is empty."""
    return str(fields[name][-1]) if fields[name] else ""


def _fields(message: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Field numbers and values; None for values that are not length-delimited."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            _, at = _varint(message, at)
            yield number, None
            continue
        if kind == LENGTH:
            size, at = _varint(message, at)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise WireError(f"wire type {kind} at byte {at}")
        if at + size > len(message):
            raise WireError(f"field {number} ends beyond the message")
        yield number, message[at : at + size] if kind == LENGTH else None
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise WireError(f"no number at byte {at}")
