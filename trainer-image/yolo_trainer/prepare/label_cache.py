"""Write Ultralytics' own label cache next to the labels, so that train need not scan the data set.

Train mounts the data volume read-only; without a cache it scans again, and only warns that it cannot keep
one. A cache is valid only for the version that wrote it, so the installed one writes it, if there is any.
"""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import yaml

from yolo_crds.training import Task

from ..data.readers.data_yaml import MASKS

logger = logging.getLogger(__name__)

TASKS = frozenset({"detect", "segment", "semantic", "pose", "obb"})


def write_label_cache(folder: Path, task: Task, *, single_cls: bool = False) -> bool:
    """Scans a prepared set with the installed Ultralytics; False when there is none or the task has no cache.

    A failure is logged and costs only time: train scans by itself.
    """
    has_masks = (folder / MASKS).is_dir()
    labels = folder / (MASKS if has_masks else "labels")
    caches = {split: labels / f"{split}.cache" for split in ("train", "val")}
    missing = [split for split, cache in caches.items() if not cache.exists()]
    if not missing:
        return True
    if task not in TASKS or importlib.util.find_spec("ultralytics") is None:
        return False
    try:
        # Here and not above: torch takes seconds, and prepare's pure parts run where it is not installed.
        from ultralytics.data.dataset import SemanticDataset, YOLODataset

        # Polygons are scanned alike for segment and semantic.
        dataset = SemanticDataset if has_masks else YOLODataset
        data = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
        for split in missing:
            # Resolved, as Ultralytics resolves a data.yaml's folders: the cache is keyed by these paths.
            images = (folder / "images" / split).resolve()
            dataset(img_path=str(images), data=data, task=task, augment=False, single_cls=single_cls)
    except Exception:
        logger.warning("no label cache written to %s", folder, exc_info=True)
        return False
    return True
