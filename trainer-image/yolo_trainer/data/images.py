"""Are the images what they claim to be? Header or full decode, size and content hash."""

from __future__ import annotations

import hashlib
import io
import warnings
from typing import NamedTuple, TypedDict

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

SWAPPED = frozenset({5, 6, 7, 8})
"""EXIF orientations by which width and height change places."""

_ORIENTATION_TAG = 274
_EXIF_FORMATS = frozenset({"JPEG", "MPO", "PNG", "AVIF", "WEBP"})
# Of the others the upright size is known only once they are decoded.
_HEADER_FORMATS = frozenset({"JPEG", "MPO", "PNG", "BMP"})
_PILLOW_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "JPEG2000", "AVIF")  # MPO opens as JPEG, DNG as TIFF


class CorruptImageError(Exception):
    """An image that cannot be trained on, and why."""


class ImageFacts(NamedTuple):
    """One image file as it was read. `width` and `height` are those of the upright image (EXIF).

    A tuple, as all that goes from process to process: it is packed for the way in a third of the time.
    """

    path: str
    """Resolved; beneath the root of the tree that its data set lies in."""
    size: int
    mtime_ns: int
    inode_ns: int = 0
    """Third of `tree.State`."""
    sha256: str = ""
    """Empty: the file was looked up and not read."""
    width: int = 0
    height: int = 0
    unfinished: bool = False
    """A JPEG that lacks its end marker; Ultralytics would rewrite such a file in place."""
    decoded: bool = False
    """Every pixel was decoded; otherwise the header was read, and the checks that a format carries."""
    orientation: int = 0
    """How the stored pixels are turned to be upright: 1 (as they are) to 8, as EXIF counts; 0: not known."""

    def is_unchanged(self, other: ImageFacts) -> bool:
        """Same state, as far as one tells anything."""
        return self.state == other.state and self.inode_ns != UNTOLD

    @property
    def state(self) -> State:
        return self.size, self.mtime_ns, self.inode_ns

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as the image is shown and trained on."""
        return self.width, self.height

    @property
    def stored(self) -> tuple[int, int]:
        """Width and height as the pixels are stored, before they are turned."""
        return (self.height, self.width) if self.orientation in SWAPPED else self.upright


def verify_image(facts: ImageFacts, *, decode: bool) -> ImageFacts:
    """Reads the file once: content hash, header, upright size, and all pixels if they are to be decoded.

    Without `decode` it checks what Ultralytics 8.4 checks before a training (data/utils.py, check_image).

    Raises CorruptImageError with the reason for a file that Ultralytics could not train on, OSError when the
    volume fails.
    """
    if facts.size > MAX_BYTES:
        raise CorruptImageError(f"{facts.size} bytes are more than {MAX_BYTES}")
    with open(facts.path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path for each image takes its time
        data = file.read()
    try:
        seen = _read(data, decode=decode)
    except CorruptImageError:
        raise
    except UnidentifiedImageError as error:  # its own text shows a memory address
        raise CorruptImageError("no image, or of a format that Ultralytics does not take") from error
    except Exception as error:  # Pillow's plugins raise nearly anything on bad bytes
        raise CorruptImageError(str(error) or type(error).__name__) from error
    return facts._replace(sha256=hashlib.sha256(data).hexdigest(), **seen)


def ignore_bomb_warnings() -> None:
    """Silences Pillow, for the whole process, about images that are merely large; see `MAX_PIXELS`."""
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def complete_jpeg(data: bytes) -> bytes:
    """The file with the end marker that Ultralytics looks for; every decoder stops at the first one."""
    return data + JPEG_END


def open_encoded(data: bytes) -> Image.Image:
    """The image with its header read. Of Pillow's plugins only those for `FORMATS` see the bytes: the others
    (EPS starts a program) are no place for what strangers wrote."""
    return Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS)


class _Seen(TypedDict):
    """The fields of `ImageFacts` that Pillow tells."""

    width: int
    height: int
    unfinished: bool
    decoded: bool
    orientation: int


def _read(data: bytes, *, decode: bool) -> _Seen:
    with open_encoded(data) as image:
        pillow_format = image.format or ""
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise CorruptImageError(f"{width} x {height} pixels are too many")
        unfinished = pillow_format == "JPEG" and not data.endswith(JPEG_END)
        # Without its end a JPEG may lack pixels as well; Ultralytics decodes it too, to write it anew.
        decode = decode or unfinished or pillow_format not in _HEADER_FORMATS
        orientation = _orientation(image) if pillow_format == "TIFF" else 1
        if decode:
            image.load()
            # Pillow turns a TIFF upright while it decodes; otherwise the tag is followed at training time.
            width, height = image.size
        else:
            image.verify()
        if pillow_format in _EXIF_FORMATS and (decode or "exif" in image.info):
            # Without decoding only a tag that comes before the pixels, as a JPEG's does.
            orientation = _orientation(image)
            if orientation in SWAPPED:
                width, height = height, width
    if min(width, height) < MIN_EDGE:
        raise CorruptImageError(f"{width} x {height} pixels are too few")
    return {
        "width": width,
        "height": height,
        "unfinished": unfinished,
        "decoded": decode,
        "orientation": orientation,
    }


def _orientation(image: Image.Image) -> int:
    """The EXIF tag; 1 where there is none, or one of no meaning, which every decoder passes over."""
    tag = image.getexif().get(_ORIENTATION_TAG)
    return tag if isinstance(tag, int) and 1 <= tag <= 8 else 1
