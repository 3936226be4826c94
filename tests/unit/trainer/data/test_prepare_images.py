"""Verification of single images, by their pixels and by their header."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from yolo_trainer.data import images
from yolo_trainer.data.images import CorruptImageError, ImageFacts, verify_image


def verify(path: Path, *, decode: bool) -> ImageFacts:
    found = path.stat()
    return verify_image(ImageFacts(str(path), found.st_size, found.st_mtime_ns), decode=decode)


@pytest.fixture(params=[True, False], ids=["decode", "header"])
def decode(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "tiff", "webp"])
@pytest.mark.parametrize(("orientation", "want"), [(1, (40, 20)), (6, (20, 40))])
def test_verify_image_gives_the_upright_size(
    tmp_path: Path, ending: str, orientation: int, want: tuple[int, int], decode: bool
) -> None:
    path = tmp_path / f"a.{ending}"
    exif = Image.Exif()
    exif[274] = orientation
    Image.new("RGB", (40, 20)).save(path, exif=exif)
    if ending == "bmp":
        want = (40, 20)  # the format has no tag
    found = verify(path, decode=decode)
    assert found.upright == want
    assert found.stored == (40, 20)
    assert found.orientation == (1 if ending == "bmp" else orientation)


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (b"", "no image"),
        (b"<html>not found</html>", "no image"),
        (b"GIF89a" + b"\0" * 40, "no image"),
    ],
)
def test_verify_image_refuses_what_is_no_image(
    tmp_path: Path, content: bytes, want: str, decode: bool
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(CorruptImageError, match=want):
        verify(path, decode=decode)


def test_verify_image_refuses_bombs_tiny_ones_and_other_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decode: bool
) -> None:
    for name, size, want in (
        ("a.png", (9, 40), "too few"),
        ("b.gif", (40, 40), "no image, or of a format"),
        ("c.png", (50, 50), "too many"),
    ):
        Image.new("L", size).save(tmp_path / name)
        monkeypatch.setattr(images, "MAX_PIXELS", 2400)
        with pytest.raises(CorruptImageError, match=want):
            verify(tmp_path / name, decode=decode)


def jpeg(width: int = 64, height: int = 48) -> bytes:
    stream = BytesIO()
    Image.effect_noise((width, height), 80).save(stream, "JPEG")
    return stream.getvalue()


def test_verify_image_sees_broken_pixels_only_when_it_decodes(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    whole = jpeg()
    path.write_bytes(whole[: whole.index(b"\xff\xda")] + b"\xff\xd9")  # headers, and no scan of pixels
    found = verify(path, decode=False)
    assert (found.width, found.height, found.decoded) == (64, 48, False)
    with pytest.raises(CorruptImageError, match="cannot load"):
        verify(path, decode=True)


def test_verify_image_decodes_a_jpeg_without_its_end_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg() + b"\0\0")
    found = verify(path, decode=False)
    assert found.unfinished
    assert found.decoded
    path.write_bytes(jpeg()[:-200])
    with pytest.raises(CorruptImageError, match="truncated"):
        verify(path, decode=False)


def test_verify_image_gives_the_same_hash_at_either_depth(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg())
    assert verify(path, decode=True).sha256 == verify(path, decode=False).sha256
