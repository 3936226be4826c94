"""What was measured as a table, and which promises it breaks. Pure."""

from collections.abc import Callable, Sequence
from statistics import mean, median

from .measure import Trained

SPEED = 1.2
"""Images a second of ours against stock, at least."""
FIRST_BATCH = 0.6
"""Seconds to the first batch of ours against stock, at most."""
MEMORY = 1.0
"""Peak of ours against stock, at most."""
SUPERVISOR = 15 << 20
"""Bytes of the first process, at most."""


def ratio(stock: Sequence[Trained], ours: Sequence[Trained], value: Callable[[Trained], float]) -> float:
    """Median of ours against median of stock."""
    return median(map(value, ours)) / median(map(value, stock))


def noise(stock: Sequence[Trained], ours: Sequence[Trained]) -> float:
    """By how much mAP differs between seeds: the wider range of the two sides."""
    return max(max(t.quality for t in side) - min(t.quality for t in side) for side in (stock, ours))


def lines(stock: Sequence[Trained], ours: Sequence[Trained]) -> list[str]:
    """A table for people, of medians; mAP as means."""
    rows: list[tuple[str, Callable[[Trained], float], str, str]] = [
        ("images/s", lambda t: t.images_per_second, ".1f", f">= {SPEED}"),
        ("process start to first batch, s", lambda t: t.first_batch, ".1f", f"<= {FIRST_BATCH}"),
        ("peak memory, MiB", lambda t: t.peak / (1 << 20), ".0f", f"<= {MEMORY}"),
        ("CPU seconds", lambda t: t.cpu, ".1f", ""),
    ]
    found = [f"{'':32} {'stock':>8} {'ours':>8} {'ratio':>6}  promise"]
    for name, value, form, promise in rows:
        sides = " ".join(f"{median(map(value, side)):8{form}}" for side in (stock, ours))
        found.append(f"{name:32} {sides} {ratio(stock, ours, value):6.2f}  {promise}".rstrip())
    qualities = [mean(t.quality for t in side) for side in (stock, ours)]
    found.append(
        f"{'mAP50-95, mean':32} {qualities[0]:8.3f} {qualities[1]:8.3f} {qualities[1] - qualities[0]:+6.3f}"
        f"  >= -{noise(stock, ours):.3f} (the range of the seeds)"
    )
    supervisor = median(t.first_process for t in ours) / (1 << 20)
    found.append(f"{'supervisor, MiB':32} {'':8} {supervisor:8.1f} {'':6}  <= {SUPERVISOR >> 20}")
    return found


def missed(stock: Sequence[Trained], ours: Sequence[Trained]) -> list[str]:
    """A sentence for each promise that is not kept. With one seed nothing is known of mAP's noise."""
    faults = []
    speed = ratio(stock, ours, lambda t: t.images_per_second)
    first = ratio(stock, ours, lambda t: t.first_batch)
    memory = ratio(stock, ours, lambda t: t.peak)
    if speed < SPEED:
        faults.append(f"images/s: {speed:.2f} x stock, not {SPEED}")
    if first > FIRST_BATCH:
        faults.append(f"first batch: {first:.2f} x stock, not {FIRST_BATCH}")
    if memory > MEMORY:
        faults.append(f"peak memory: {memory:.2f} x stock, not {MEMORY}")
    supervisor = median(t.first_process for t in ours)
    if supervisor > SUPERVISOR:
        faults.append(f"supervisor: {supervisor / (1 << 20):.1f} MiB, not {SUPERVISOR >> 20}")
    worse = mean(t.quality for t in stock) - mean(t.quality for t in ours)
    if len(ours) > 1 and worse > noise(stock, ours):
        faults.append(f"mAP50-95 is {worse:.3f} lower, more than seeds differ ({noise(stock, ours):.3f})")
    return faults
