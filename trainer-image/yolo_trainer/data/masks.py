"""Class masks for semantic segmentation: beside each image one whose pixels are class ids.

As Ultralytics 8.4 takes them (data/dataset.py, data/utils.py): one channel, 255 for pixels that do not count;
with a single class 0 is the background and 1 the class. They are written anew into the prepared set rather
than linked: ids, palettes and depths of other tools are gone, a class order of one's own is possible, and
what the user does to the file later changes no training.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..errors import InvalidDataError, from_os_error
from .images import MAX_BYTES, SWAPPED, CorruptImageError, open_encoded

IGNORED = 255
_IDS = 256
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns stored pixels upright, by EXIF orientation; Pillow turns against the clock."""
_MODES = {"1", "L", "P", "I", "I;16"}


@dataclass(frozen=True)
class MaskRule:
    """What the ids of a data set's masks become."""

    table: bytes
    """The id in the prepared mask, by the id in the user's."""
    strays: frozenset[int]
    """Ids that stand for no class."""
    unlisted: Mapping[int, str]
    """Names of the classes that are not trained on, by id; their pixels do not count."""
    is_binary: bool
    """A single class is trained: 1, and 0 for everything else."""
    source_names: tuple[str, ...]


@dataclass(frozen=True)
class Mask:
    """One mask that was read and fits its image."""

    path: str
    sha256: str
    """Of the pixels as they become."""
    classes: tuple[int, ...]
    """Class indices that occur."""
    unlisted: tuple[str, ...]
    """Names of classes that occur and are not trained on."""
    rule: MaskRule
    orientation: int = 1
    """How it is turned to lie on its upright image, as `ImageFacts.orientation`."""


def build_rule(ids: Mapping[int, int], source_names: Sequence[str], names: Sequence[str]) -> MaskRule:
    """The rule for masks of a data set with `source_names`, of which `names` are trained on, in that order.

    `ids` is the data set's `label_mapping`. Raises InvalidDataError for more classes than a mask can tell.
    """
    if len(names) > IGNORED:
        raise InvalidDataError(f"{len(names)} classes; masks of 8 bits tell at most {IGNORED} apart")
    index = {name: i for i, name in enumerate(names)}
    table, strays, unlisted = bytearray([IGNORED] * _IDS), set(), {}
    for raw in range(_IDS):
        found = ids.get(raw, raw)
        if len(source_names) == 1 and found in (0, 1):  # a data set of one class: background and class
            name = source_names[0] if found else None
        elif 0 <= found < len(source_names):
            name = source_names[found]
        else:
            if found != IGNORED:
                strays.add(raw)
            continue
        if len(names) == 1:
            table[raw] = int(name == names[0])
        elif name in index:
            table[raw] = index[name]
        elif name is not None:
            unlisted[raw] = name
    return MaskRule(bytes(table), frozenset(strays), unlisted, len(names) == 1, tuple(source_names))


def mask_size(path: Path) -> tuple[int, int]:
    """Width and height of a mask by its header; raises CorruptImageError as `read_mask`."""
    with _open(path) as image:
        return image.size


def read_mask(
    path: Path, size: int, want: tuple[int, int], rule: MaskRule, place: str, orientation: int = 1
) -> Mask:
    """What a mask of `size` bytes shows, turned by `orientation`, whose upright image has `want` width and
    height; `place` is for people.

    Raises CorruptImageError for a file that cannot be decoded, InvalidDataError for one that can and cannot
    be meant: another size than the image's, several channels, an id without a class. Ultralytics would leave
    the image out; but a rule of the data set is wrong then, and rarely for one image alone.
    """
    if size > MAX_BYTES:
        raise CorruptImageError(f"{size} bytes are more than {MAX_BYTES}")
    image = _load(path, place, want, orientation)
    ids = [i for i, count in enumerate(image.histogram()) if count]
    if stray := [i for i in ids if i in rule.strays]:
        raise InvalidDataError(
            f"{place}: id {stray[0]} stands for none of the {len(rule.source_names)} classes, and is not 255",
            "complete `names:`, or say in `label_mapping:` of the data.yaml what each id stands for",
        )
    converted = image.point(list(rule.table))
    seen = {rule.table[i] for i in ids} - {IGNORED}
    classes = {0} & {i - 1 for i in seen} if rule.is_binary else seen
    unlisted = (rule.unlisted[i] for i in ids if i in rule.unlisted)
    return Mask(str(path), _digest(converted), tuple(sorted(classes)), tuple(unlisted), rule, orientation)


def mask_png(mask: Mask) -> bytes:
    """The PNG that is trained on; raises InvalidDataError when the file changed since it was read."""
    try:
        image = _load(Path(mask.path), mask.path, orientation=mask.orientation)
        converted = image.point(list(mask.rule.table))
    except CorruptImageError:
        converted = None
    if converted is None or _digest(converted) != mask.sha256:
        raise InvalidDataError(f"{mask.path} changed while the data set was prepared", "start it again")
    buffer = io.BytesIO()
    converted.save(buffer, "PNG")
    return buffer.getvalue()


def mask_digest(path: Path) -> str:
    """`Mask.sha256` of a mask in a prepared set; raises what `read_mask` does."""
    return _digest(_load(path, path.name))


def _load(path: Path, place: str, want: tuple[int, int] | None = None, orientation: int = 1) -> Image.Image:
    """The ids of a mask as 8 bits, turned by `orientation`; `want` is the size that it then must have."""
    with _open(path) as image:
        swapped = (want[1], want[0]) if want and orientation in SWAPPED else want
        _check_kind(image, place, swapped)
        ids = _as_ids(image, place)
    return ids.transpose(_TURNS[orientation]) if orientation in _TURNS else ids


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise from_os_error(error, path, "read") from error
    with _decoding(), open_encoded(data) as image:
        yield image


@contextmanager
def _decoding() -> Iterator[None]:
    try:
        yield
    except (InvalidDataError, CorruptImageError):
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything on bad bytes
        raise CorruptImageError(str(error) or type(error).__name__) from error


def _check_kind(image: Image.Image, place: str, want: tuple[int, int] | None) -> None:
    if want and image.size != want:
        raise InvalidDataError(
            f"{place}: {_by(image.size)} pixels, but its image has {_by(want)}",
            "export masks in the size of the (upright) images",
        )
    if image.mode not in _MODES or image.format == "JPEG":
        raise InvalidDataError(
            f"{place} is a mask of kind {image.format} {image.mode}; want class ids in one channel",
            "save it as a PNG whose pixels are class ids, not colours; JPEG does not keep them",
        )


def _as_ids(image: Image.Image, place: str) -> Image.Image:
    """A palette's indices are the ids, unless it is one of greys: then the greys are."""
    if image.mode == "1":
        return image.convert("L").point([0] * 128 + [1] * 128)
    if image.mode == "P":
        palette = image.getpalette() or []
        if palette[::3] == palette[1::3] == palette[2::3]:
            return image.convert("L")
        return Image.frombytes("L", image.size, image.tobytes())
    if image.mode == "L":
        image.load()
        return image.copy()
    whole = image.convert("I")
    low, high = (int(value) for value in whole.getextrema())  # type: ignore[arg-type]
    if low < 0 or high >= _IDS:
        raise InvalidDataError(f"{place}: ids from {low} to {high}; masks tell classes by 0 to 254")
    return whole.convert("L")


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _digest(image: Image.Image) -> str:
    head = f"{image.width} {image.height} ".encode()
    return hashlib.sha256(head + image.tobytes()).hexdigest()
