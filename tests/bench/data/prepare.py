"""One preparation of the data set `demo` in this process: `python -m bench.data.prepare VOLUME TASK DEPTH`.

Prints one line of JSON: images, seconds, and how deep they were checked.
"""

import json
import sys
import time
from pathlib import Path

from yolo_crds.layout import DataVolume
from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import prepare_dataset
from yolo_trainer.prepare.label_cache import TASKS


def prepare(root: Path, task: Task, depth: str) -> dict[str, object]:
    """Prepares the set and measures it, without the start of the interpreter and its imports."""
    labels = [f"class_{i:02}" for i in range(80)]  # small sets lack some of them
    given = {"train": "demo", "verify": depth, "labels": labels, "missingClasses": "allow"}
    data = Data.model_validate(given)
    started = time.perf_counter()
    found = prepare_dataset(DataVolume(root), data, task, lambda **_: None)
    seconds = time.perf_counter() - started
    details = found.details
    return {"images": details.dataset.images, "seconds": seconds, "checked": details.checked}


def main() -> None:
    root, task, depth = sys.argv[1:]
    if task not in TASKS:
        raise SystemExit(f"{task!r} is no task: want one of {', '.join(sorted(TASKS))}")
    print(json.dumps(prepare(Path(root), task, depth)))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
