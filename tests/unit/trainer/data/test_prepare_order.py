"""A prepared set and its hash do not hang on the order in which a data set's author wrote things."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset

BOXES = [[3, 4, 20, 10], [1, 1, 5, 5], [30, 20, 11, 7], [10, 22, 9, 13]]


def coco_content(world: Any) -> dict[str, list[dict[str, Any]]]:
    """Five images, one of them with the name of another in a second folder."""
    names = ["a.png", "b.png", "c.png", "x/d.png", "d.png"]
    for i, name in enumerate(names):
        world.image(f"datasets/demo/images/{name}", shade=40 * i)
    world.image("datasets/demo/a.png", shade=200)  # where exports keep images too
    return {
        "images": [{"id": i, "file_name": name, "width": 64, "height": 48} for i, name in enumerate(names)],
        "categories": [
            {"id": 7, "name": "q", "keypoints": ["left", "right"]},
            {"id": 2, "name": "p", "keypoints": ["l", "r"]},
        ],
        "annotations": [
            {
                "id": 10 * i + k,
                "image_id": i,
                "category_id": (2, 7)[(i + k) % 2],
                "bbox": box,
                "segmentation": [[*box[:2], 40, 3, 44, 40, 5, 41]],
                "keypoints": [10 + k, 10, 2, 20, 20 + i, 1],
            }
            for i in range(5)
            for k, box in enumerate(BOXES)
        ],
    }


def shuffle_lists(content: dict[str, list[dict[str, Any]]], rng: random.Random) -> None:
    for entries in content.values():
        rng.shuffle(entries)


def reverse_lists(content: dict[str, list[dict[str, Any]]], rng: random.Random) -> None:
    for entries in content.values():
        entries.reverse()


def shuffle_keys(content: dict[str, Any], rng: random.Random) -> None:
    for key in rng.sample(list(content), len(content)):
        entries = content.pop(key)
        content[key] = [dict(rng.sample(list(entry.items()), len(entry))) for entry in entries]


def number_anew(content: dict[str, list[dict[str, Any]]], rng: random.Random) -> None:
    ids = rng.sample(range(1000), 5)
    for image in content["images"]:
        image["id"] = ids[image["id"]]
    for i, annotation in enumerate(content["annotations"]):
        annotation.update(id=i + 500, image_id=ids[annotation["image_id"]])


def prepare(world: Any, train: str, task: Task, **data: object) -> PreparedSet:
    return prepare_dataset(world.volume, Data.model_validate({"train": train, **data}), task, world.report)


def content_of(found: PreparedSet) -> dict[str, str]:
    files = [*found.folder.glob("labels/*/*.txt"), found.data_path]
    return {str(p.relative_to(found.folder)): p.read_text() for p in files}


@pytest.mark.parametrize("task", ["detect", "segment", "semantic", "obb", "pose"])
@pytest.mark.parametrize("change", [shuffle_lists, reverse_lists, shuffle_keys, number_anew])
def test_coco_file_in_another_order_gives_the_same_set(
    world: Any, change: Callable[[Any, random.Random], None], task: Task
) -> None:
    content = coco_content(world)
    file = world.text("datasets/demo/all.json", json.dumps(content))
    first = prepare(world, "demo", task)
    want = content_of(first)
    for seed in range(2):
        changed = copy.deepcopy(content)
        change(changed, random.Random(seed))
        file.write_text(json.dumps(changed))
        again = prepare(world, "demo", task)
        assert again.details.dataset == first.details.dataset
        assert content_of(again) == want


@pytest.mark.parametrize("kind", ["ucd", "yolo", "voc", "labelme"])
def test_labels_of_an_image_in_another_order_give_the_same_set(world: Any, kind: str) -> None:
    hashes = set()
    for seed in range(3):
        boxes = random.Random(seed).sample(BOXES, len(BOXES))
        write(world, kind, boxes)
        hashes.add(prepare(world, kind, "detect", labels=["a"]).details.dataset.hash)
    assert len(hashes) == 1


def write(world: Any, kind: str, boxes: list[list[int]]) -> None:
    """Two images, the boxes in this order on each."""
    corners = [[[x, y], [x + w, y + h]] for x, y, w, h in boxes]
    shapes = [{"shape_type": "rectangle", "label": "a", "points": points} for points in corners]
    rows = [f"0 {(x + w / 2) / 64} {(y + h / 2) / 48} {w / 64} {h / 48}\n" for x, y, w, h in boxes]
    objects = [
        f"<object><name>a</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
        f"<xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>"
        for x, y, w, h in boxes
    ]
    for i, stem in enumerate(("m", "n")):
        place = f"img_cache/{stem}.png" if kind == "ucd" else f"datasets/{kind}/{stem}.png"
        world.image(place, shade=i * 90)
        if kind == "yolo":
            world.text(f"datasets/yolo/{stem}.txt", "".join(rows))
        elif kind == "voc":
            world.text(f"datasets/voc/{stem}.xml", f"<annotation>{''.join(objects)}</annotation>")
        elif kind == "labelme":
            content = {"imagePath": f"{stem}.png", "shapes": shapes}
            world.text(f"datasets/labelme/{stem}.json", json.dumps(content))
    if kind == "ucd":
        world.ucd("ucd", {"uc_list": ["n", "m"], "shapes": {"n": shapes, "m": shapes}})


def test_entries_of_one_image_are_one_with_the_labels_of_both(world: Any) -> None:
    content = coco_content(world)
    content["images"].append({**content["images"][2], "id": 99})
    moved = content["annotations"][8:10]  # of c.png
    for annotation in moved:
        annotation["image_id"] = 99
    hashes = []
    for _ in range(2):
        world.text("datasets/demo/all.json", json.dumps(content))
        found = prepare(world, "demo", "detect")
        hashes.append(found.details.dataset.hash)
        [file] = found.folder.glob("labels/*/c.txt")
        assert len(file.read_text().splitlines()) == len(BOXES)
        assert found.details.dataset.skipped == {"mergedImage": 1}
        content["images"].reverse()
    assert hashes[0] == hashes[1]


def test_of_twins_that_differ_the_same_one_is_taken_in_any_order(world: Any) -> None:
    for folder, row in (("x", "0 0.5 0.5 0.5 0.5\n"), ("y", "0 0.5 0.5 0.25 0.25\n")):
        world.image(f"datasets/demo/images/{folder}/a.png", shade=9)
        world.text(f"datasets/demo/labels/{folder}/a.txt", row)
    world.image("datasets/demo/images/b.png")
    world.text("datasets/demo/labels/b.txt", "0 0.5 0.5 0.5 0.5\n")
    names = [f"./images/{name}.png\n" for name in ("x/a", "y/a", "b")]
    sets = []
    for order in (names, names[::-1]):
        world.text("datasets/demo/train.txt", "".join(order))
        found = prepare(world, "datasets/demo/train.txt", "detect", labels=["a"])
        assert found.details.dataset.skipped["differingTwin"] == 1
        sets.append(content_of(found))
    assert sets[0] == sets[1]
