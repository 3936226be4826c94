"""Data sets of many images in each format that keeps much in memory, to measure how much."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from yolo_crds.training import Task

from .pictures import CLASSES, Box, link_pictures, make_boxes, write_data_yaml

Size = tuple[int, int]


def write_yolo(pictures: Path, root: Path, count: int) -> None:
    folder = root / "datasets/demo"
    (folder / "labels/train").mkdir(parents=True)
    for i, name in enumerate(link_pictures(pictures, folder / "images/train", count)):
        (folder / f"labels/train/{name}.txt").write_text("".join(box.row() for box in make_boxes(i)))
    write_data_yaml(folder)


def write_coco_boxes(pictures: Path, root: Path, count: int) -> None:
    _write_coco(pictures, root, count, lambda _box, _size: [])


def write_coco_polygons(pictures: Path, root: Path, count: int) -> None:
    _write_coco(pictures, root, count, _polygon)


def write_ucd(pictures: Path, root: Path, count: int) -> None:
    names = link_pictures(pictures, root / "img_cache", count)
    sizes = _sizes(root / "img_cache", names)
    (root / "ucd").mkdir()
    with (root / "ucd/demo.json").open("w") as file:
        file.write(f'{{"uc_list": {json.dumps(names)}, "shapes": {{')
        for i, name in enumerate(names):
            shapes = [_ucd_shape(box, sizes[i]) for box in make_boxes(i)]
            file.write(f"{', ' if i else ''}{json.dumps(name)}: {json.dumps(shapes)}")
        file.write(f'}}, "size_info": {json.dumps(dict(zip(names, sizes, strict=True)))}}}')


WRITERS: dict[str, tuple[Task, Callable[[Path, Path, int], None]]] = {
    "YOLO folder, 8 boxes": ("detect", write_yolo),
    "COCO, 8 boxes": ("detect", write_coco_boxes),
    "COCO, 8 polygons of 20 points": ("segment", write_coco_polygons),
    "UCD, 8 boxes": ("detect", write_ucd),
}
"""By what a person calls it: the task, and what writes the data set `demo` into a data volume."""


def write_volume(name: str, pictures: Path, root: Path, count: int) -> None:
    """A data volume with `count` names of few pictures and all of their labels."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    WRITERS[name][1](pictures, root, count)


def _sizes(folder: Path, names: list[str]) -> list[Size]:
    """Width and height of each picture; the few that there are by many names are opened once."""
    known: dict[int, Size] = {}
    sizes = []
    for name in names:
        path = folder / f"{name}.jpg"
        if (number := path.stat().st_ino) not in known:
            with Image.open(path) as picture:
                known[number] = picture.size
        sizes.append(known[number])
    return sizes


def _write_coco(pictures: Path, root: Path, count: int, segmentation: Callable[[Box, Size], object]) -> None:
    folder = root / "datasets/demo"
    names = link_pictures(pictures, folder / "images", count)
    sizes = _sizes(folder / "images", names)
    with (folder / "all.json").open("w") as file:
        images = (
            {"id": i, "file_name": f"{name}.jpg", "width": width, "height": height}
            for i, (name, (width, height)) in enumerate(zip(names, sizes, strict=True))
        )
        file.write('{"images": [')
        _write_rows(file.write, images)
        file.write('], "annotations": [')
        _write_rows(file.write, _annotations(sizes, segmentation))
        categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
        file.write(f'], "categories": {json.dumps(categories)}}}')


def _write_rows(write: Callable[[str], object], rows: Iterator[dict[str, object]]) -> None:
    for i, row in enumerate(rows):
        write(f"{', ' if i else ''}{json.dumps(row)}")


def _annotations(
    sizes: list[Size], segmentation: Callable[[Box, Size], object]
) -> Iterator[dict[str, object]]:
    for image, size in enumerate(sizes):
        for k, box in enumerate(make_boxes(image)):
            left, top, width, height = _in_pixels(box, size)
            yield {
                "id": image * 100 + k,
                "image_id": image,
                "category_id": box.index + 1,
                "bbox": [left, top, width, height],
                "area": width * height,
                "iscrowd": 0,
                "segmentation": segmentation(box, size),
            }


def _polygon(box: Box, size: Size) -> list[list[float]]:
    points = box.polygon() * size
    return [[round(float(value), 2) for value in points.flatten()]]


def _in_pixels(box: Box, size: Size) -> list[float]:
    wide, high = size
    left, top = box.x - box.width / 2, box.y - box.height / 2
    values = (left * wide, top * high, box.width * wide, box.height * high)
    return [round(value, 2) for value in values]


def _ucd_shape(box: Box, size: Size) -> dict[str, object]:
    left, top, width, height = _in_pixels(box, size)
    points = [[left, top], [round(left + width, 2), round(top + height, 2)]]
    return {"shape_type": "rectangle", "label": CLASSES[box.index], "points": points, "conf": -1}
