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
FAR = 1_000_000
"""Images for which memory is extrapolated."""


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


@dataclass(frozen=True)
class Format:
    """Prepares of one format: first ones by header of few and of many images, and a first and a second one of
    the few at the default depth."""

    few: Measurement
    many: Measurement
    first: Measurement
    again: Measurement

    @property
    def factor(self) -> float:
        """How much faster the second one is."""
        return self.first.seconds / self.again.seconds

    def peak_of(self, images: int) -> int:
        """Bytes that so many images would take, by the straight line through few and many."""
        slope = (self.many.peak - self.few.peak) / (self.many.images - self.few.images)
        return round(self.many.peak + slope * (images - self.many.images))


def format_lines(formats: Mapping[str, Format]) -> list[str]:
    """Memory by format, of which that of `FAR` images is extrapolated, and the second prepare."""
    lines = [f"{'first prepare, header':31} {'images':>9} {'seconds':>8} {'MiB':>6}"]
    for name, found in formats.items():
        lines += [_format_line(name, m.images, f"{m.seconds:.1f}", m.peak) for m in (found.few, found.many)]
        lines.append(_format_line(name, FAR, "-", found.peak_of(FAR)) + "  not measured: a straight line")
    lines += ["", f"{'whole decode':31} {'images':>9} {'first, s':>8} {'again':>6}"]
    for name, found in formats.items():
        lines.append(
            f"{name:31} {found.first.images:9} {found.first.seconds:8.1f} {found.again.seconds:6.2f}"
            f"  {found.factor:.1f} x the first"
        )
    return lines


def _format_line(name: str, images: int, seconds: str, peak: int) -> str:
    return f"{name:31} {images:9} {seconds:>8} {peak >> 20:6}"


def missed(speeds: Speeds, formats: Mapping[str, Format]) -> list[str]:
    """A sentence for each promise that is not kept."""
    faults = []
    if speeds.against_scan < FACTOR_SCAN:
        faults.append(f"prepare by header: {speeds.against_scan:.2f} x Ultralytics' scan, not {FACTOR_SCAN}")
    if speeds.again < FACTOR_AGAIN:
        faults.append(f"second prepare: {speeds.again:.1f} x as fast as the first, not {FACTOR_AGAIN}")
    for name, found in formats.items():
        if found.many.peak > MAX_MEMORY:
            faults.append(f"{name}: {found.many.peak >> 20} MiB, more than {MAX_MEMORY >> 20}")
        if found.factor < FACTOR_AGAIN:
            faults.append(f"{name}: second prepare {found.factor:.1f} x as fast, not {FACTOR_AGAIN}")
    return faults


def _seconds(found: Sequence[Measurement]) -> float:
    return median(measurement.seconds for measurement in found)


def _again(first: Sequence[Measurement], second: Sequence[Measurement]) -> str:
    return f"{_seconds(first) / _seconds(second):.1f} x the first"
