"""Time Ultralytics' own scan of a YOLO folder, for `make bench-data`: `bench_scan.py FOLDER CLASSES`.

Runs inside the trainer image, and stands here because only this folder may import Ultralytics. Its function
is called as its data set classes call it, by a pool of threads; these get all CPUs, of which Ultralytics
leaves one out. Nothing is written: its label cache is not part of the time.

Prints one line of JSON: images and seconds.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import repeat
from multiprocessing.pool import ThreadPool
from pathlib import Path

from ultralytics.data.utils import img2label_paths, verify_image_label

from yolo_trainer.cgroup import cpus


def scan(folder: Path, classes: int) -> dict[str, float]:
    """Verifies images and labels of `folder/images/train`; raises SystemExit if it refuses one."""
    started = time.perf_counter()
    images = sorted(str(path) for path in (folder / "images/train").iterdir())
    rest = (repeat(value) for value in ("", False, classes, 0, 0, False))
    with ThreadPool(cpus()) as pool:
        found = list(pool.imap(verify_image_label, zip(images, img2label_paths(images), *rest, strict=False)))
    seconds = time.perf_counter() - started
    if refused := [message for *_, corrupt, message in found if corrupt]:
        raise SystemExit(f"Ultralytics refuses {len(refused)} of {len(images)} images: {refused[0]}")
    return {"images": len(images), "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(scan(Path(sys.argv[1]), int(sys.argv[2]))))
