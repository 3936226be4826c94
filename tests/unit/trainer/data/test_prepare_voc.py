"""What tools added to Pascal VOC: turned boxes, outlines, folders; and its masks, which are not read."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from PIL import Image

from dataset_writers import pack_zip, voc_text
from prepared_labels import box, lines_of, pixels, prepare
from yolo_crds.training import Task
from yolo_trainer.errors import InvalidDataError

SIZE = "<size><width>64</width><height>48</height><depth>3</depth></size>"
BOX = "<bndbox><xmin>20</xmin><ymin>16</ymin><xmax>44</xmax><ymax>24</ymax></bndbox>"
UPRIGHT = [(20, 16), (44, 16), (44, 24), (20, 24)]
QUARTER = [(36, 8), (36, 32), (28, 32), (28, 8)]
"""The corners of `BOX` turned by 90 degrees about its centre."""
TRIANGLE = [(10, 10), (40, 10), (25, 40)]
NUMBERED = "<x1>10</x1><y1>10</y1><x2>40</x2><y2>10</y2><x3>25</x3><y3>40</y3>"


def drawn(inner: str, label: str = "a") -> str:
    return f"<object><name>{label}</name><difficult>0</difficult>{inner}</object>\n"


def rotated(value: str) -> str:
    return (
        f"{BOX}<attributes><attribute><name>colour</name><value>7</value></attribute>"
        f"<attribute><name>rotation</name><value>{value}</value></attribute></attributes>"
    )


def robndbox(angle: object, w: float = 24, h: float = 8) -> str:
    return (
        f"<type>robndbox</type><robndbox><cx>32</cx><cy>20</cy><w>{w}</w><h>{h}</h>"
        f"<angle>{angle}</angle></robndbox>"
    )


def write(world: Any, *objects: str, folder: str = "datasets/demo") -> None:
    """Three images; the objects are those of the first, the others have a box. Names without an ending."""
    for i, name in enumerate(("one", "two", "three")):
        world.image(f"{folder}/{name}.png", shade=i * 40)
        inner = "".join(objects) if name == "one" else drawn(BOX, "b")
        text = f"<annotation>\n<filename>{name}</filename>{SIZE}\n{inner}</annotation>"
        world.text(f"{folder}/{name}.xml", text)


def near(points: Sequence[tuple[float, float]]) -> list[Any]:
    return [pytest.approx(point, abs=0.002) for point in points]


def told(found: Any) -> str:
    return " ".join(found.details.warnings)


def test_box_that_cvat_turned_is_turned(world: Any) -> None:
    """`rotation` is in degrees, clockwise on the screen; the box is as it was before."""
    write(world, drawn(rotated("90.0")), drawn(rotated("30")), drawn(rotated("0.0")))
    found = prepare(world, "obb")
    upright, twelfth, quarter = lines_of(found)["one"]
    assert pixels(quarter) == near(QUARTER)
    assert pixels(twelfth)[0] == pytest.approx((23.608, 10.536), abs=0.001)
    assert pixels(upright) == near(UPRIGHT)
    assert found.details.dataset.skipped["turnedBox"] == 2
    assert "one.xml, line 3 by 90.0 degrees" in told(found)
    assert (28, 8, 36, 32) in map(box, lines_of(prepare(world))["one"])


def test_rotation_that_is_no_number_is_told(world: Any) -> None:
    write(world, drawn(rotated("left")))
    found = prepare(world)
    assert box(lines_of(found)["one"][0]) == (20, 16, 44, 24)
    assert found.details.dataset.skipped == {"unreadRotation": 1}
    assert "one.xml, line 3: 'left'" in told(found)


def test_robndbox_is_turned_by_radians_clockwise(world: Any) -> None:
    write(
        world, drawn(robndbox(math.pi / 2)), drawn(robndbox(0.523599, 40)), drawn(f"<type>bndbox</type>{BOX}")
    )
    found = prepare(world, "obb")
    twelfth, upright, quarter = lines_of(found)["one"]
    assert pixels(quarter) == near(QUARTER)
    assert pixels(twelfth) == near([(16.680, 6.536), (51.321, 26.536), (47.321, 33.464), (12.680, 13.464)])
    assert pixels(upright) == near(UPRIGHT)
    assert found.details.dataset.skipped == {"boxAsPolygon": 3}
    boxes = [box(line) for line in lines_of(prepare(world))["one"]]
    assert pytest.approx((28, 8, 36, 32), abs=0.001) in boxes
    assert near(QUARTER) in [pixels(line) for line in lines_of(prepare(world, "segment"))["one"]]


@pytest.mark.parametrize(
    ("inner", "want", "hint"),
    [
        (robndbox(90), "<angle> 90 of a <robndbox> is no angle in radians", "divide degrees by 57.29578"),
        (robndbox("x"), "in <robndbox> <angle> is 'x'; want a finite number", ""),
        ("<robndbox><cx>3</cx><cy>4</cy></robndbox>", "in <robndbox> there is no <w>", ""),
        ("<polygon><x1>1</x1><y1>2</y1><x2>3</x2></polygon>", "<polygon> holds no pairs of x and y", "<pt>"),
        ("<polygon>1 2 3 oops</polygon>", "<polygon> holds no pairs of x and y", "<pt>"),
        ("<bndbox><xmin>1</xmin></bndbox>", "<bndbox> of 'a' has xmin '1', ymin ''", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_named_with_its_line(world: Any, inner: str, want: str, hint: str) -> None:
    write(world, drawn(inner))
    with pytest.raises(InvalidDataError, match=rf"one\.xml, line 3: {want}") as error:
        prepare(world, "obb")
    assert hint in (error.value.hint or "")


@pytest.mark.parametrize(
    "polygon",
    [
        f"<polygon>{NUMBERED}</polygon>",
        f"<polygon>{NUMBERED.replace('1>', '0>').replace('2>', '1>').replace('3>', '2>')}</polygon>",
        "<polygon>" + "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in TRIANGLE) + "</polygon>",
        "<polygon>" + "".join(f"<point><x>{x}</x><y>{y}</y></point>" for x, y in TRIANGLE) + "</polygon>",
        "<polygon>"
        + "".join(f"<point{i}>{x},{y}</point{i}>" for i, (x, y) in enumerate(TRIANGLE))
        + "</polygon>",
        "<polygon>10,10;40,10;25,40</polygon>",
        "<polygon><y3>40</y3><x2>40</x2><y2>10</y2><x1>10</x1><y1>10</y1><x3>25</x3></polygon>",
        f"<bndbox>{NUMBERED}</bndbox>",
    ],
)
@pytest.mark.parametrize("beside", ["", BOX])
def test_outline_is_read_in_each_form(world: Any, polygon: str, beside: str) -> None:
    if "bndbox" in polygon:
        beside = ""
    write(world, drawn(beside + polygon))
    assert pixels(lines_of(prepare(world, "segment"))["one"][0]) == near(TRIANGLE)
    want = (20, 16, 44, 24) if beside else (10, 10, 40, 40)
    assert box(lines_of(prepare(world))["one"][0]) == want


def test_outline_in_parts_is_one_object(world: Any) -> None:
    part = "<polygon><x1>50</x1><y1>10</y1><x2>60</x2><y2>10</y2><x3>60</x3><y3>20</y3></polygon>"
    write(world, drawn(f"<polygon>{NUMBERED}</polygon>{part}"))
    (line,) = lines_of(prepare(world, "segment"))["one"]
    assert {(10, 10), (25, 40), (60, 20)} <= set(pixels(line))


@pytest.mark.parametrize(("task", "want"), [("obb", UPRIGHT), ("segment", TRIANGLE), ("detect", None)])
def test_turned_box_beside_an_outline_is_for_obb(world: Any, task: Task, want: Any) -> None:
    """As SSDD has them, beside an upright box."""
    turned = "".join(f"<x{i}>{x}</x{i}><y{i}>{y}</y{i}>" for i, (x, y) in enumerate(UPRIGHT, start=1))
    segm = "".join(f"<point>{x},{y}</point>" for x, y in TRIANGLE)
    inner = (
        f"<rotated_bndbox><rotated_bbox_cx>3</rotated_bbox_cx>{turned}</rotated_bndbox><segm>{segm}</segm>"
    )
    write(world, drawn("<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>" + inner))
    (line,) = lines_of(prepare(world, task))["one"]
    assert pixels(line) == near(want) if want else box(line) == (1, 2, 9, 8)


FAIR1M = (
    "<objects><object><coordinate>pixel</coordinate><type>rectangle</type>\n<possibleresult><name>a</name>"
    "</possibleresult><points><point>1,2</point><point>20,2</point><point>20,9</point><point>1,9</point>"
    "</points></object></objects>"
)


@pytest.mark.parametrize(
    ("inner", "want"),
    [
        (FAIR1M, "<object> in <objects>"),
        (f"<objects>{drawn(BOX)}</objects>", "<object> in <objects>"),
        (drawn(BOX).replace("object>", "Object>"), "<Object>"),
        (BOX, "<bndbox>"),
        (f"<item><name>a</name>{BOX}</item>", "<bndbox> in <item>"),
    ],
)
def test_objects_that_stand_elsewhere_are_refused_and_make_no_background(
    world: Any, inner: str, want: str
) -> None:
    """FAIR1M's root is `<annotation>` too."""
    write(world, inner)
    with pytest.raises(InvalidDataError, match=rf"one\.xml, line 3: {want} is not where") as error:
        prepare(world)
    assert "FAIR1M" in (error.value.hint or "")


@pytest.mark.parametrize("encoding", ["GBK", "gb2312", "Shift_JIS", "windows-1252", "UTF-8"])
def test_files_of_other_encodings_are_read(world: Any, encoding: str) -> None:
    write(world)
    label = "Tür" if encoding == "windows-1252" else "人"
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n<annotation>{SIZE}{drawn(BOX, label)}</annotation>'
    (world.data / "datasets/demo/one.xml").write_bytes(text.encode(encoding))
    assert len(lines_of(prepare(world, labels=[label]))["one"]) == 1


@pytest.mark.parametrize(("encoding", "content"), [("GBK", b"\xff\xff"), ("zlib", b"a"), ("klingon", b"a")])
def test_encodings_that_are_none_are_named(world: Any, encoding: str, content: bytes) -> None:
    write(world)
    head = f'<?xml version="1.0" encoding="{encoding}"?><annotation><object><name>'.encode()
    text = head + content + f"</name>{BOX}</object></annotation>".encode()
    (world.data / "datasets/demo/one.xml").write_bytes(text)
    with pytest.raises(InvalidDataError, match=r"one\.xml is not XML: .*encoding"):
        prepare(world)


@pytest.mark.parametrize(
    "inner", [BOX.replace("</bnd", "<angle>0.5</angle></bnd"), BOX + "<rotation>30</rotation>"]
)
def test_angle_of_unknown_meaning_is_told(world: Any, inner: str) -> None:
    write(world, drawn(inner), drawn(BOX.replace("</bnd", "<angle>0</angle></bnd")))
    found = prepare(world)
    assert found.details.dataset.skipped == {"duplicateBox": 1, "unknownAngle": 1}
    assert "one.xml, line 3: <" in told(found)


def test_four_named_corners_are_taken(world: Any) -> None:
    """As DIOR-R writes them."""
    names = ("left_top", "right_top", "right_bottom", "left_bottom")
    corners = [(30, 10), (40, 20), (30, 30), (20, 20)]
    inner = "".join(f"<x_{n}>{x}</x_{n}><y_{n}>{y}</y_{n}>" for n, (x, y) in zip(names, corners, strict=True))
    write(world, drawn(f"<robndbox>{inner}</robndbox>"))
    assert pixels(lines_of(prepare(world, "obb"))["one"][0]) == near(corners)


def test_what_is_left_out_is_counted(world: Any) -> None:
    part = f"<part><name>head</name>{BOX}</part>"
    write(world, drawn(BOX + part), "<object><name>a</name><difficult>True</difficult></object>", drawn(""))
    found = prepare(world)
    assert found.details.dataset.skipped == {"objectPart": 1, "difficult": 1, "otherShape": 1}
    assert "one.xml, line 3: head" in told(found)


def test_corners_the_other_way_round_and_further_boxes_are_told(world: Any) -> None:
    swapped = "<bndbox><xmin>44</xmin><ymin>16</ymin><xmax>20</xmax><ymax>24</ymax></bndbox>"
    write(world, drawn(swapped), drawn(BOX.replace("16", "2") + swapped))
    found = prepare(world)
    assert sorted(map(box, lines_of(found)["one"])) == [(20, 2, 44, 24), (20, 16, 44, 24)]
    assert found.details.dataset.skipped == {"swappedCorners": 1, "furtherBox": 1}
    assert "one.xml, line 3" in told(found)


def test_second_label_file_of_an_image_is_told_as_such(world: Any) -> None:
    """As in DIOR, where folders of upright and of turned boxes lie side by side."""
    write(world)
    for name in ("one", "two", "three"):
        world.image(f"datasets/demo/JPEGImages/{name}.png", shade=len(name) * 30)
        text = (world.data / f"datasets/demo/{name}.xml").read_text()
        text = text.replace(SIZE, SIZE + drawn(BOX))
        for kind in ("Horizontal Boxes", "Oriented Boxes"):
            world.text(f"datasets/demo/Annotations/{kind}/{name}.xml", text)
    found = prepare(world)
    assert found.details.dataset.skipped == {"furtherLabels": 3}
    assert "Oriented Boxes/one.xml" in told(found)


def test_fiftyone_has_images_in_data_and_labels_beside(world: Any) -> None:
    for i, name in enumerate(("one", "two")):
        world.image(f"datasets/demo/data/{name}.png", shade=i * 40)
        world.text(f"datasets/demo/labels/{name}.xml", voc_text(f"{name}.png", [("a", 4, 4, 20, 20)]))
    dataset = prepare(world).details.dataset
    assert (dataset.kind, dataset.images, dataset.boxes, dataset.skipped) == ("voc", 2, 2, {})


@pytest.mark.parametrize("task", ["segment", "semantic"])
def test_masks_are_told_where_outlines_are_asked_for(world: Any, task: Task) -> None:
    for i, name in enumerate(("one", "two")):
        world.image(f"datasets/demo/JPEGImages/{name}.jpg", shade=i * 40)
        world.text(f"datasets/demo/Annotations/{name}.xml", voc_text(f"{name}.jpg", [("a", 4, 4, 20, 20)]))
        for folder in ("SegmentationClass", "SegmentationObject"):
            (world.data / f"datasets/demo/{folder}").mkdir(exist_ok=True)
            Image.new("P", (64, 48)).save(world.data / f"datasets/demo/{folder}/{name}.png")
    assert prepare(world).details.dataset.boxes == 2
    with pytest.raises(
        InvalidDataError, match=r"masks of Pascal VOC \(SegmentationObject/\).* not read"
    ) as error:
        prepare(world, task)
    assert "COCO" in (error.value.hint or "")


def test_masks_without_label_files_are_told_for_any_such_task(world: Any) -> None:
    """As CVAT's "Segmentation mask" is packed."""
    world.image("datasets/demo/JPEGImages/one.jpg")
    world.image("datasets/demo/SegmentationClass/one.png")
    world.text("datasets/demo/ImageSets/Segmentation/train.txt", "one\n")
    for train in ("datasets/demo", "datasets/demo/ImageSets/Segmentation/train.txt"):
        for task in ("segment", "detect"):
            with pytest.raises(InvalidDataError, match=r"no labels but masks of .* \(SegmentationClass/"):
                prepare(world, task, train=train)


def test_masks_beside_rows_of_yolo_are_no_matter(world: Any) -> None:
    for i, name in enumerate(("one", "two")):
        world.image(f"datasets/demo/images/{name}.jpg", shade=i * 40)
        world.text(f"datasets/demo/labels/{name}.txt", "0 0.1 0.1 0.3 0.1 0.3 0.5\n")
    world.image("datasets/other/SegmentationClass/one.png")
    (world.data / "datasets/other/SegmentationClass").rename(world.data / "datasets/demo/SegmentationClass")
    assert prepare(world, "segment").details.dataset.kind == "yolo"


def test_image_that_is_labelled_by_a_mask_alone_is_no_background(world: Any) -> None:
    """Datumaro writes no XML for it."""
    for i, name in enumerate(("one", "two", "three", "four")):
        world.image(f"datasets/demo/JPEGImages/{name}.jpg", shade=i * 40)
        if i < 2:
            text = voc_text(f"{name}.jpg", [("a", 4, 4, 20, 20)])
            world.text(f"datasets/demo/Annotations/{name}.xml", text)
    for folder in ("SegmentationClass", "SegmentationObject"):
        world.image(f"datasets/demo/{folder}/three.png", shade=200)
    found = prepare(world)
    assert set(lines_of(found)) == {"one", "two", "four"}
    assert found.details.dataset.skipped == {"unreadMask": 1, "noLabelFile": 1}


def test_turned_boxes_of_an_archive(world: Any) -> None:
    write(world, drawn(robndbox(math.pi / 2)), folder="../made")
    pack_zip(world.data / "../made", world.data / "datasets/demo.zip")
    assert pixels(lines_of(prepare(world, "obb", train="demo.zip"))["one"][0]) == near(QUARTER)
