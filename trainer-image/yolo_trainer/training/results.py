"""The table of epochs, results.csv, of a training that goes on."""

from __future__ import annotations

import math


def cut_results(results: str, epochs_done: int) -> str:
    """The lines of a results.csv up to an epoch: its row is written before the epoch is saved, and may be
    torn where the attempt was killed in writing it.
    """
    header, *rows = results.splitlines(keepends=True) or [""]
    return header + "".join(row for row in rows if _is_whole(row, header) and _row_epoch(row) <= epochs_done)


def _is_whole(row: str, header: str) -> bool:
    return row.endswith("\n") and row.count(",") == header.count(",")


def _row_epoch(row: str) -> float:
    try:
        return float(row.partition(",")[0])
    except ValueError:
        return math.inf
