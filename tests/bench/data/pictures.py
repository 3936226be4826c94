"""Pictures and labels to measure with: of varied sizes, the same each time."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = [f"class_{i:02}" for i in range(80)]
BOXES = 8
"""An image."""
CORNERS = 20
"""A polygon."""
_TEXTURES = 8
_TEXTURE_EDGE = 1024
_EDGES = (320, 641)
_MAX_LINKS = 20_000  # of one file; ext4 takes 65,000
_DONE = "complete.json"

Polygon = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def write_yolo_set(folder: Path, count: int, workers: int) -> None:
    """A YOLO folder of `count` different JPEGs of 15 to 40 KB with boxes; found again if it is there."""
    done = folder / _DONE
    if done.is_file() and json.loads(done.read_text()) == {"images": count}:
        return
    shutil.rmtree(folder, ignore_errors=True)
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    with ProcessPoolExecutor(workers) as pool:
        for _ in pool.map(partial(_write_pictures, folder), _parts(count)):
            pass
    write_data_yaml(folder)
    done.write_text(json.dumps({"images": count}))


def write_data_yaml(folder: Path) -> None:
    (folder / "data.yaml").write_text(f"train: images/train\nnames: [{', '.join(CLASSES)}]\n")


def link_pictures(source: Path, target: Path, count: int) -> list[str]:
    """`count` names for a few of the pictures of a YOLO set, as hard links; the names without ending."""
    target.mkdir(parents=True)
    pictures = list(islice(sorted((source / "images/train").iterdir()), count // _MAX_LINKS + 50))
    names = [f"{i:08}" for i in range(count)]
    for i, name in enumerate(names):
        (target / f"{name}.jpg").hardlink_to(pictures[i % len(pictures)])
    return names


@dataclass(frozen=True)
class Box:
    """A labelled thing, in parts of the image: class index, centre and size."""

    index: int
    x: float
    y: float
    width: float
    height: float

    def row(self) -> str:
        """A line of a YOLO label file."""
        return f"{self.index} {self.x:.6f} {self.y:.6f} {self.width:.6f} {self.height:.6f}\n"

    def polygon(self) -> Polygon:
        """Corners on an ellipse in the box."""
        turns = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
        sides = np.stack([np.cos(turns) * self.width, np.sin(turns) * self.height], axis=1)
        return sides / 2 + (self.x, self.y)


def make_boxes(number: int) -> Iterator[Box]:
    """The boxes of image `number`, all inside of it."""
    rng = np.random.default_rng(number)
    for index, x, y, width, height in rng.uniform(size=(BOXES, 5)):
        yield Box(int(index * 80), 0.2 + 0.6 * x, 0.2 + 0.6 * y, 0.02 + 0.3 * width, 0.02 + 0.3 * height)


def _parts(count: int, size: int = 500) -> list[range]:
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def _write_pictures(folder: Path, numbers: range) -> None:
    textures = [_make_texture(i) for i in range(_TEXTURES)]
    for number in numbers:
        rng = np.random.default_rng(number)
        width, height = rng.integers(*_EDGES, size=2)
        left, top = (rng.integers(_TEXTURE_EDGE - edge) for edge in (width, height))
        picture = textures[number % _TEXTURES].crop((left, top, left + width, top + height))
        picture.save(folder / f"images/train/{number:08}.jpg", quality=80)
        rows = "".join(box.row() for box in make_boxes(number))
        (folder / f"labels/train/{number:08}.txt").write_text(rows)


def _make_texture(number: int) -> Image.Image:
    """Patches of colour with soft edges and some grain, about as hard on JPEG as a photograph is."""
    rng = np.random.default_rng(number)
    patches = rng.integers(0, 256, (_TEXTURE_EDGE // 32, _TEXTURE_EDGE // 32, 3), dtype=np.uint8)
    soft = Image.fromarray(patches).resize((_TEXTURE_EDGE, _TEXTURE_EDGE), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 5, (_TEXTURE_EDGE, _TEXTURE_EDGE, 1))
    return Image.fromarray((np.asarray(soft) + grain).clip(0, 255).astype(np.uint8))
