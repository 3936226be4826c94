"""The table of epochs, results.csv, of a training that goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence


def cut_results(results: str, epochs_done: int) -> str:
    """The lines of a results.csv up to an epoch: its row is written before the epoch is saved, and may be
    torn where the attempt was killed in writing it.
    """
    header, *rows = results.splitlines(keepends=True) or [""]
    return header + "".join(row for row in rows if _is_whole(row, header) and _row_epoch(row) <= epochs_done)


def fit_results(results: str, columns: Sequence[str]) -> str:
    """The table with the columns that the next row will have, in their order; what a row lacks is empty.

    They change with the optimizer, which has one learning rate a group; rows are written without any look at
    the header above them.
    """
    header, *rows = results.splitlines()
    before = [name.strip() for name in header.split(",")]
    if before == list(columns):
        return results
    told = [dict(zip(before, row.split(","), strict=False)) for row in rows]
    table = [columns, *([row.get(name, "") for name in columns] for row in told)]
    return "".join(f"{','.join(row)}\n" for row in table)


def _is_whole(row: str, header: str) -> bool:
    return row.endswith("\n") and row.count(",") == header.count(",")


def _row_epoch(row: str) -> float:
    try:
        return float(row.partition(",")[0])
    except ValueError:
        return math.inf
