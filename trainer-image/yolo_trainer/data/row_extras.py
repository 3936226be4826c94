"""A number too many at the end of a YOLO label row: a track's id, a confidence or an angle. Pure.

Its values tell what it is. CVAT's Track exports end rows in the id of the track: whole, once in a picture.
`save_conf` of Ultralytics' predict ends them in a confidence, a part of 0 to 1. Tools for turned boxes end
`cx cy w h` in an angle. An id says nothing of the picture and is taken off. The others are refused: a
prediction is no label, and without its angle a box is another box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from yolo_crds.training import Task

from ..errors import InvalidDataError
from . import geometry
from .label_file import LabelFile
from .row_numbers import Row, to_numbers
from .skipped import Skipped

_BOX = 4
_FULL_TURN = 2 * math.pi
_VISIBLE = (0, 1, 2)


def without_extras(
    rows: list[Row], file: LabelFile, task: Task, kpt_shape: tuple[int, int] | None, skipped: Skipped
) -> list[Row]:
    """The rows of a file without the track ids that some of them end in, which are counted.

    Raises InvalidDataError with the line when a row ends in a number too many that is no track id.
    """
    if kpt_shape is None:
        _refuse_keypoints(rows, file)
        _refuse_confidence_and_id(rows, file)
    extra = [row for row in rows if _has_extra(row.values, task, kpt_shape)]
    if not extra or (kpt_shape is None and _are_keypoints(extra)):
        return rows
    if not _are_ids(extra) or (task == "obb" and any(_is_box(row) for row in extra)):
        raise _refusal(extra, file, task, kpt_shape)
    for row in extra:
        skipped.add("trackId", f"{file.where}, line {row.line}")
    lines = {row.line for row in extra}
    return [row._replace(values=row.values[:-1]) if row.line in lines else row for row in rows]


def _has_extra(values: Sequence[float], task: Task, kpt_shape: tuple[int, int] | None) -> bool:
    """Whether a row has one number more than one of the forms that it may be in."""
    if kpt_shape is not None:
        whole = _BOX + kpt_shape[0] * kpt_shape[1]
        if task == "pose":  # with a single keypoint the number may be its visibility
            return len(values) == whole + 1 and kpt_shape != (1, 2)
        if len(values) == whole:
            return False
        if (
            len(values) == whole + 1 and values[-1] > 1
        ):  # no coordinate, which an outline of so many would end in
            return True
    return len(values) > _BOX and len(values) % 2 == 1


def _is_box(row: Row) -> bool:
    return len(row.values) == _BOX + 1


def _are_ids(rows: Sequence[Row]) -> bool:
    """Whether the last numbers can be ids of tracks: whole, from 0, none on two boxes of a picture."""
    distinct = {(row.class_id, *row.values) for row in rows}
    ids = [values[-1] for values in distinct]
    return _are_whole(ids) and len(set(ids)) == len(ids)


def _are_keypoints(rows: Sequence[Row]) -> bool:
    """Whether rows may be boxes with keypoints of three numbers, of which the third is a visibility."""
    counts = {len(row.values) for row in rows}
    return (
        len(counts) == 1
        and (counts.pop() - _BOX) % 3 == 0
        and all(v in _VISIBLE for row in rows for v in row.values[_BOX + 2 :: 3])
    )


def _refuse_keypoints(rows: Sequence[Row], file: LabelFile) -> None:
    """Raises InvalidDataError for boxes with an even number of keypoints of three numbers, which would pass
    as outlines: every third number is a visibility, and a 2 among them is no place in a picture."""
    longer = [row for row in rows if len(row.values) > _BOX + 3]
    if longer and _are_keypoints(longer) and any(2 in row.values[_BOX + 2 :: 3] for row in longer):
        columns = len(longer[0].values) + 1
        count = (columns - 1 - _BOX) // 3
        raise InvalidDataError(
            f"{file.where}, line {longer[0].line}: {columns} columns, and every third from the eighth on is "
            f"0, 1 or 2: a box with {count} keypoints, and no outline",
            f"write `kpt_shape: [{count}, 3]` into the data.yaml: with it the boxes fit detect, too, and the "
            "keypoints pose",
        )


def _refuse_confidence_and_id(rows: Sequence[Row], file: LabelFile) -> None:
    """Raises InvalidDataError for what Ultralytics' track saves (save_txt, save_conf): a label, a confidence
    of 0 to 1 and the id of a track, which would pass as an outline, or as a further point of one."""
    longer = [row for row in rows if len(row.values) > _BOX and len(row.values) % 2 == 0]
    if not all(0 <= row.values[-2] <= 1 and row.values[-1].is_integer() for row in longer):
        return
    if found := next((row for row in longer if row.values[-1] > 1), None):
        shorter = _short(" ".join(f"{v:g}" for v in (found.class_id, *found.values[:-2])))
        raise InvalidDataError(
            f"{file.where}, line {found.line}: {len(found.values) + 1} columns, of which the last two, "
            f"{found.values[-2]:g} and {found.values[-1]:g}, are no point but a confidence and a track's id",
            "Ultralytics' track saves such rows (save_txt, save_conf): predictions; if they are meant as "
            f"labels, leave the two columns out: line {found.line} is then `{shorter}`",
        )


def _refusal(
    extra: Sequence[Row], file: LabelFile, task: Task, kpt_shape: tuple[int, int] | None
) -> InvalidDataError:
    """The error for the first of the rows, with what its last number is by those of all files beside it."""
    row = next((row for row in extra if not row.values[-1].is_integer()), extra[0])
    last, count = row.values[-1], len(row.values) + 1
    around = [*(r.values[-1] for r in extra), *_last_numbers(file, count)]
    low, high = min(around), max(around)
    message = (
        f"{file.where}, line {row.line}: {count} columns; {task} takes {columns_wanted(task, kpt_shape)}; "
        f"the last is {last:g}, here and in the files beside it from {low:g} to {high:g}"
    )
    is_part = low >= 0 and high <= 1 and any(not v.is_integer() for v in around)
    if _is_box(row) and (task == "obb" or not is_part):
        return InvalidDataError(
            message, _angle_hint(row, file, max(high, -low), may_be_flag=_are_whole(around))
        )
    shorter = _short(" ".join(f"{v:g}" for v in (row.class_id, *row.values[:-1])))
    if is_part:
        turned = (
            "; were it the angle of a turned box, obb would take its four corners" if _is_box(row) else ""
        )
        return InvalidDataError(
            message,
            f"rows of {count} columns that end in parts of 0 to 1 carry a confidence (save_conf), which "
            f"labels have not: take it off; line {row.line} is then `{shorter}`{turned}",
        )
    return InvalidDataError(
        message,
        "such a number is no track's id (CVAT's Track exports: whole, from 0, once in a picture) and no "
        f"confidence (0 to 1); if it means nothing here, line {row.line} is to be `{shorter}`",
    )


def columns_wanted(task: Task, kpt_shape: tuple[int, int] | None) -> str:
    """How many columns the rows of a task have."""
    if task == "pose" and kpt_shape:
        return str(1 + _BOX + kpt_shape[0] * kpt_shape[1])
    return {"obb": "9", "detect": "5"}.get(task, "an odd number of at least 7")


def _are_whole(values: Sequence[float]) -> bool:
    return all(v.is_integer() and v >= 0 for v in values)


def _angle_hint(row: Row, file: LabelFile, largest: float, *, may_be_flag: bool) -> str:
    """How a turned box is written: its corners in radians or degrees, whichever the numbers look like."""
    in_radians = largest <= _FULL_TURN
    angle = row.values[-1] if in_radians else math.radians(row.values[-1])
    corners = _turned(row.values[:_BOX], angle, file.size)
    shown = " ".join(f"{v:.4f}" for point in corners for v in point)
    flag = "; only if it is a flag and no angle, leave the column out" if may_be_flag else ""
    return (
        "6 columns whose last is no track's id (CVAT's Track exports: whole, from 0, once in a picture; they "
        "fit detect) are a box and its angle, without which it would be another box: write four corners and "
        f"train obb; in {'radians' if in_radians else 'degrees'}, "
        f"line {row.line} would be `{row.class_id} {shown}`{flag}"
    )


def _turned(box: Sequence[float], angle: float, size: tuple[int, int]) -> list[geometry.Point]:
    """The corners of a normalised box turned clockwise about its centre, as seen in pixels."""
    x, y, width, height = (v * size[i % 2] for i, v in enumerate(box))
    cos, sin = math.cos(angle), math.sin(angle)
    halves = [
        (-width / 2, -height / 2),
        (width / 2, -height / 2),
        (width / 2, height / 2),
        (-width / 2, height / 2),
    ]
    return geometry.scale([(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in halves], *size)


def _last_numbers(file: LabelFile, count: int) -> list[float]:
    """The last numbers of rows of so many columns in the files beside a label file."""
    found = []
    for text in file.texts_beside():
        for line in text.splitlines():
            words = line.split()
            if len(words) == count and (numbers := to_numbers(words)) and math.isfinite(numbers[-1]):
                found.append(numbers[-1])
    return found


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}…"
