"""Pascal VOC's folders of masks, which are not read: told, where a training would go without them."""

from __future__ import annotations

from pathlib import Path

from yolo_crds.training import Task

from ...errors import InvalidDataError
from .yolo_folder import images_below

MASK_FOLDERS = frozenset({"SegmentationClass", "SegmentationObject"})
_TASKS = ("segment", "semantic")


def refuse_masks(folder: Path, task: Task) -> None:
    """Raises InvalidDataError where a task asks for outlines and a data set of Pascal VOC has them as
    masks: its boxes would be trained on in their place."""
    if task in _TASKS and (found := mask_folder(folder)):
        raise InvalidDataError(
            f"{folder} has its outlines as masks of Pascal VOC ({found}/), which are not read; with the "
            "boxes of its XML files it fits detect, obb",
            "export the masks as COCO (CVAT: COCO 1.0, Datumaro: coco), or for semantic as pictures whose "
            "pixels are class ids, with `masks_dir:` in a data.yaml; or move the folder away to train on "
            "boxes",
        )


def mask_folder(folder: Path) -> str | None:
    """The name of a folder with VOC's masks in a data set, if there is one."""
    names = sorted(MASK_FOLDERS, reverse=True)
    return next((name for name in names if next(images_below(folder / name), None)), None)
