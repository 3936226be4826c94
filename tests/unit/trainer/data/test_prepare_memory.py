"""What a sample costs in memory: a set of 100,000 images must fit a small pod. Nothing is timed here."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from yolo_crds.training import Data
from yolo_trainer.data.dataset import prepare_dataset
from yolo_trainer.data.readers.packed_shapes import PackedShapes
from yolo_trainer.data.source import Shape

IMAGES = 600
SHAPES = 8
POLYGON = [float(i % 97) + 0.25 for i in range(40)]


# In a process of its own: tracemalloc counts what all threads of a process allocate.
READ = """
import sys, tracemalloc
from pathlib import Path
from yolo_trainer.data.readers.coco import open_coco
from yolo_trainer.data.skipped import Skipped
from yolo_trainer.data.readers.ucd import ucd_source

path = Path(sys.argv[1])
tracemalloc.start()
source = {call}
print(tracemalloc.get_traced_memory()[1], sum(len(sample.shapes) for sample in source.samples))
"""


def peak_of(call: str, path: Path) -> int:
    """The bytes that were allocated at most while `call` read all shapes of a file."""
    command = [sys.executable, "-c", READ.format(call=call), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, shapes = map(int, done.stdout.split())
    assert shapes == IMAGES * SHAPES
    return peak


def write_coco(path: Path) -> Path:
    content = {
        "images": [{"id": i, "file_name": f"{i:08}.jpg"} for i in range(IMAGES)],
        "annotations": [
            {"image_id": i % IMAGES, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": [POLYGON]}
            for i in range(IMAGES * SHAPES)
        ],
        "categories": [{"id": 1, "name": "a"}],
    }
    path.write_text(json.dumps(content))
    return path


def write_ucd(path: Path) -> Path:
    shape = {"shape_type": "rectangle", "label": "a", "points": [[1.5, 2], [30, 40]], "conf": -1}
    codes = [f"Fwe{i:06}" for i in range(IMAGES)]
    content = {
        "uc_list": codes,
        "shapes": {code: [shape] * SHAPES for code in codes},
        "size_info": {code: [640, 480] for code in codes},
    }
    path.write_text(json.dumps(content))
    return path


def test_coco_polygons_take_little(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "all.json")
    peak = peak_of('open_coco(path, path.parent, "segment", Skipped())', path)
    assert peak / IMAGES < 6_000  # 2,560 of them the numbers; parsed at once it is 17,000


def test_ucd_boxes_take_little(tmp_path: Path) -> None:
    path = write_ucd(tmp_path / "all.json")
    peak = peak_of("ucd_source(path, path.parent, Skipped())", path)
    assert peak / IMAGES < 3_000  # parsed at once it is 5,400


def test_packed_shapes_come_back_as_they_were() -> None:
    want = [
        Shape("rectangle", "a", ((1.5, 2.0), (3.0, 4.0))),
        Shape("polygon", "b", ((1.0, 2.0), (3.0, 4.0), (5.0, 6.5))),
        Shape("rectangle", "a", ((1.0, 2.0), (3.0, 4.0)), ((7.0, 8.0, 2.0), (0.0, 0.0, 0.0))),
    ]
    packed = PackedShapes()
    for shape in want:
        packed.append(shape)
    assert list(packed) == want
    assert packed[1] == want[1]
    assert list(pickle.loads(pickle.dumps(packed))) == want
    assert len(packed) == 3


def test_second_prepare_opens_no_image_and_no_label(world: Any) -> None:
    for i in range(6):
        world.image(f"datasets/demo/images/{i}.jpg", shade=i)
        world.text(f"datasets/demo/labels/{i}.txt", "0 0.5 0.5 0.2 0.2\n")
    world.text("datasets/demo/data.yaml", "train: images\nnames: [a]\n")
    opened: list[str] = []
    listening = True

    def note(event: str, args: tuple[Any, ...]) -> None:
        if listening and event == "open" and isinstance(args[0], str):
            opened.append(args[0])

    sys.addaudithook(note)  # it stays for good: there is no way to take one away
    data = Data.model_validate({"train": "demo"})
    prepare_dataset(world.volume, data, "detect", world.report)
    assert sum(path.endswith((".jpg", ".txt")) for path in opened) > 6
    opened.clear()
    prepare_dataset(world.volume, data, "detect", world.report)
    listening = False
    assert [path for path in opened if path.endswith((".jpg", ".txt"))] == []
    assert any(path.endswith("manifest.jsonl") for path in opened)


MANIFEST = """
import sys, tracemalloc
from pathlib import Path
from yolo_trainer.data.manifest import Entry, read_manifest, write_manifest

def entries():
    for i in range(20_000):
        yield Entry(file=f"images/train/{i:08}.jpg", source=f"img_cache/{i:08}.jpg", size=i, mtime_ns=i,
                    sha256=f"{i:064x}", width=640, height=480)

folder = Path(sys.argv[1])
tracemalloc.start()
write_manifest(folder, "abc", entries())
found = read_manifest(folder)
assert sum(1 for _ in found.entries()) == found.count == 20_000
print(tracemalloc.get_traced_memory()[1])
"""


def test_a_manifest_is_written_and_read_line_by_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MANIFEST, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2_000_000  # 100 bytes an image; the objects of all took 1,600
