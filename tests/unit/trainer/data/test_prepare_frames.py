"""Images that an EXIF tag turns: in which frame their labels count, for all eight orientations.

The pictures are real JPEGs; where a box of the stored frame belongs in the upright one is Pillow's word.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageOps

from yolo_crds.training import Data, Task
from yolo_trainer.data.contact_sheet import draw_contact_sheet
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

Box = tuple[int, int, int, int]
STORED = (120, 80)
INNER: Box = (10, 10, 40, 30)
LONG: Box = (84, 10, 118, 30)
"""Cannot lie in the upright frame of 80 x 120."""
TURNED = range(2, 9)
SWAPPING = range(5, 9)


def picture(world: Any, path: str, *boxes: Box, orientation: int = 6, size: tuple[int, int] = STORED) -> None:
    """A JPEG of `size` stored pixels with red squares at the boxes, and the tag."""
    image = Image.new("RGB", size, (90, 90, len(path)))
    for box in boxes:
        image.paste((255, 0, 0), box)
    exif = Image.Exif()
    exif[274] = orientation
    file = world.data / path
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file, quality=95, exif=exif)


def upright(box: Box, orientation: int, size: tuple[int, int] = STORED) -> Box:
    """Where a box of the stored frame lies when Pillow turns the picture."""
    mask = Image.new("L", size)
    mask.paste(255, box)
    exif = Image.Exif()
    exif[274] = orientation
    buffer = BytesIO()
    mask.save(buffer, "PNG", exif=exif)
    found = ImageOps.exif_transpose(Image.open(buffer)).getbbox()
    assert found is not None
    return found


def write_voc(world: Any, name: str, size: Sequence[int] | None, boxes: Sequence[Box]) -> None:
    objects = "".join(
        f"<object><name>a</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        "</bndbox></object>"
        for x1, y1, x2, y2 in boxes
    )
    told = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    world.text(f"datasets/demo/{name}.xml", f"<annotation>{told}{objects}</annotation>")


def write_labelme(world: Any, name: str, size: Sequence[int] | None, boxes: Sequence[Box]) -> None:
    shapes = [
        {"label": "a", "shape_type": "rectangle", "points": [[x1, y1], [x2, y2]]} for x1, y1, x2, y2 in boxes
    ]
    told = dict(zip(("imageWidth", "imageHeight"), size or (None, None), strict=True))
    content = {"imagePath": f"{name}.jpg", "shapes": shapes, **told}
    world.text(f"datasets/demo/{name}.json", json.dumps(content))


def prepare(world: Any, task: Task = "detect", **data: object) -> PreparedSet:
    given = {"train": "datasets/demo", "val": "datasets/demo", "labels": ["a"], **data}
    return prepare_dataset(world.volume, Data.model_validate(given), task, world.report)


def boxes_of(found: PreparedSet, name: str) -> set[Box]:
    """The boxes of a prepared image in pixels of the picture as it is shown."""
    with Image.open(next(found.folder.glob(f"images/train/{name}.*"))) as image:
        width, height = ImageOps.exif_transpose(image).size
    boxes = set()
    for line in (found.folder / f"labels/train/{name}.txt").read_text().splitlines():
        x, y, w, h = (float(word) for word in line.split()[1:5])
        corners = (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
        boxes.add(tuple(round(v) for v in corners))
    return boxes  # type: ignore[return-value]


def counts(found: PreparedSet) -> Mapping[str, int]:
    """What was counted, of training and validation together; each image is in both."""
    return found.details.dataset.skipped


@pytest.mark.parametrize("orientation", SWAPPING)
@pytest.mark.parametrize("write", [write_voc, write_labelme])
def test_labels_in_the_stored_size_are_turned_with_the_image(
    world: Any, write: Callable[..., None], orientation: int
) -> None:
    for name, box in (("phone_1", INNER), ("phone_2", LONG)):
        picture(world, f"datasets/demo/{name}.jpg", box, orientation=orientation)
        write(world, name, STORED, [box])
    found = prepare(world)
    assert boxes_of(found, "phone_1") == {upright(INNER, orientation)}
    assert boxes_of(found, "phone_2") == {upright(LONG, orientation)}
    assert counts(found) == {"turnedLabels": 4}
    want = ["datasets/demo/phone_1.jpg", "datasets/demo/phone_2.jpg"]
    assert found.details.skipped_names["turnedLabels"] == want


@pytest.mark.parametrize("orientation", TURNED)
def test_a_set_that_shows_the_stored_frame_decides_for_those_that_tell_nothing(
    world: Any, orientation: int
) -> None:
    """Squares, halves of a turn and mirrors have one size in both frames."""
    picture(world, "datasets/demo/told.jpg", INNER, orientation=6)
    write_voc(world, "told", STORED, [INNER])
    square, box = (100, 100), (10, 20, 40, 30)
    picture(world, "datasets/demo/square.jpg", box, orientation=orientation, size=square)
    write_voc(world, "square", square, [box])
    found = prepare(world)
    assert boxes_of(found, "square") == {upright(box, orientation, square)}
    assert counts(found) == {"turnedLabels": 4}


@pytest.mark.parametrize("size", [STORED, None], ids=["stored size", "no size"])
def test_boxes_that_fit_the_upright_frame_alone_stay_as_they_are(world: Any, size: Any) -> None:
    """Tools that write the stored size beside upright boxes; one picture of the set tells it for all."""
    tall = (10, 84, 30, 118)
    for name, box in (("phone_1", (10, 10, 40, 30)), ("phone_2", tall)):
        picture(world, f"datasets/demo/{name}.jpg")
        write_voc(world, name, size, [box])
    found = prepare(world)
    assert boxes_of(found, "phone_1") == {(10, 10, 40, 30)}
    assert boxes_of(found, "phone_2") == {tall}
    assert counts(found) == ({"uprightLabels": 4} if size else {})


def test_boxes_that_fit_the_stored_frame_alone_tell_it_without_a_size(world: Any) -> None:
    for name, box in (("phone_1", INNER), ("phone_2", LONG)):
        picture(world, f"datasets/demo/{name}.jpg", box)
        write_voc(world, name, None, [box])
    found = prepare(world)
    assert boxes_of(found, "phone_1") == {upright(INNER, 6)}
    assert boxes_of(found, "phone_2") == {upright(LONG, 6)}
    assert counts(found) == {"turnedLabels": 4}


def test_labels_in_the_upright_size_are_taken_as_they_are(world: Any) -> None:
    picture(world, "datasets/demo/phone_1.jpg")
    write_voc(world, "phone_1", (80, 120), [(10, 84, 30, 118)])
    found = prepare(world)
    assert boxes_of(found, "phone_1") == {(10, 84, 30, 118)}
    assert counts(found) == {}


def test_stored_size_of_a_scaled_file_is_turned_too(world: Any) -> None:
    picture(world, "datasets/demo/phone_1.jpg", INNER)
    write_voc(world, "phone_1", (240, 160), [(20, 20, 80, 60)])
    found = prepare(world)
    assert boxes_of(found, "phone_1") == {upright(INNER, 6)}
    assert counts(found) == {"sizeMismatch": 2, "turnedLabels": 2}


def test_a_slip_of_the_hand_beyond_the_edge_decides_nothing(world: Any) -> None:
    picture(world, "datasets/demo/phone_1.jpg")
    write_voc(world, "phone_1", STORED, [(10, 60, 40, 83)])  # 3 px below the stored frame
    found = prepare(world)
    assert counts(found) == {"turnedLabels": 2, "clipped": 2}


@pytest.mark.parametrize("orientation", TURNED)
def test_rows_of_yolo_stay_and_the_pictures_are_named(world: Any, orientation: int) -> None:
    picture(world, "datasets/demo/images/turned.jpg", orientation=orientation)
    picture(world, "datasets/demo/images/plain.jpg", orientation=1)
    picture(world, "datasets/demo/images/empty.jpg", orientation=orientation)
    for name, text in (("turned", "0 0.5 0.5 0.25 0.5\n"), ("plain", "0 0.5 0.5 0.25 0.5\n"), ("empty", "")):
        world.text(f"datasets/demo/labels/{name}.txt", text)
    world.text("datasets/demo/data.yaml", "train: images\nval: images\nnames: [a]\n")
    found = prepare(world, labels=[])
    assert (found.folder / "labels/train/turned.txt").read_text() == "0 0.500000 0.500000 0.250000 0.500000\n"
    assert counts(found) == {"frameUntold": 2}
    (warning,) = [text for text in found.details.warnings if "EXIF" in text]
    assert "2 (datasets/demo/images/turned.jpg)" in warning


def test_a_second_prepare_of_known_images_knows_how_they_are_turned(world: Any) -> None:
    picture(world, "datasets/demo/phone_1.jpg", INNER)
    write_voc(world, "phone_1", STORED, [INNER])
    first = prepare(world)
    write_voc(world, "phone_1", STORED, [INNER, LONG])
    second = prepare(world)
    assert first.folder != second.folder
    assert boxes_of(second, "phone_1") == {upright(INNER, 6), upright(LONG, 6)}


def test_sets_of_before_are_asked_again_how_their_images_are_turned(world: Any) -> None:
    picture(world, "datasets/demo/phone_1.jpg", INNER)
    write_voc(world, "phone_1", STORED, [INNER])
    manifest = prepare(world).folder / "manifest.jsonl"
    assert '"orientation":6' in manifest.read_text()
    manifest.write_text(manifest.read_text().replace('"orientation"', '"unknown"'))
    write_voc(world, "phone_1", STORED, [INNER, LONG])
    assert boxes_of(prepare(world), "phone_1") == {upright(INNER, 6), upright(LONG, 6)}


@pytest.mark.parametrize("orientation", TURNED)
def test_keypoints_and_outlines_are_turned_too(world: Any, orientation: int) -> None:
    picture(world, "datasets/demo/phone.jpg", INNER, orientation=orientation)
    picture(world, "datasets/demo/told.jpg", INNER, orientation=6)
    images = [
        {"id": i, "file_name": f"{name}.jpg", "width": 120, "height": 80}
        for i, name in enumerate(("phone", "told"))
    ]
    x1, y1, x2, y2 = INNER
    corner = {"keypoints": [x1, y1, 2, x2, y2, 1, 0, 0, 0]}
    outline = {"segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]]}
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1], **corner, **outline}
        for i in (0, 1)
    ]
    category = {"id": 1, "name": "a", "keypoints": ["nose", "tail", "ear"]}
    content = {"images": images, "annotations": annotations, "categories": [category]}
    world.text("datasets/demo/all.json", json.dumps(content))
    found = prepare(world, "pose")
    left, top, right, bottom = upright(INNER, orientation)
    width, height = (80, 120) if orientation in SWAPPING else STORED
    _, *words = (found.folder / "labels/train/phone.txt").read_text().split()
    numbers = [float(word) for word in words]
    assert boxes_of(found, "phone") == {(left, top, right, bottom)}
    nose = upright((x1, y1, x1 + 1, y1 + 1), orientation)
    assert numbers[4] * width == pytest.approx(nose[0], abs=1.01)
    assert numbers[5] * height == pytest.approx(nose[1], abs=1.01)
    assert numbers[6] == 2
    assert numbers[10:] == [0, 0, 0]
    found = prepare(world, "segment")
    _, *words = (found.folder / "labels/train/phone.txt").read_text().split()
    points = {
        (round(float(x) * width), round(float(y) * height))
        for x, y in zip(words[::2], words[1::2], strict=True)
    }
    assert points == {(left, top), (right, top), (right, bottom), (left, bottom)}


@pytest.mark.parametrize("orientation", SWAPPING)
def test_class_masks_in_the_stored_size_are_turned_with_the_image(world: Any, orientation: int) -> None:
    picture(world, "datasets/demo/images/a.jpg", INNER, orientation=orientation)
    picture(world, "datasets/demo/images/half.jpg", INNER, orientation=3)
    ids = Image.new("L", STORED)
    ids.paste(1, INNER)
    folder = world.data / "datasets/demo/masks"
    folder.mkdir(parents=True)
    for name in ("a", "half"):
        ids.save(folder / f"{name}.png")
    world.text(
        "datasets/demo/data.yaml", "train: images\nval: images\nmasks_dir: masks\nnames: [road, car]\n"
    )
    found = prepare(world, "semantic", labels=[])
    for name, turned in (("a", orientation), ("half", 3)):
        with Image.open(found.folder / f"masks/train/{name}.png") as mask:
            assert mask.getbbox() == upright(INNER, turned)
    assert counts(found) == {"turnedLabels": 4}


def test_class_masks_in_the_upright_size_are_taken_as_they_are(world: Any) -> None:
    picture(world, "datasets/demo/images/a.jpg", INNER)
    ids = Image.new("L", (80, 120))
    ids.paste(1, (10, 84, 30, 118))
    folder = world.data / "datasets/demo/masks"
    folder.mkdir(parents=True)
    ids.save(folder / "a.png")
    world.text(
        "datasets/demo/data.yaml", "train: images\nval: images\nmasks_dir: masks\nnames: [road, car]\n"
    )
    found = prepare(world, "semantic", labels=[])
    with Image.open(found.folder / "masks/train/a.png") as mask:
        assert mask.getbbox() == (10, 84, 30, 118)
    assert counts(found) == {}


def test_the_contact_sheet_shows_turned_labels_on_what_they_name(world: Any) -> None:
    picture(world, "datasets/demo/phone_1.jpg", INNER)
    write_voc(world, "phone_1", STORED, [INNER])
    found = prepare(world)
    sheet = Image.open(BytesIO(draw_contact_sheet(found.folder, found.details)))
    width = 304 * 80 // 120
    scale, left = 304 / 120, (320 - width) // 2
    x1, y1, x2, y2 = upright(INNER, 6)
    centre = (left + (x1 + x2) / 2 * scale, (y1 + y2) / 2 * scale)
    red, green, blue = sheet.getpixel((round(centre[0]), round(centre[1])))  # type: ignore[misc]
    assert red > 200
    assert max(green, blue) < 70


def test_a_size_that_is_the_images_in_no_frame_is_refused_with_both(world: Any) -> None:
    picture(world, "datasets/demo/a.jpg", INNER, orientation=1)
    write_voc(world, "a", (120, 88), [INNER])
    with pytest.raises(
        InvalidDataError, match=r"a\.jpg \(120 x 88 in the labels, 120 x 80 in the file\)"
    ) as found:
        prepare(world)
    assert "template.data.lostLabels: leaveOut" in (found.value.hint or "")


def test_width_and_height_the_other_way_round_are_taken_where_the_boxes_fit(world: Any) -> None:
    for name, box in (("a", INNER), ("b", LONG)):
        picture(world, f"datasets/demo/{name}.jpg", box, orientation=1)
        write_voc(world, name, (80, 120), [box])
    found = prepare(world)
    assert boxes_of(found, "a") == {INNER}
    assert boxes_of(found, "b") == {LONG}
    assert counts(found) == {"swappedSize": 4}


@pytest.mark.parametrize("box", [INNER, (10, 84, 30, 118)], ids=["fits both", "fits the other alone"])
def test_a_picture_that_was_turned_since_is_refused(world: Any, box: Box) -> None:
    picture(world, "datasets/demo/a.jpg", orientation=1)
    write_voc(world, "a", (80, 120), [box])
    with pytest.raises(InvalidDataError, match="80 x 120 in the labels, 120 x 80 in the file"):
        prepare(world)
