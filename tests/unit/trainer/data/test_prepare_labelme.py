"""Shapes of LabelMe and X-AnyLabeling: groups, masks, turned rectangles, and what stands for nothing."""

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from dataset_writers import labelme_content, pack_zip
from prepared_labels import box, lines_of, pixels, prepare
from yolo_trainer.errors import InvalidDataError

L_SHAPE = [(10, 8), (20, 8), (20, 16), (30, 16), (30, 24), (10, 24)]
"""The outline of `l_mask` at (10, 8)."""


def shape(kind: str, points: list[list[float]], label: str = "a", **more: object) -> dict[str, object]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def rect(x1: float, y1: float, x2: float, y2: float) -> list[list[float]]:
    return [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]


def write(world: Any, *shapes: dict[str, object], folder: str = "datasets/demo") -> None:
    """Three images; the shapes are those of the first, the others have a box."""
    plain = shape("rectangle", [[2, 2], [20, 20]], "b")
    for i, (name, drawn) in enumerate((("one", shapes), ("two", (plain,)), ("three", (plain,)))):
        world.image(f"{folder}/{name}.png", shade=i * 40)
        content = {**labelme_content(f"{name}.png", []), "shapes": list(drawn)}
        world.text(f"{folder}/{name}.json", json.dumps(content))


def l_mask(mode: str = "L", size: tuple[int, int] = (20, 16)) -> str:
    """20 x 16 pixels without the upper right quarter, as LabelMe stores masks: 0 and 1."""
    picture = Image.new("L", size)
    for x in range(20):
        for y in range(16):
            picture.putpixel((x, y), int(x < 10 or y >= 8))
    made = picture.point([0, 255] + [255] * 254).convert(mode) if mode in ("1", "RGB") else picture
    buffer = io.BytesIO()
    made.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_shapes_of_one_label_and_group_are_one_object(world: Any) -> None:
    write(
        world,
        shape("polygon", rect(4, 10, 20, 30), group_id=1),
        shape("polygon", rect(21, 2, 27, 44), "b", group_id=1),
        shape("polygon", rect(28, 10, 44, 30), group_id=1),
        shape("polygon", rect(48, 30, 60, 42)),
        shape("polygon", rect(50, 2, 60, 12)),
    )
    found = prepare(world)
    want = [(4, 10, 44, 30), (21, 2, 27, 44), (48, 30, 60, 42), (50, 2, 60, 12)]
    assert sorted(box(line) for line in lines_of(found)["one"]) == want
    assert found.details.dataset.skipped == {"joinedShape": 1}
    outline = pixels(lines_of(prepare(world, "segment"))["one"][0])
    assert {(4, 10), (20, 30), (28, 10), (44, 30)} <= set(outline)
    found = prepare(world, "obb")
    assert set(pixels(lines_of(found)["one"][0])) == {(4, 10), (44, 10), (44, 30), (4, 30)}
    assert found.details.dataset.skipped == {"joinedShape": 1, "polygonAsBox": 1, "boxAsPolygon": 2}


@pytest.mark.parametrize(("group", "objects"), [(None, 2), ("", 2), (0, 1), ("7", 1), (2.0, 1)])
def test_group_is_none_or_one(world: Any, group: object, objects: int) -> None:
    shapes = [shape("rectangle", [[x, 2], [x + 10, 20]], group_id=group) for x in (2, 30)]
    write(world, *shapes)
    assert len(lines_of(prepare(world))["one"]) == objects


def test_group_without_a_key_is_none(world: Any) -> None:
    shapes = [shape("rectangle", [[x, 2], [x + 10, 20]]) for x in (2, 30)]
    for one in shapes:
        del one["group_id"]
    write(world, *shapes)
    assert len(lines_of(prepare(world))["one"]) == 2


def test_group_of_several_kinds_is_joined_and_what_has_no_area_stays_out(world: Any) -> None:
    write(
        world,
        shape("mask", [[10, 8], [29, 23]], mask=l_mask(), group_id=3),
        shape("circle", [[50, 16], [54, 16]], group_id=3),
        shape("rectangle", [[40, 30], [44, 34]], group_id=3),
        shape("point", [[1, 1]], group_id=3),
    )
    found = prepare(world)
    assert [box(line) for line in lines_of(found)["one"]] == [(10, 8, 54, 34)]
    assert found.details.dataset.skipped == {"joinedShape": 2, "otherShape": 1}


@pytest.mark.parametrize("mode", ["L", "1", "RGB"])
def test_mask_is_its_outline(world: Any, mode: str) -> None:
    write(world, shape("mask", [[10.0, 8.0], [29.0, 23.0]], mask=l_mask(mode)))
    found = prepare(world, "segment")
    assert pixels(lines_of(found)["one"][0]) == L_SHAPE
    assert found.details.dataset.skipped == {"boxAsPolygon": 2}
    assert [box(line) for line in lines_of(prepare(world))["one"]] == [(10, 8, 30, 24)]
    corners = pixels(lines_of(prepare(world, "obb"))["one"][0])
    assert set(corners) == {(10, 8), (30, 8), (30, 24), (10, 24)}


def test_mask_at_the_images_edge_may_be_a_pixel_short(world: Any) -> None:
    write(world, shape("mask", [[44, 32], [64, 48]], mask=l_mask()))
    assert [box(line) for line in lines_of(prepare(world))["one"]] == [(44, 32, 64, 48)]


@pytest.mark.parametrize("size", [(320, 320), (2048, 2048)])
def test_mask_that_is_a_pattern_ends_soon(world: Any, size: tuple[int, int]) -> None:
    """A checkerboard packs into a few hundred bytes and has a part in every other pixel."""
    rows = bytes([0xAA]) * (size[0] // 8) + bytes([0x55]) * (size[0] // 8)
    buffer = io.BytesIO()
    Image.frombytes("1", size, rows * (size[1] // 2)).save(buffer, "PNG")
    corner: list[list[float]] = [[0, 0], [size[0] - 1, size[1] - 1]]
    write(world, shape("mask", corner, mask=base64.b64encode(buffer.getvalue()).decode()))
    with pytest.raises(InvalidDataError, match=r"shapes\[0\]: the mask is no object but a pattern"):
        prepare(world)


def test_mask_without_a_pixel_is_counted(world: Any) -> None:
    empty = io.BytesIO()
    Image.new("L", (20, 16)).save(empty, "PNG")
    mask = shape("mask", [[10, 8], [29, 23]], mask=base64.b64encode(empty.getvalue()).decode())
    write(world, mask, shape("rectangle", [[2.0, 2.0], [9.0, 9.0]]))
    found = prepare(world)
    assert found.details.dataset.skipped == {"otherShape": 1}
    assert "one.png (mask without a pixel)" in " ".join(found.details.warnings)


@pytest.mark.parametrize(
    ("mask", "want"),
    [
        (None, r"a mask needs two corners .* and a PNG in base64"),
        ("%%%", "`mask` is no base64"),
        ("AAAA", "is no picture that can be decoded"),
        (l_mask(size=(9000, 16)), "PNG of 9000 x 16 pixels; want a PNG of 20 x 16"),
    ],
)
def test_mask_that_is_none_is_named(world: Any, mask: object, want: str) -> None:
    write(world, shape("mask", [[10, 8], [29, 23]], mask=mask))
    with pytest.raises(InvalidDataError, match=rf"one\.json, shapes\[0\]: .*{want}"):
        prepare(world)


@pytest.mark.parametrize("kind", ["rotation", "oriented_rectangle", "quadrilateral"])
def test_turned_rectangle_is_its_four_corners(world: Any, kind: str) -> None:
    """X-AnyLabeling writes `direction` (radians) beside the corners, which are turned already."""
    corners = [(50, 10), (60, 20), (50, 30), (40, 20)]
    write(world, shape(kind, [list(map(float, p)) for p in corners], direction=0.785398))
    for task in ("obb", "segment"):
        found = prepare(world, task)
        assert pixels(lines_of(found)["one"][0]) == corners
        assert found.details.dataset.skipped == {"boxAsPolygon": 2}
    assert [box(line) for line in lines_of(prepare(world))["one"]] == [(40, 10, 60, 30)]


@pytest.mark.parametrize("kind", ["line", "linestrip", "points", "point", "cuboid"])
def test_shapes_without_an_area_are_left_out_and_counted(world: Any, kind: str) -> None:
    write(world, shape(kind, [[1, 1], [30, 30]]), shape("rectangle", [[2.0, 2.0], [9.0, 9.0]]))
    found = prepare(world)
    assert found.details.dataset.skipped == {"otherShape": 1}
    assert f"one.png ({kind})" in " ".join(found.details.warnings)


def test_size_may_be_text(world: Any) -> None:
    write(world, shape("rectangle", [[20, 20], [40, 40]]))
    file = world.data / "datasets/demo/one.json"
    sizes = {"imageWidth": "128", "imageHeight": "96.0"}
    file.write_text(json.dumps({**json.loads(file.read_text()), **sizes}))
    found = prepare(world)
    assert [box(line) for line in lines_of(found)["one"]] == [(10, 10, 20, 20)]
    assert found.details.dataset.skipped == {"sizeMismatch": 1}


@pytest.mark.parametrize("size", ["", "wide", "nan", "inf", -1, 0, None, [64]])
def test_size_that_says_nothing_is_the_images(world: Any, size: object) -> None:
    write(world, shape("rectangle", [[20, 20], [40, 40]]))
    file = world.data / "datasets/demo/one.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "imageHeight": size}))
    assert [box(line) for line in lines_of(prepare(world))["one"]] == [(20, 20, 40, 40)]


def test_group_that_is_no_number_is_named(world: Any) -> None:
    write(world, shape("rectangle", [[2, 2], [9, 9]], group_id=[1]))
    with pytest.raises(InvalidDataError, match=r"one\.json, shapes\[0\]: `group_id` is of type list"):
        prepare(world)


def test_groups_are_joined_in_an_archive_too(world: Any) -> None:
    shapes = [shape("rectangle", [[x, 2], [x + 10, 20]], group_id=5) for x in (2, 30)]
    write(world, *shapes, folder="../made")
    pack_zip(world.data / "../made", world.data / "datasets/demo.zip")
    found = prepare(world, train="demo.zip")
    assert [box(line) for line in lines_of(found)["one"]] == [(2, 2, 40, 20)]
