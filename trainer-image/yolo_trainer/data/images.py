"""Are the images what they claim to be? Header, full decode, size and content hash, in parallel."""

from __future__ import annotations

import hashlib
import io
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from PIL import Image, UnidentifiedImageError

from .tree import UNTOLD, State

FORMATS = frozenset(
    {"avif", "bmp", "dng", "heic", "heif", "jp2", "jpeg", "jpg", "mpo", "png", "tif", "tiff", "webp"}
)
"""File endings, and with `jpeg2000` Pillow formats, that Ultralytics 8.4 trains on (data/utils.py)."""
MIN_EDGE = 10
"""Pixels; Ultralytics leaves smaller images out."""
MAX_PIXELS = 178_956_970
"""Pillow's own limit against decompression bombs, which by default only warns at half of it."""
MAX_BYTES = 512 << 20
JPEG_END = b"\xff\xd9"
"""Every JPEG ends so; Ultralytics rewrites one that does not."""
REPORT_SECONDS = 2.0

_ORIENTATION_TAG = 274
_SWAPPED = frozenset({5, 6, 7, 8})
_EXIF_FORMATS = frozenset({"JPEG", "MPO", "PNG", "AVIF", "WEBP"})
_PILLOW_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "JPEG2000", "AVIF")  # MPO opens as JPEG, DNG as TIFF

T = TypeVar("T")
R = TypeVar("R")


class Report(Protocol):
    """Takes the fields of a `ProgressLine` that prepare knows."""

    def __call__(self, **fields: object) -> None: ...


class CorruptImageError(Exception):
    """An image that cannot be trained on, and why."""


@dataclass(frozen=True)
class ImageFacts:
    """One image file as it was read. `width` and `height` are those of the upright image (EXIF)."""

    path: str
    """Resolved; beneath the root of the tree that its data set lies in."""
    size: int
    mtime_ns: int
    inode_ns: int = 0
    """Third of `tree.State`."""
    sha256: str = ""
    width: int = 0
    height: int = 0
    unfinished: bool = False
    """A JPEG that decodes but lacks its end marker; Ultralytics would rewrite such a file in place."""

    def is_unchanged(self, other: ImageFacts) -> bool:
        """Same state, as far as one tells anything."""
        return self.state == other.state and self.inode_ns != UNTOLD

    @property
    def state(self) -> State:
        return self.size, self.mtime_ns, self.inode_ns


def verify_image(facts: ImageFacts) -> ImageFacts:
    """Reads the file once: content hash, header, whole decode, upright size.

    Raises CorruptImageError with the reason for a file that Ultralytics could not train on, OSError when the
    volume fails.
    """
    if facts.size > MAX_BYTES:
        raise CorruptImageError(f"{facts.size} bytes are more than {MAX_BYTES}")
    data = Path(facts.path).read_bytes()
    try:
        width, height, pillow_format = _decode(data)
    except CorruptImageError:
        raise
    except UnidentifiedImageError as error:  # its own text shows a memory address
        raise CorruptImageError("no image, or of a format that Ultralytics does not take") from error
    except Exception as error:  # Pillow's plugins raise nearly anything on bad bytes
        raise CorruptImageError(str(error) or type(error).__name__) from error
    return replace(
        facts,
        sha256=hashlib.sha256(data).hexdigest(),
        width=width,
        height=height,
        unfinished=pillow_format == "JPEG" and not data.endswith(JPEG_END),
    )


def complete_jpeg(data: bytes) -> bytes:
    """The file with the end marker that Ultralytics looks for; every decoder stops at the first one."""
    return data + JPEG_END


def open_encoded(data: bytes) -> Image.Image:
    """The image with its header read. Of Pillow's plugins only those for `FORMATS` see the bytes: the others
    (EPS starts a program) are no place for what strangers wrote."""
    return Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS)


def _decode(data: bytes) -> tuple[int, int, str]:
    with open_encoded(data) as image:
        pillow_format = image.format or ""
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise CorruptImageError(f"{width} x {height} pixels are too many")
        image.load()
        # Pillow turns a TIFF upright while it decodes; for the others the tag is followed at training time.
        width, height = image.size
        if pillow_format in _EXIF_FORMATS and image.getexif().get(_ORIENTATION_TAG) in _SWAPPED:
            width, height = height, width
    if min(width, height) < MIN_EDGE:
        raise CorruptImageError(f"{width} x {height} pixels are too few")
    return width, height, pillow_format


def map_parallel(
    work: Callable[[T], R], items: Sequence[T], workers: int, stage: str, report: Report
) -> Iterator[R]:
    """Results in order, a bounded number of items under way; reports every two seconds and at the end."""
    started = last = time.monotonic()
    pending: deque[Future[R]] = deque()
    done = 0
    # Threads: reading, hashing and decoding all release the interpreter lock.
    with ThreadPoolExecutor(workers, thread_name_prefix=stage) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is checked here
        todo = iter(items)
        try:
            while True:
                while len(pending) < workers * 8 and (item := next(todo, _END)) is not _END:
                    pending.append(pool.submit(work, item))  # type: ignore[arg-type]
                if not pending:
                    break
                yield pending.popleft().result()
                done += 1
                now = time.monotonic()
                if now - last >= REPORT_SECONDS or done == len(items):
                    last = now
                    _report(report, stage, done, len(items), now - started)
        finally:
            for future in pending:
                future.cancel()


_END = object()


def _report(report: Report, stage: str, done: int, total: int, seconds: float) -> None:
    rate = done / max(seconds, 1e-6)
    report(
        stage=stage,
        batch=done,
        batches=total,
        percent=round(100 * done / total, 1),
        images_per_second=round(rate, 1),
        eta_seconds=round((total - done) / rate),
    )
