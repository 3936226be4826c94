"""What was measured beside what is promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Measured:
    """One promise and the runs that it was measured in, all in `unit`."""

    what: str
    values: tuple[float, ...]
    limit: float | None = None
    """The most that is promised; None where nothing is."""
    unit: str = "s"

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def kept(self) -> bool:
        return self.limit is None or self.median <= self.limit


def print_table(rows: Sequence[Measured]) -> str:
    """A table for people: median, promise, verdict and the single runs."""
    width = max(len(row.what) for row in rows)
    lines = [f"{'':{width}}  {'median':>9}  {'promise':>9}          runs"]
    for row in rows:
        promise = "" if row.limit is None else f"≤ {row.limit:g} {row.unit}"
        verdict = "" if row.limit is None else "kept" if row.kept else "MISSED"
        runs = ", ".join(f"{value:.1f}" for value in row.values) if len(row.values) > 1 else ""
        measured = f"{row.median:.1f} {row.unit}"
        lines.append(f"{row.what:{width}}  {measured:>9}  {promise:>9}  {verdict:6}  {runs}".rstrip())
    return "\n".join(lines)
