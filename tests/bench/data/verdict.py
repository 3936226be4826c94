"""What was measured as tables, and which promises it breaks. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from .processes import Measurement

FACTOR_SCAN = 1.0
"""A first prepare by header, which hashes and converts too, against Ultralytics' scan, which is as deep."""
FACTOR_AGAIN = 20.0
"""A second prepare of an unchanged set against the first, both at the default depth."""
MAX_MEMORY = 1 << 30
"""Bytes that prepare of 100,000 images may take."""


@dataclass(frozen=True)
class Speeds:
    """Measurements of one set of images."""

    scan: Sequence[Measurement]
    header: Sequence[Measurement]
    decode: Sequence[Measurement]
    again_header: Sequence[Measurement]
    again_decode: Sequence[Measurement]

    @property
    def against_scan(self) -> float:
        return _seconds(self.scan) / _seconds(self.header)

    @property
    def again(self) -> float:
        return _seconds(self.decode) / _seconds(self.again_decode)


def speed_lines(speeds: Speeds) -> list[str]:
    """A table for people; of repeated measurements it shows the median."""
    decode = _seconds(speeds.scan) / _seconds(speeds.decode)
    rows = [
        ("Ultralytics' scan: header, labels", speeds.scan, ""),
        ("first prepare, header", speeds.header, f"{speeds.against_scan:.2f} x the scan"),
        ("first prepare, whole decode", speeds.decode, f"{decode:.2f} x the scan"),
        ("second prepare, header", speeds.again_header, _again(speeds.header, speeds.again_header)),
        ("second prepare, whole decode", speeds.again_decode, _again(speeds.decode, speeds.again_decode)),
    ]
    lines = [f"{'':36} {'seconds':>8} {'images/s':>9} {'peak MiB':>9}"]
    for name, found, remark in rows:
        rate, peak = found[0].images / _seconds(found), max(m.peak for m in found) >> 20
        lines.append(f"{name:36} {_seconds(found):8.2f} {rate:9.0f} {peak:9}  {remark}".rstrip())
    return lines


def memory_lines(peaks: Mapping[str, Measurement]) -> list[str]:
    """A table of peaks by format."""
    lines = [f"{'first prepare, header':36} {'images':>8} {'seconds':>9} {'peak MiB':>9}"]
    for name, found in peaks.items():
        lines.append(f"{name:36} {found.images:8} {found.seconds:9.1f} {found.peak >> 20:9}")
    return lines


def missed(speeds: Speeds, peaks: Mapping[str, Measurement]) -> list[str]:
    """A sentence for each promise that is not kept."""
    faults = []
    if speeds.against_scan < FACTOR_SCAN:
        faults.append(f"prepare by header: {speeds.against_scan:.2f} x Ultralytics' scan, not {FACTOR_SCAN}")
    if speeds.again < FACTOR_AGAIN:
        faults.append(f"second prepare: {speeds.again:.1f} x as fast as the first, not {FACTOR_AGAIN}")
    for name, found in peaks.items():
        if found.peak > MAX_MEMORY:
            faults.append(f"{name}: {found.peak >> 20} MiB, more than {MAX_MEMORY >> 20}")
    return faults


def _seconds(found: Sequence[Measurement]) -> float:
    return median(measurement.seconds for measurement in found)


def _again(first: Sequence[Measurement], second: Sequence[Measurement]) -> str:
    return f"{_seconds(first) / _seconds(second):.1f} x the first"
