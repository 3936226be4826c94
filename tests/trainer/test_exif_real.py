"""What an EXIF tag turns: Ultralytics trains on the picture as `verify_image` says that it is upright."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

pytest.importorskip("ultralytics")
from ultralytics.utils.patches import imread

from yolo_trainer.data.images import ImageFacts, verify_image

pytestmark = pytest.mark.image

STORED = (48, 32)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff", "avif"])
def test_ultralytics_reads_the_picture_upright(tmp_path: Path, ending: str, orientation: int) -> None:
    path = tmp_path / f"a.{ending}"
    picture = Image.new("RGB", STORED, "blue")
    picture.paste("red", (0, 0, 24, 16))
    exif = Image.Exif()
    exif[274] = orientation
    try:
        picture.save(path, exif=exif)
    except (KeyError, ValueError, OSError):
        pytest.skip(f"this Pillow writes no {ending}")
    facts = verify_image(ImageFacts(str(path), path.stat().st_size, 0), decode=True)
    pixels = imread(str(path))
    if pixels is None:
        pytest.skip(f"this OpenCV reads no {ending}")
    assert (pixels.shape[1], pixels.shape[0]) == facts.upright
    exif_upright = ImageOps.exif_transpose(picture_with(picture, orientation))
    want = np.asarray(exif_upright)[..., 0] > 128
    found = pixels[..., 2] > 128  # BGR
    assert np.mean(want == found) > 0.97


def picture_with(picture: Image.Image, orientation: int) -> Image.Image:
    """A copy that carries the tag."""
    tagged = picture.copy()
    tagged.getexif()[274] = orientation
    return tagged
