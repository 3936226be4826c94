"""A picture that tells a person at a glance whether the labels fit: training images with their boxes."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

from .. import fonts
from .manifest import Details, read_manifest
from .readers.data_yaml import MASKS
from .readers.yaml_file import read_yaml

logger = logging.getLogger(__name__)

COLUMNS = 4
IMAGES = 16
CELL = 320
"""Pixels of a square cell; its lowest `_CAPTION` hold the file name."""

_CAPTION = 16
_FONT_SIZE = 12
_LABELS_SHOWN = 100  # in one image; more would hide it
_COLOURS = ("#ff3838", "#48f90a", "#00c2ff", "#ffb21d", "#cb38ff", "#00d4bb", "#ff95c8", "#f2ff26")

Row = tuple[int, list[float]]


def draw_contact_sheet(folder: Path, details: Details) -> bytes:
    """A JPEG of up to `IMAGES` images of the prepared set in `folder`, spread over its training part.

    An image that cannot be drawn leaves its cell empty.
    """
    names = list(details.dataset.classes)
    # The numbers after a pose label's box are keypoints, not corners.
    is_pose = bool(details.data_yaml) and "kpt_shape" in read_yaml(folder / details.data_yaml)
    chosen = _choose(folder)
    height = CELL * max(1, -(-len(chosen) // COLUMNS))
    sheet = Image.new("RGB", (COLUMNS * CELL, height), "#202020")
    for i, image in enumerate(chosen):
        try:
            rows = [(i, values[:4] if is_pose else values) for i, values in _labels(folder, image)]
            cell = _draw(folder / image, rows, names, _mask(folder, image))
        except Exception:  # Pillow raises nearly anything; a picture is not worth a training
            logger.warning("%s is not on the contact sheet", image, exc_info=True)
            continue
        sheet.paste(cell, (i % COLUMNS * CELL, i // COLUMNS * CELL))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _choose(folder: Path) -> list[str]:
    """Training images, evenly spread in order of their names; those with labels first."""
    manifest = read_manifest(folder)
    images = sorted(e.file for e in manifest.entries()) if manifest else []
    train = [file for file in images if file.startswith(("images/train/", "train/"))]
    # Of a huge set a part is looked at: there is a label among any so many images, or it is no use to look.
    looked_at = _spread(train, IMAGES * 32)
    labelled = [
        f for f in looked_at if f.startswith("train/") or _mask(folder, f).is_file() or _labels(folder, f)
    ]
    return _spread(labelled or looked_at, IMAGES)


def _spread(files: Sequence[str], count: int) -> list[str]:
    return [files[i * len(files) // count] for i in range(count)] if len(files) > count else list(files)


def _labels(folder: Path, image: str) -> list[Row]:
    """The rows of an image's label file: class index and numbers."""
    label = folder / f"labels/{image.removeprefix('images/').rpartition('.')[0]}.txt"
    if not image.startswith("images/") or not label.exists():
        return []
    words = (line.split() for line in label.read_text(encoding="utf-8").splitlines())
    return [(int(first), [float(v) for v in rest]) for first, *rest in words]


def _mask(folder: Path, image: str) -> Path:
    """Where the class mask of an image is, if the set has masks."""
    return folder / f"{MASKS}/{image.removeprefix('images/').rpartition('.')[0]}.png"


def _lay_over(image: Image.Image, mask_file: Path) -> Image.Image:
    """The image with the classes of its mask in their colours, half transparent; 255 is left as it is."""
    with Image.open(mask_file, formats=["PNG"]) as mask:
        ids = mask.resize(image.size, Image.Resampling.NEAREST)
    colours = Image.frombytes("P", ids.size, ids.tobytes())
    colours.putpalette([v for i in range(256) for v in ImageColor.getrgb(_COLOURS[i % len(_COLOURS)])])
    return Image.composite(colours.convert("RGB"), image, ids.point([128] * 255 + [0]))


def _draw(path: Path, rows: Sequence[Row], names: Sequence[str], mask_file: Path) -> Image.Image:
    cell = Image.new("RGB", (CELL, CELL), "#202020")
    with Image.open(path) as image:
        image.draft("RGB", (CELL * 2, CELL * 2))  # a JPEG decodes several times faster at a smaller scale
        upright = ImageOps.exif_transpose(image).convert("RGB")
    upright = ImageOps.contain(upright, (CELL, CELL - _CAPTION))
    if mask_file.is_file():
        upright = _lay_over(upright, mask_file)
    pen = ImageDraw.Draw(upright)
    font = name_font()
    for index, values in rows[:_LABELS_SHOWN]:
        colour = _COLOURS[index % len(_COLOURS)]
        outline = _outline(values, upright.size)
        pen.line([*outline, outline[0]], colour, 2)
        top = min(outline, key=lambda p: p[1])
        where = (max(0.0, min(p[0] for p in outline)), max(0.0, top[1] - 13))
        name = names[index] if index < len(names) else str(index)
        pen.rectangle(pen.textbbox(where, name, font), fill=colour)
        pen.text(where, name, "black", font)
    cell.paste(upright, ((CELL - upright.width) // 2, 0))
    caption = path.name if rows else f"{path.parent.name}/{path.name}"
    ImageDraw.Draw(cell).text((4, CELL - _CAPTION + 1), caption[:50], "white", font)
    return cell


@cache
def name_font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The image's font for names in any script; outside of the image Pillow's own, for Latin ones."""
    try:
        return ImageFont.truetype(fonts.UNICODE, _FONT_SIZE)
    except OSError:
        return ImageFont.load_default(_FONT_SIZE)


def _outline(values: Sequence[float], size: tuple[int, int]) -> list[tuple[float, float]]:
    """Corners in pixels: of the box that four numbers give, else of the polygon that more give."""
    width, height = size
    if len(values) == 4:
        x, y, w, h = values
        left, right, top, bottom = x - w / 2, x + w / 2, y - h / 2, y + h / 2
        values = [left, top, right, top, right, bottom, left, bottom]
    return [(x * width, y * height) for x, y in zip(values[::2], values[1::2], strict=True)]
