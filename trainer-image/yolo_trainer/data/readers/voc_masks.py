"""Pascal VOC's folders of masks, which are not read: told, where a training would go without them."""

from __future__ import annotations

from pathlib import Path

from yolo_crds.training import Task

from ...errors import InvalidDataError
from .yolo_folder import images_below

MASK_FOLDERS = frozenset({"SegmentationClass", "SegmentationObject"})
_TASKS = ("segment", "semantic")
_HINT = (
    "export the masks as COCO (CVAT: COCO 1.0, Datumaro: coco), or for semantic as pictures whose pixels are "
    "class ids, with `masks_dir:` in a data.yaml"
)


def refuse_masks(folder: Path, task: Task) -> None:
    """Raises InvalidDataError where a task asks for outlines and a data set of Pascal VOC has them as masks:
    its boxes would be trained on in their place."""
    if task in _TASKS and (found := _mask_folder(folder)):
        raise InvalidDataError(
            f"{folder} has its outlines as masks of Pascal VOC ({found}/), which are not read; with the "
            "boxes of its XML it fits detect, obb",
            f"{_HINT}; or move the folder away to train on boxes",
        )


def refuse_masks_alone(folder: Path) -> None:
    """Raises InvalidDataError for a folder that has such masks and no labels of another kind."""
    rows = (p for name in ("labels", "images", "JPEGImages") for p in (folder / name).rglob("*.txt"))
    if (found := _mask_folder(folder)) and not next(rows, None):
        raise InvalidDataError(
            f"{folder} has no labels but masks of Pascal VOC ({found}/), which are not read", _HINT
        )


def masked_stems(folder: Path) -> frozenset[str]:
    """Names without endings of the images that have such a mask."""
    return frozenset(mask.stem for name in MASK_FOLDERS for mask in images_below(folder / name))


def _mask_folder(folder: Path) -> str | None:
    """The name of a folder with masks in a data set, if there is one."""
    names = sorted(MASK_FOLDERS, reverse=True)
    return next((name for name in names if next(images_below(folder / name), None)), None)
