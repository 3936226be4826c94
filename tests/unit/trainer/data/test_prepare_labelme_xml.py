"""The XML of the MIT's LabelMe, as CVAT exports LabelMe 3.0: its own kind, though its root is VOC's."""

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataset_writers import pack_zip, voc_text
from prepared_labels import box, lines_of, pixels, prepare
from yolo_trainer.errors import InvalidDataError

SIZE = "<imagesize><nrows>48</nrows><ncols>64</ncols></imagesize>"
BOX = [(10, 8), (30, 8), (30, 28), (10, 28)]
TRIANGLE = [(40, 10), (60, 10), (50, 40)]


def polygon(points: list[tuple[int, int]]) -> str:
    rows = "".join(f"<pt><x>{x:.2f}</x><y>{y:.2f}</y></pt>" for x, y in points)
    return f"<polygon>{rows}<username></username></polygon>"


def drawn(
    number: int,
    inner: str,
    *,
    label: str = "a",
    deleted: int = 0,
    has: str = "",
    of: str = "",
    more: str = "",
) -> str:
    return (
        f"<object><name>{label}</name><deleted>{deleted}</deleted><verified>0</verified><id>{number}</id>"
        f"<parts><hasparts>{has}</hasparts><ispartof>{of}</ispartof></parts>{more}{inner}"
        "<attributes></attributes></object>\n"
    )


def annotation(name: str, *objects: str, size: str = SIZE) -> str:
    return (
        f"<annotation>\n<filename>{name}</filename><folder></folder><source><sourceImage></sourceImage>"
        f"</source>{size}\n{''.join(objects)}</annotation>"
    )


def write(world: Any, *objects: str, folder: str = "datasets/demo") -> None:
    """Three images; the objects are those of the first, the others have a triangle."""
    for i, name in enumerate(("one", "two", "three")):
        world.image(f"{folder}/{name}.png", shade=i * 40)
        given = objects if name == "one" else (drawn(0, polygon(TRIANGLE), label="b"),)
        world.text(f"{folder}/{name}.xml", annotation(f"{name}.png", *given))


def mask(world: Any, name: str, size: tuple[int, int] = (64, 48), folder: str = "datasets/demo") -> Path:
    """A coloured object from (10, 8) to (30, 28) on black, as Datumaro paints it."""
    picture = Image.new("RGB", size)
    picture.paste((128, 0, 0), (10, 8, 30, 28))
    file: Path = world.data / folder / "Masks" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file)
    return file


def segm(name: str) -> str:
    return f"<segm><username></username><box></box><mask>{name}</mask></segm>"


BOUNDING = "<type>bounding_box</type>"


def test_polygons_and_boxes_are_read_and_what_is_deleted_is_not(world: Any) -> None:
    write(
        world,
        drawn(0, polygon(BOX), more=BOUNDING),
        drawn(1, polygon(TRIANGLE), label="b"),
        drawn(2, polygon([(1, 1), (9, 1), (9, 9)]), deleted=1),
    )
    found = prepare(world)
    assert [box(line) for line in lines_of(found)["one"]] == [(10, 8, 30, 28), (40, 10, 60, 40)]
    assert (found.details.dataset.kind, found.details.dataset.skipped) == ("labelme-xml", {"deleted": 1})
    found = prepare(world, "segment")
    assert [pixels(line) for line in lines_of(found)["one"]] == [BOX, TRIANGLE]
    found = prepare(world, "obb")
    assert [len(pixels(line)) for line in lines_of(found)["one"]] == [4, 4]


def test_kind_is_told_by_the_size_alone(world: Any) -> None:
    """As the MIT's tool wrote objects at first."""
    bare = f"<object><name>a</name>{polygon(TRIANGLE)}</object>"
    for i, name in enumerate(("one", "two")):
        world.image(f"datasets/demo/{name}.png", shade=i * 40)
        world.text(f"datasets/demo/{name}.xml", annotation(f"{name}.png", bare))
    assert prepare(world).details.dataset.kind == "labelme-xml"


def test_sizes_are_rows_and_columns(world: Any) -> None:
    """Labels of a picture of half the size are scaled by it."""
    write(world, drawn(0, polygon(BOX)))
    text = annotation("one.png", drawn(0, polygon(BOX)), size=SIZE.replace("48", "24").replace("64", "32"))
    world.text("datasets/demo/one.xml", text)
    found = prepare(world)
    assert box(lines_of(found)["one"][0]) == (20, 16, 60, 48)
    assert found.details.dataset.skipped["sizeMismatch"] == 1


def test_mask_of_a_file_is_its_outline(world: Any) -> None:
    write(world, drawn(0, segm("one_mask_0.png")))
    file = mask(world, "one_mask_0.png")
    found = prepare(world, "segment")
    assert pixels(lines_of(found)["one"][0]) == BOX
    assert (found.details.dataset.images, found.details.dataset.skipped) == (3, {})
    picture = Image.new("RGB", (64, 48))
    picture.paste((0, 7, 0), (2, 2, 12, 12))
    picture.save(file)
    assert pixels(lines_of(prepare(world, "segment"))["one"][0])[0] == (2, 2)


def test_folders_of_the_mits_own_layout(world: Any) -> None:
    for i, name in enumerate(("one", "two")):
        world.image(f"datasets/demo/Images/yard/{name}.png", shade=i * 40)
        text = annotation(f"\n{name}.png\n", drawn(0, segm("m.png")), size="")
        world.text(f"datasets/demo/Annotations/yard/{name}.xml", text)
    (world.data / "datasets/demo/Masks/yard").mkdir(parents=True)
    mask(world, "m.png").rename(world.data / "datasets/demo/Masks/yard/m.png")
    found = prepare(world, "segment")
    assert [pixels(line) for (line,) in lines_of(found).values()] == [BOX, BOX]
    assert (found.details.dataset.images, found.details.dataset.skipped) == (2, {})


def test_subsets_of_datumaro_are_the_split(world: Any) -> None:
    for i, name in enumerate(("train/one", "val/two", "val/three", "val/sub/deep")):
        world.image(f"datasets/demo/Images/{name}.jpg", shade=i * 40)
        text = annotation(f"{name}.jpg".rpartition("/")[2], drawn(0, polygon(BOX)))
        world.text(f"datasets/demo/Annotations/{name}.xml", text)
    dataset = prepare(world).details.dataset
    assert (dataset.train_images, dataset.val_images, dataset.boxes, dataset.skipped) == (1, 3, 4, {})


def test_mask_that_is_missing_is_counted(world: Any) -> None:
    write(world, drawn(0, segm("gone.png")), drawn(1, polygon(BOX)))
    found = prepare(world)
    assert found.details.dataset.skipped == {"otherShape": 1}
    assert "one.png (mask, Masks/gone.png is missing)" in " ".join(found.details.warnings)


@pytest.mark.parametrize(
    ("name", "want"),
    [("../one.png", r"<segm> needs in <mask> the name of a file in Masks, not '\.\./one\.png'"), ("small.png",
      r"Masks/small\.png: the mask is a PNG of 32 x 30 pixels; want a PNG of 64 x 48")],
)  # fmt: skip
def test_mask_that_cannot_be_meant_is_named(world: Any, name: str, want: str) -> None:
    write(world, drawn(0, segm(name)))
    mask(world, "small.png", (32, 30))
    with pytest.raises(InvalidDataError, match=rf"one\.xml, line 3: {want}"):
        prepare(world)


def test_parts_of_one_name_are_one_object(world: Any) -> None:
    """CVAT's groups: the first names the others, these name it; a part of another name is an object."""
    write(
        world,
        drawn(0, polygon([(2, 2), (10, 2), (10, 10)]), has="1,2"),
        drawn(1, polygon([(20, 2), (30, 2), (30, 10)]), of="0"),
        drawn(2, polygon([(40, 2), (50, 2), (50, 10)]), label="b", of="0"),
        drawn(3, polygon([(40, 22), (50, 22), (50, 40)])),
    )
    found = prepare(world)
    want = [(2, 2, 30, 10), (40, 2, 50, 10), (40, 22, 50, 40)]
    assert sorted(box(line) for line in lines_of(found)["one"]) == want
    assert found.details.dataset.skipped == {"joinedShape": 1}


def test_parts_that_go_in_a_circle_end(world: Any) -> None:
    write(world, drawn(0, polygon(BOX), of="1"), drawn(1, polygon(TRIANGLE), of="0"))
    assert [box(line) for line in lines_of(prepare(world))["one"]] == [(10, 8, 60, 40)]


def test_box_that_cvat_turned_is_turned(world: Any) -> None:
    inner = drawn(0, polygon([(20, 16), (44, 16), (44, 24), (20, 24)]), more=BOUNDING)
    write(world, inner.replace("<attributes>", "<attributes>colour=red, rotation=90.0"))
    found = prepare(world)
    assert box(lines_of(found)["one"][0]) == (28, 8, 36, 32)
    assert found.details.dataset.skipped == {"turnedBox": 1}


@pytest.mark.parametrize("mark", ["1", "true", "True", "yes"])
def test_mark_of_deletion_may_be_a_word(world: Any, mark: str) -> None:
    size = "<imagesize><nrows>48</nrows><ncols>64</ncols></imagesize>"
    text = f"<annotation><filename>{{0}}.png</filename>{size}{{1}}</annotation>"
    whole = (
        "<object><name>a</name><deleted>{}</deleted><polygon><pt><x>4</x><y>4</y></pt><pt><x>30</x><y>4</y></pt>"
        "<pt><x>30</x><y>20</y></pt></polygon></object>"
    )
    for i, name in enumerate(("one", "two")):
        world.image(f"datasets/demo/{name}.png", shade=i * 40)
        objects = whole.format(0) + (whole.format(mark).replace("30", "50") if name == "one" else "")
        world.text(f"datasets/demo/{name}.xml", text.format(name, objects))
    found = prepare(world)
    assert len(lines_of(found)["one"]) == 1
    assert found.details.dataset.skipped == {"deleted": 1}


def test_object_without_a_name_is_counted_and_makes_no_background(world: Any) -> None:
    write(world, drawn(0, polygon(BOX), label=""), drawn(1, polygon(TRIANGLE)))
    assert prepare(world).details.dataset.skipped == {"brokenShape": 1}
    write(world, drawn(0, polygon(BOX), label=""))
    with pytest.raises(InvalidDataError, match=r"an image has labels .* none of which can be used"):
        prepare(world)


def test_files_of_voc_among_them_are_two_kinds(world: Any) -> None:
    write(world, drawn(0, polygon(BOX)))
    world.text("datasets/demo/two.xml", voc_text("two.png", [("a", 4, 4, 20, 20)]))
    with pytest.raises(
        InvalidDataError, match=r"holds LabelMe 3\.0 \(XML\) \(.*\) and Pascal VOC \(two\.xml\)"
    ):
        prepare(world)


@pytest.mark.parametrize("odd", ["voc", "labelme-xml"])
def test_the_other_kind_among_hundreds_is_named(world: Any, odd: str) -> None:
    """Deep enough in the folder that the look for the kind does not meet it."""
    for i in range(30):
        name = f"img_{i:02}"
        world.image(f"datasets/demo/{name}.png", shade=i)
        is_voc = (odd == "voc") == (i == 29)
        text = (
            voc_text(f"{name}.png", [("a", 4, 4, 20, 20)])
            if is_voc
            else annotation(f"{name}.png", drawn(0, polygon(BOX)))
        )
        world.text(f"datasets/demo/{name}.xml", text)
    with pytest.raises(InvalidDataError, match=r"img_29\.xml is a file of .* among files of"):
        prepare(world)


@pytest.mark.parametrize("task", ["pose", "classify"])
def test_tasks_that_it_cannot_hold_are_refused(world: Any, task: Any) -> None:
    write(world, drawn(0, polygon(BOX)))
    with pytest.raises(
        InvalidDataError, match=rf"a LabelMe 3\.0 \(XML\) data set, .* {task}; it fits detect"
    ):
        prepare(world, task)


def test_export_of_cvat_in_an_archive(world: Any) -> None:
    """A folder for each subset, images beside the label files."""
    write(world, drawn(0, segm("one_mask_0.png")), folder="../made/default")
    mask(world, "one_mask_0.png", folder="../made/default")
    pack_zip(world.data / "../made", world.data / "datasets/demo.zip")
    found = prepare(world, "segment", train="demo.zip")
    assert pixels(lines_of(found)["one"][0]) == BOX
    assert re.search(
        r"labelme-xml: \w+\.xml has an <annotation> of LabelMe 3\.0", str(found.details.taken_for)
    )
