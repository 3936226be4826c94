"""Masks in COCO's run-length encoding, compressed or not, to the polygons of their outlines. Pure.

Runs alternate background and mask, column by column from the top left. Compressed (pycocotools): each run
in groups of 5 bits, sign-extended, printed as character 48 + bits, and from the third on as the difference
to the run two before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..geometry import Point

MAX_PIXELS = 178_956_970
"""As for images."""
_SEARCHED = 200  # points of a part among which the nearest to another part is looked for

Vertex = tuple[int, int]
Span = tuple[int, int]


def mask_polygons(rle: Mapping[str, Any]) -> list[list[Point]]:
    """The outer outlines of a mask along its pixels' edges; holes are filled.

    Raises ValueError with a sentence for what is no such encoding.
    """
    match rle.get("size"):
        case [int() as height, int() as width] if min(height, width) > 0 and height * width <= MAX_PIXELS:
            pass
        case other:
            raise ValueError(f"`size` of the mask is {other!r}, not [height, width]")
    match rle.get("counts"):
        case str() as text:
            counts = decompress(text)
        case [*numbers] if all(isinstance(n, int) for n in numbers):
            counts = numbers
        case _:
            raise ValueError("`counts` of the mask is neither text nor a list of whole numbers")
    if min(counts, default=-1) < 0 or sum(counts) != height * width:
        raise ValueError(f"the mask's runs do not add up to {height} x {width} pixels")
    return _outlines(_columns(counts, height))


def decompress(text: str) -> list[int]:
    """Run lengths of a compressed mask; ValueError when the text is torn or of other characters."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("`counts` of the mask is no compressed run-length encoding")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("`counts` of the mask is torn: its last run is not complete")
    return counts


def join_parts(parts: Sequence[Sequence[Point]]) -> list[Point]:
    """One outline that visits all parts, over bridges of no width between nearest points.

    A YOLO label holds one polygon for each object, however many parts of it are seen.
    """
    joined = list(parts[0])
    for part in parts[1:]:
        i, j = _nearest(joined, part)
        there_and_back = [*part[j:], *part[: j + 1]]
        joined = [*joined[: i + 1], *there_and_back, *joined[i:]]
    return joined


def _nearest(one: Sequence[Point], other: Sequence[Point]) -> tuple[int, int]:
    rows, columns = (range(0, len(p), 1 + len(p) // _SEARCHED) for p in (one, other))
    return min(
        ((i, j) for i in rows for j in columns), key=lambda pair: math.dist(one[pair[0]], other[pair[1]])
    )


def _columns(counts: Sequence[int], height: int) -> dict[int, list[Span]]:
    """The mask's rows [from, to) in each column, in order and none touching the next."""
    columns: dict[int, list[Span]] = {}
    position = 0
    for i, count in enumerate(counts):
        end = position + count
        while i % 2 and position < end:
            column, row = divmod(position, height)
            stop = min(height, row + end - position)
            spans = columns.setdefault(column, [])
            if spans and spans[-1][1] == row:
                spans[-1] = (spans[-1][0], stop)
            else:
                spans.append((row, stop))
            position += stop - row
        position = end
    return columns


def _outlines(columns: Mapping[int, list[Span]]) -> list[list[Point]]:
    """Follows the edges of the mask, which lies at their right hand."""
    following: dict[Vertex, list[Vertex]] = {}

    def edge(start: Vertex, end: Vertex) -> None:
        following.setdefault(start, []).append(end)

    for x, spans in columns.items():
        for top, bottom in spans:
            edge((x, top), (x + 1, top))
            edge((x + 1, bottom), (x, bottom))
        for top, bottom in _without(spans, columns.get(x - 1, [])):
            edge((x, bottom), (x, top))
        for top, bottom in _without(spans, columns.get(x + 1, [])):
            edge((x + 1, top), (x + 1, bottom))
    outlines = []
    while following:
        corners = _corners(_loop(following))
        if _doubled_area(corners) > 0:  # a hole runs the other way round
            outlines.append([(float(x), float(y)) for x, y in corners])
    return outlines


def _without(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """What of the spans no other covers."""
    left: list[Span] = []
    for start, stop in spans:
        for other_start, other_stop in others:
            if other_stop <= start or other_start >= stop:
                continue
            if other_start > start:
                left.append((start, other_start))
            start = other_stop
        if start < stop:
            left.append((start, stop))
    return left


def _loop(following: dict[Vertex, list[Vertex]]) -> list[Vertex]:
    """Takes one closed way out of the edges; where two cross it turns right and so stays with its pixel."""
    first = here = next(iter(following))
    before: Vertex | None = None
    way = []
    while True:
        ends = following[here]
        end = ends[0]
        if len(ends) > 1 and before is not None:
            turn = (before[1] - here[1], here[0] - before[0])
            end = next((e for e in ends if _same_way(turn, (e[0] - here[0], e[1] - here[1]))), end)
        ends.remove(end)
        if not ends:
            del following[here]
        way.append(here)
        before, here = here, end
        if here == first:
            return way


def _same_way(one: Vertex, other: Vertex) -> bool:
    return one[0] * other[0] + one[1] * other[1] > 0


def _corners(way: Sequence[Vertex]) -> list[Vertex]:
    """The vertices where the way turns."""
    return [
        here
        for i, here in enumerate(way)
        for before, after in [(way[i - 1], way[(i + 1) % len(way)])]
        if (here[0] - before[0]) * (after[1] - here[1]) != (here[1] - before[1]) * (after[0] - here[0])
    ]


def _doubled_area(corners: Sequence[Vertex]) -> int:
    return sum(
        corners[i - 1][0] * corners[i][1] - corners[i][0] * corners[i - 1][1] for i in range(len(corners))
    )
