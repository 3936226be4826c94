"""Read JSON that somebody else wrote: bounded in size, its faults told with file and line."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InvalidDataError, volume_errors
from .json_stream import JsonStream
from .text_file import decode

MAX_BYTES = 1 << 30
"""Of a file that is parsed at once."""
MAX_STREAM_BYTES = 8 << 30
"""Of a file that is read as a stream; fifteen times the largest annotation file of COCO 2017."""
_KINDS = {
    "[": "list",
    '"': "str",
    "t": "bool",
    "f": "bool",
    "n": "NoneType",
    **dict.fromkeys("-0123456789", "number"),
}
_EMPTY: dict[str, Callable[[], object]] = {"[": list, "{": dict}


def read_json_object(path: Path, max_bytes: int | None = None) -> dict[str, Any]:
    """The object in a JSON file; raises InvalidDataError for anything else, and beyond `max_bytes`."""
    _check_size(path, max_bytes or MAX_BYTES)
    with volume_errors(path, "read"):
        raw = path.read_bytes()
    try:
        content = json.loads(decode(raw, str(path)))
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise _no_object(path, type(content).__name__)
    return content


def read_outline(path: Path, enough: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any]:
    """The object in a JSON file with every list and object in it empty.

    It ends where `enough` says, of what has been seen of it so far, that no more is needed.

    Raises InvalidDataError for a file that is no JSON object up to there.
    """
    outline: dict[str, Any] = {}
    with _opened(path) as stream:
        for key in stream.members():
            empty = _EMPTY.get(stream.peek())
            outline[key] = empty() if empty else stream.value()
            if enough(outline):
                return outline
            if empty:
                stream.skip()
        stream.end()
    return outline


def stream_json(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, int | str, Any]]:
    """Each element of the lists, and each member of the objects, that a JSON file's object has under the
    `wanted` keys: with this key, and its index or name. Ends when all of these keys have been there.

    Raises InvalidDataError when the file is not JSON.
    """
    missing = set(wanted)
    with _opened(path) as stream:
        members = stream.members()
        for key in members:
            if key in missing and stream.peek() in _EMPTY:
                yield from ((key, name, value) for name, value in stream.elements())
            else:
                stream.skip()
            missing.discard(key)
            if not missing:
                next(members, None)  # a comma behind the last wanted one wants a further key
                return
        stream.end()


@contextmanager
def _opened(path: Path) -> Iterator[JsonStream]:
    _check_size(path, MAX_STREAM_BYTES)
    with volume_errors(path, "read"), path.open("rb") as file:
        stream = JsonStream(path, file)
        if (first := stream.peek()) != "{":
            if first in ("", "]", "}"):
                stream.value()  # says what is wrong
            if first not in _KINDS:
                raise InvalidDataError(f"{path} is not JSON: it starts with {first!r}")
            raise _no_object(path, _KINDS[first])
        yield stream


def _check_size(path: Path, limit: int) -> None:
    with volume_errors(path, "read"):
        if (size := path.stat().st_size) > limit:
            raise InvalidDataError(f"{path} has {size} bytes, more than the {limit} that are read as JSON")


def _no_object(path: Path, what: str) -> InvalidDataError:
    return InvalidDataError(f"{path} is no data set: a JSON {what}, not an object")
