"""Does a data set hold labels for the task? If not, the error says which tasks it would fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from yolo_crds.training import Task

from ..errors import InvalidDataError
from .locate import Located
from .readers.data_yaml import MASKS
from .skipped import Skipped
from .source import Source

_BOX_TASKS = ("detect", "segment", "semantic", "obb")
_KINDS = {
    "ucd": ("UCD", _BOX_TASKS),
    "coco": ("COCO", (*_BOX_TASKS, "pose")),
    "voc": ("Pascal VOC", _BOX_TASKS),
    "labelme": ("LabelMe", _BOX_TASKS),
    "labelme-xml": ("LabelMe 3.0 (XML)", _BOX_TASKS),
    "dota": ("DOTA", _BOX_TASKS),
}
_LAYOUT = frozenset({"images", "labels", "annotations", "jpegimages", "masks", "obj_train_data", "img_cache"})
"""Folders of data sets with label files, in lower case; no class is called so."""
_DEPTH_NEEDS = "images in `images/`, and for each a map in `depth/`: a PNG of 16 bits, or a .npy of metres"


def refuse_depth(task: Task) -> None:
    """Depth maps are not prepared: they have no classes, and the report is one of classes."""
    if task == "depth":
        raise InvalidDataError(
            f"template.task: data sets for depth are not prepared here (they would be {_DEPTH_NEEDS})",
            "train depth with Ultralytics itself; here: detect, segment, semantic, obb, pose or classify",
        )


def kind_name(kind: str) -> str:
    """A kind of data set as people call it."""
    return _KINDS[kind][0]


def check_kind(kind: str, file: Path, task: Task, field: str) -> None:
    """Raises InvalidDataError when data sets of that kind hold nothing for the task."""
    name, tasks = _KINDS[kind]
    if task not in tasks:
        raise InvalidDataError(
            f"{field}: {file.name} is a {name} data set, which holds no labels for {task}; "
            f"it fits {', '.join(tasks)}"
        )


def check_class_folders(source: Source, field: str) -> None:
    """Raises InvalidDataError when what would be classes are the folders of another layout."""
    if all(name.lower() in _LAYOUT for name in source.names or ()):
        raise InvalidDataError(
            f"{field}: {source.path} has no folder for each class, but {' and '.join(source.names or ())}; "
            f"it fits {', '.join(_BOX_TASKS)} or pose, by its labels",
            "classification takes train/<class>/… and val/<class>/…, or <class>/… alone",
        )


def check_keypoints(source: Source, task: Task) -> None:
    """Raises InvalidDataError for pose when nothing says how many keypoints there are."""
    if task == "pose" and source.kpt_shape is None:
        raise InvalidDataError(
            f"{source.path}: pose needs `kpt_shape:` in the data.yaml; without keypoints the data fit detect",
            "write `kpt_shape: [number of keypoints, 2 or 3]` into the data.yaml",
        )


def check_label_files(source: Source, located: Sequence[Located]) -> None:
    """Raises InvalidDataError when of a YOLO data set no training image has its label file: labels of other
    names or elsewhere would pass as a set of backgrounds."""
    found = [one for one in located if one.split == "train" and one.facts is not None]
    if source.kind != "yolo" or not found or any(one.label_stat or one.mask_file for one in found):
        return
    sample = found[0].sample
    want = sample.label_file or sample.folder / f"{sample.stem}.txt"
    raise InvalidDataError(
        f"template.data.train: none of the {len(found)} images of {source.path} has a label file; "
        f"looked for {want} first",
        _why_no_labels(source.path, found, want),
    )


def count_unlabelled(sources: Mapping[str, Source], located: Sequence[Located], skipped: Skipped) -> None:
    """Counts the images of a YOLO data set without a label file: backgrounds, unless files went astray."""
    for one in located:
        if one.facts and not one.problem and one.sample.label_file and one.label_stat is None:
            tree = sources.get(one.split, sources["train"]).tree
            skipped.add("noLabelFile", tree.relative(one.facts.path))


def _why_no_labels(path: Path, found: Sequence[Located], want: Path) -> str:
    folder = path if path.is_dir() else path.parent
    if (folder / MASKS).is_dir():
        return "class masks, as in its folder `masks`, fit semantic"
    others = sorted(p.name for p in want.parent.glob("*.txt"))[:3] if want.parent.is_dir() else []
    if others:
        return f"a label file has its image's name and the ending .txt; there are {', '.join(others)}"
    folders = sorted({one.sample.folder.name for one in found} - _LAYOUT - {folder.name, "train"})
    if len(folders) > 1:
        return f"if folders such as {folders[0]} and {folders[1]} stand for classes, the data fit classify"
    return "labels lie in `labels` where images lie in `images`, otherwise beside the images"
