"""Does a data set hold labels for the task? If not, the error says which tasks it would fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from yolo_crds.training import Task

from ..errors import InvalidDataError
from .foreign import refuse_foreign
from .inspection import Inspected
from .locate import Located
from .readers.data_yaml import MASKS
from .readers.dota import find_dota, find_rows
from .readers.yolo_folder import YAML_NAMES
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
    "ndjson": ("Ultralytics Platform", (*_BOX_TASKS, "pose")),
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


def check_class_folders(path: Path, names: Sequence[str], field: str) -> None:
    """Raises InvalidDataError when the folders `names`, which would be classes, are of another layout."""
    rows = find_rows(path)
    is_described = any((path / name).is_file() for name in YAML_NAMES)
    if not (all(name.lower() in _LAYOUT for name in names) or (rows and is_described)):
        return
    if not rows:
        refuse_foreign(path, field)
    found = " and ".join(names)
    tasks = f"{', '.join(_BOX_TASKS)} or pose, by its labels"
    if rows:
        found += (
            f"{' and ' if found else ''}rows of YOLO ({rows.file.relative_to(path)}, {rows.columns} columns)"
        )
        tasks = _tasks_of(rows.columns)
    raise InvalidDataError(
        f"{field}: {path} has no folder for each class, but {found or 'none at all'}; it fits {tasks}",
        "set template.task to that, with a model for it; classification takes train/<class>/… and "
        "val/<class>/…, or <class>/… alone",
    )


def _tasks_of(columns: int) -> str:
    """What rows of YOLO of so many columns fit, the likeliest first."""
    if columns == 5:
        return "detect"
    if columns == 9:
        return "obb or segment"
    return "segment, or pose with `kpt_shape:`" if columns % 2 else "pose with `kpt_shape:`, or detect"


def check_keypoints(source: Source, task: Task) -> None:
    """Raises InvalidDataError for pose when nothing says how many keypoints there are."""
    if task == "pose" and source.kpt_shape is None:
        raise InvalidDataError(
            f"{source.path}: pose needs `kpt_shape:` in the data.yaml; without keypoints the data fit detect",
            "write `kpt_shape: [number of keypoints, 2 or 3]` into the data.yaml",
        )


def check_channels(sources: Mapping[str, Source]) -> None:
    """Raises InvalidDataError when validation images have another number of channels than training images:
    one model reads both."""
    train, val = (sources.get(split, sources["train"]).passed.channels for split in ("train", "val"))
    if train != val:
        raise InvalidDataError(
            f"template.data.val: {sources['val'].path} has images of {val} channels, "
            f"the training data of {train}",
            "write the same `channels:` into both",
        )


def check_same_keypoints(train: Source, val: Source) -> None:
    """Raises InvalidDataError when objects for validation have another number of keypoints; those of the
    shapes of COCO would be cut or filled up."""
    if train.kpt_shape and val.kpt_shape and train.kpt_shape[0] != val.kpt_shape[0]:
        raise InvalidDataError(
            f"template.data.val: {val.path.name} has {val.kpt_shape[0]} keypoints for each object, "
            f"{train.path.name} for training {train.kpt_shape[0]}",
            "validate on data with the keypoints that are trained on, in the same order",
        )


def check_class_codes(names: Sequence[str]) -> list[str]:
    """A warning where Ultralytics calls classes otherwise: where the first name begins with `n0` it looks
    all of them up among ImageNet's codes (nn/autobackend.py, check_class_names).

    Raises InvalidDataError when one cannot be such a code: a training would end by it.
    """
    if not names or not names[0].startswith("n0"):
        return []
    if strange := next((name for name in names if not re.fullmatch(r"n\d{8}", name)), None):
        raise InvalidDataError(
            f"template.data: the first class is called {names[0]!r}; Ultralytics takes a name that begins "
            f"with n0 for a code of ImageNet and looks all classes up there, where {strange!r} is not",
            "call the first class otherwise, or name another one first in template.data.labels",
        )
    return [
        f"{names[0]} … are codes of ImageNet to Ultralytics, which calls the classes by their English names"
    ]


def check_label_files(source: Source, located: Sequence[Located]) -> None:
    """Raises InvalidDataError when of a YOLO data set no training image has its label file: labels of other
    names or elsewhere would pass as a set of backgrounds."""
    found = [one for one in located if one.split == "train" and one.facts is not None]
    if source.kind != "yolo" or not found or any(one.label_stat or one.mask_file for one in found):
        return
    refuse_foreign(source.path if source.path.is_dir() else source.path.parent, "template.data.train")
    sample, shown = found[0].sample, source.tree.relative(str(source.path))
    want = sample.label_file or sample.folder / f"{sample.stem}.txt"
    raise InvalidDataError(
        f"template.data.train: none of the {len(found)} images of {shown} has a label file; "
        f"looked for {source.tree.relative(str(want))} first",
        _why_no_labels(source.path, found, want),
    )


def check_outlines(source: Source, task: Task, inspected: Iterable[Inspected]) -> None:
    """Raises InvalidDataError for segment when no label of a training image is an outline: a model would
    learn the corners of boxes in place of outlines."""
    if task != "segment":
        return
    boxes, first = 0, None
    for one in inspected:
        text, skipped = one.reading.text, one.reading.skipped or Skipped()
        if one.split == "train" and text:
            as_polygon = skipped.counts["boxAsPolygon"]
            if as_polygon < text.count("\n"):
                return
            boxes += as_polygon
            first = first or skipped.names["boxAsPolygon"][0]
    if boxes:
        outlines = "rows of the class and at least three points" if source.kind == "yolo" else "polygons"
        raise InvalidDataError(
            f"template.data.train: all {boxes} labels of {source.path} are boxes, and none is an outline "
            f"(the first: {first}); they fit detect",
            f"set template.task to detect and take a model without -seg; or export the outlines, {outlines}",
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
    near = [folder, folder.parent] if folder.name in ("images", "train") else [folder]
    if sign := next(filter(None, map(find_dota, near)), None):
        return (
            f"DOTA's labels lie in {sign.parent.name}: name the folder that holds them and the images, "
            "with no data.yaml in it, and list the classes in template.data.labels"
        )
    others = sorted(p.name for p in want.parent.glob("*.txt"))[:3] if want.parent.is_dir() else []
    if others:
        return f"a label file has its image's name and the ending .txt; there are {', '.join(others)}"
    folders = sorted({one.sample.folder.name for one in found} - _LAYOUT - {folder.name, "train"})
    if len(folders) > 1:
        return f"if folders such as {folders[0]} and {folders[1]} stand for classes, the data fit classify"
    return "labels lie in `labels` where images lie in `images`, otherwise beside the images"
