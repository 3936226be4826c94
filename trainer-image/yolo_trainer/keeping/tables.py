"""Tables and sentences about what lies in `prepared/`, for people."""

from __future__ import annotations

from collections.abc import Sequence

from ..sizes import bytes_text, span_text
from .collect import Collected
from .listing import Listing, Row

_USES_SHOWN = 3
_FAULTS_SHOWN = 5


def listing_lines(listing: Listing, now: float) -> list[str]:
    """Tables of all kinds, and totals; `now` in Unix seconds."""
    lines = []
    if listing.sets:
        header = ("SET", "FROM", "IMAGES", "BOXES", "OWN", "STATE", "USED", "BY")
        lines += _table([header, *(_set_cells(row, now) for row in listing.sets)], right=(2, 3, 4))
    for title, rows in (
        ("UNPACKED ARCHIVE", listing.unpacked),
        ("FETCHED", listing.fetched),
        ("LEFT BEHIND", listing.leftovers),
    ):
        if rows:
            cells = [(row.name, bytes_text(row.own_bytes), _ago(row.last_used, now)) for row in rows]
            lines += ["", *_table([(title, "OWN", "USED"), *cells], right=(1,))]
    counts = (
        f"{len(listing.sets)} sets, {len(listing.unpacked)} unpacked archives, {len(listing.fetched)} fetched"
    )
    stale = f" ({listing.forgotten} of them about what is gone)" if listing.forgotten else ""
    lines += [
        "",
        f"{counts}: {bytes_text(listing.own_bytes)}; {listing.remembered} outcomes remembered{stale}",
    ]
    return lines if listing.sets or len(lines) > 2 else lines[1:]


def collected_line(one: Collected, now: float, *, dry_run: bool) -> str:
    """What became of one thing."""
    if one.error:
        return f"cannot remove {one.what} {one.path}: {one.error}"
    done = "would remove" if dry_run else "removed"
    used = f", used {_ago(one.last_used, now)}" if one.last_used is not None else ""
    return f"{done} {one.what} {one.path.name} ({bytes_text(one.own_bytes)}{used})"


def fault_lines(name: str, images: int, faults: Sequence[str]) -> list[str]:
    """What was found of one set."""
    if not faults:
        return [f"{name} whole, {images} images"]
    lines = [f"{name} damaged, {len(faults)} faults"]
    lines += [f"  {fault}" for fault in faults[:_FAULTS_SHOWN]]
    return [*lines, f"  and {len(faults) - _FAULTS_SHOWN} more"] if len(faults) > _FAULTS_SHOWN else lines


def _set_cells(row: Row, now: float) -> tuple[str, ...]:
    uses = list(reversed(row.used_by))
    by = ", ".join(uses[:_USES_SHOWN]) + (
        f" and {len(uses) - _USES_SHOWN} more" if len(uses) > _USES_SHOWN else ""
    )
    source = f"{row.kind or '?'}: {row.source}" if row.source else row.kind or "?"
    used = _ago(row.last_used, now)
    return (
        row.name,
        source,
        str(row.images),
        str(row.boxes),
        bytes_text(row.own_bytes),
        row.state,
        used,
        by or "-",
    )


def _ago(then: float | None, now: float) -> str:
    return "-" if then is None else f"{span_text(now - then)} ago"


def _table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
