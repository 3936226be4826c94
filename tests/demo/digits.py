"""A small real data set: scikit-learn's scans of handwritten digits, pasted on noisy canvases.

The scans (1,797 of 8x8 pixels, 10 classes) come with the package, so nothing is downloaded. Training and
validation pictures are made from disjoint scans: validation shows handwriting that training never saw.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFilter
from sklearn.datasets import load_digits

LABELS = [str(digit) for digit in range(10)]
CANVAS = 160
"""Edge of a picture in pixels."""
_SCALES = (32, 56)
_DIM = [value // 4 for value in range(256)]
"""Look-up table that keeps the noise darker than the ink."""
_VAL_PART = 5
"""Every so many-th scan belongs to the validation pool."""


@dataclass(frozen=True)
class Box:
    """A digit's place in absolute pixels."""

    label: int
    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Picture:
    """A canvas and the digits on it."""

    code: str
    image: Image.Image
    boxes: list[Box]


def make_pictures(split: str, count: int, *, seed: int = 0) -> Iterator[Picture]:
    """`count` pictures of a split (`train` or `val`), the same for the same seed; some hold no digit."""
    digits = load_digits()
    want_val = split == "val"
    pool = [index for index in range(len(digits.target)) if (index % _VAL_PART == 0) == want_val]
    rng = random.Random(f"{split}-{seed}")
    for number in range(count):
        image = Image.frombytes("L", (CANVAS, CANVAS), rng.randbytes(CANVAS * CANVAS)).point(_DIM)
        boxes: list[Box] = []
        for _ in range(rng.choice((0, 2, 3, 3, 4, 4))):
            index = rng.choice(pool)
            box = _place(rng, int(digits.target[index]), boxes)
            if box is not None:
                _paste(image, digits.images[index], box)
                boxes.append(box)
        # A UC code of an offline fake (`Fuc` + 4), as the data format wants it.
        code = f"Fuc{'v' if want_val else 't'}{number:03x}"
        yield Picture(code, image.convert("RGB"), boxes)


def write_ucd(volume: Path, name: str, pictures: list[Picture]) -> Path:
    """`<volume>/ucd/<name>.json` with its images in `<volume>/img_cache`."""
    images = volume / "img_cache"
    images.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        picture.image.save(images / f"{picture.code}.jpg", quality=92)
    document = {
        "dataset_name": name,
        "describe": "handwritten digits of scikit-learn on canvases",
        "add_time": -1,
        "update_time": -1,
        "label_used": LABELS,
        "uc_list": [picture.code for picture in pictures],
        "shapes": {p.code: [_shape(box) for box in p.boxes] for p in pictures if p.boxes},
        "size_info": {picture.code: list(picture.image.size) for picture in pictures},
    }
    path = volume / "ucd" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def write_yolo_folder(volume: Path, name: str, splits: dict[str, list[Picture]]) -> Path:
    """`<volume>/datasets/<name>` with data.yaml, images/ and labels/, as Ultralytics has it."""
    root = volume / "datasets" / name
    for split, pictures in splits.items():
        (root / "images" / split).mkdir(parents=True, exist_ok=True)
        (root / "labels" / split).mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            picture.image.save(root / "images" / split / f"{picture.code}.jpg", quality=92)
            lines = "".join(_yolo_line(box, picture.image.size) for box in picture.boxes)
            (root / "labels" / split / f"{picture.code}.txt").write_text(lines, encoding="utf-8")
    names = "\n".join(f"  {index}: '{label}'" for index, label in enumerate(LABELS))
    splits_text = "\n".join(f"{split}: images/{split}" for split in splits)
    (root / "data.yaml").write_text(f"{splits_text}\nnames:\n{names}\n", encoding="utf-8")
    return root


def _place(rng: random.Random, label: int, taken: list[Box]) -> Box | None:
    """A free place for one more digit, or None after some tries."""
    for _ in range(20):
        size = rng.randint(*_SCALES)
        left, top = rng.randint(0, CANVAS - size), rng.randint(0, CANVAS - size)
        box = Box(label, left, top, left + size, top + size)
        if not any(_overlap(box, other) for other in taken):
            return box
    return None


def _overlap(a: Box, b: Box) -> bool:
    return a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom


def _paste(image: Image.Image, scan: object, box: Box) -> None:
    """Paste an 8x8 scan (0 to 16, ink is high) as white ink over the noise."""
    size = box.right - box.left
    ink = Image.new("L", (8, 8))
    ink.putdata([int(value * 255 / 16) for row in scan for value in row])  # type: ignore[attr-defined]
    mask = ink.resize((size, size), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(0.6))
    image.paste(255, (box.left, box.top), mask)


def _shape(box: Box) -> dict[str, object]:
    points = [[box.left, box.top], [box.right, box.bottom]]
    return {"shape_type": "rectangle", "label": LABELS[box.label], "points": points, "conf": -1}


def _yolo_line(box: Box, size: tuple[int, int]) -> str:
    width, height = size
    x, y = (box.left + box.right) / 2 / width, (box.top + box.bottom) / 2 / height
    w, h = (box.right - box.left) / width, (box.bottom - box.top) / height
    return f"{box.label} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n"
