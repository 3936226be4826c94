"""Read data sets in YOLO's own layout: a data.yaml, a folder with images and labels, or class folders."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from yolo_crds.layout import DataVolume
from yolo_crds.training import Task

from ...errors import InvalidDataError
from ..image_finder import ImageFinder
from ..images import FORMATS
from ..skipped import Skipped
from ..source import Sample, Source, check_unique
from ..text_file import read_lines
from ..walk import walk
from .class_files import differing_list, find_classes, lists_beside, refuse_other_notes
from .class_names import yaml_classes
from .data_yaml import MASKS, flip_indices, keypoint_shape, mask_ids, masks_folder
from .yaml_file import read_yaml
from .yaml_keys import read_passed, unread_keys
from .yaml_places import YamlPlaces

YAML_SUFFIXES = frozenset({".yaml", ".yml"})
SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "test")}
_PARTS = frozenset({*SPLITS["train"], *SPLITS["val"], "images", "labels", "masks", "annotations"})
"""Folders that data sets have, in lower case."""
YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")


def open_yolo(path: Path, volume: DataVolume, task: Task, skipped: Skipped) -> Source:
    """The data set of a data.yaml, a .txt list of images, or a folder.

    For semantic segmentation class masks are taken where there are any, else polygons. Raises
    InvalidDataError when it names no images, or images that are not on the data volume.
    """
    if path.is_file():
        return (
            _open_yaml(path, volume, task, skipped)
            if path.suffix.lower() in YAML_SUFFIXES
            else _open_list(path, volume, skipped)
        )
    for name in YAML_NAMES:
        if (path / name).is_file():
            return _open_yaml(path / name, volume, task, skipped)
    train, val = split_folders(path)
    own_val = list(samples_below(val)) if val else None
    classes = find_classes(_class_folders(path, train, val), volume.root.resolve())
    source = Source(
        kind="yolo",
        path=path,
        samples=list(samples_below(train or path)),
        own_val=own_val,
        names=classes.names,
        ids=classes.ids,
        files=classes.files,
        warnings=classes.warnings,
        why="it holds images and no other kind of labels than text files",
    )
    has_masks = task == "semantic" and (path / MASKS).is_dir()
    return _with_masks(source, MASKS) if has_masks else source


def _class_folders(path: Path, *splits: Path | None) -> list[Path]:
    """Where class names lie: in the folder, with its labels, or with the images or labels of a part."""
    parts = [folder for split in splits if split for folder in (split, _folder_beside(split, "labels"))]
    beside = [split.parent for split in splits if split and split.name == "images"]
    around = [path.parent] if path.name == "images" else []
    return list(dict.fromkeys([path, path / "labels", path / "images", *around, *beside, *parts]))


def _with_masks(source: Source, folder: str) -> Source:
    """The source with class masks, which lie in `folder` where images lie in `images`, for labels."""

    def masked(samples: Iterable[Sample]) -> list[Sample]:
        return [
            replace(s, label_file=None, mask_file=path_beside(s.folder / s.stem, folder, ".png"))
            for s in samples
        ]

    own_val = None if source.own_val is None else masked(source.own_val)
    why = f"{source.why}, and class masks in `{folder}`"
    return replace(source, samples=masked(source.samples), own_val=own_val, why=why)


def folders_in(path: Path) -> list[str]:
    """The names of the folders in one, but for hidden ones."""
    return sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _open_yaml(path: Path, volume: DataVolume, task: Task, skipped: Skipped) -> Source:
    content = read_yaml(path)
    warnings = [f"{path.name}: {unread}" for unread in unread_keys(content)]
    if content.get("download"):
        warnings.append(f"{path.name}: `download:` is never followed")
    keys = {split: key for split in SPLITS if (key := _first_key(content, split))}
    if "train" not in keys:
        raise InvalidDataError(f"{path} is no description of a data set: it has no `train:`")
    entries = {split: _entries(content[key], f"{path}: `{key}:`") for split, key in keys.items()}
    places = YamlPlaces(path, volume, warnings)
    places.enter(content.get("path"), entries["train"])
    samples = {
        split: _entry_samples(found, places, f"{path}: `{keys[split]}:`", volume, skipped)
        for split, found in entries.items()
    }
    classes = yaml_classes(content, path, places)
    check_unique(classes.names or (), path)
    if not classes.files:
        refuse_other_notes(path, places.folder, classes.names or (), places.root)
    if classes.names and not classes.files and not classes.made_up:
        lists = lists_beside(path, places.folder, places.root)
        classes = replace(classes, files=lists, warnings=differing_list(path, lists, classes.names))
    source = Source(
        kind="yolo",
        path=path,
        samples=samples["train"],
        own_val=samples.get("val"),
        names=classes.names,
        ids=classes.ids,
        files=[path, *classes.files],
        kpt_shape=keypoint_shape(content, path),
        flip_idx=flip_indices(content, path),
        passed=read_passed(content, path, task),
        names_note=classes.made_up,
        warnings=[*warnings, *classes.warnings],
        why=f"{path.name} has `train:`",
    )
    masks = masks_folder(content, places.folder, path) if task == "semantic" else None
    return replace(_with_masks(source, masks), mask_ids=mask_ids(content, path)) if masks else source


def _first_key(content: Mapping[str, Any], split: str) -> str | None:
    """Under which of its names a split has an entry; `test` is no validation set when a YAML has it."""
    return next((key for key in SPLITS[split] if key != "test" and content.get(key)), None)


def _entries(entry: object, place: str) -> list[str]:
    entries = []
    for item in entry if isinstance(entry, list) else [entry]:
        if not isinstance(item, str):
            # Its type and not itself: aliases may make it endless.
            kind = type(item).__name__
            raise InvalidDataError(f"{place} has an entry that is no path but of type {kind}")
        entries.append(item)
    return entries


def _entry_samples(
    entries: list[str], places: YamlPlaces, place: str, volume: DataVolume, skipped: Skipped
) -> list[Sample]:
    samples: list[Sample] = []
    for item in entries:
        found = places.find(item, place)
        if found.is_dir():
            samples += samples_below(found, root=volume.root.resolve())
        elif found.suffix == ".txt":
            samples += _list_samples(found, places.folder, volume, skipped)
        else:
            samples.append(yolo_sample(found))
    return samples


def _open_list(path: Path, volume: DataVolume, skipped: Skipped) -> Source:
    if path.suffix.lower() != ".txt":
        raise InvalidDataError(
            f"{path} is none of: UCD or COCO .json, data.yaml, folder, .zip, .tar(.gz), .txt list of images"
        )
    samples, classes = (
        _list_samples(path, path.parent, volume, skipped),
        find_classes(_class_folders(path.parent), volume.root.resolve()),
    )
    return Source(
        kind="yolo",
        path=path,
        samples=samples,
        names=classes.names,
        ids=classes.ids,
        files=[path, *classes.files],
        warnings=classes.warnings,
        why=f"{path.name} lists images",
    )


def _list_samples(path: Path, root: Path, volume: DataVolume, skipped: Skipped) -> list[Sample]:
    """The images of a list: `./…` counts from its folder, everything else from the data set's first."""
    tops = (volume.root, volume.datasets)
    from_set = ImageFinder(volume.root.resolve(), [root, path.parent, *tops], skipped)
    from_list = ImageFinder(volume.root.resolve(), [path.parent, root, *tops], skipped)
    samples = []
    for line in read_lines(path):
        if not (name := line.strip()):
            continue
        finder = from_list if name.startswith("./") else from_set
        if image := finder.find(name):
            samples.append(yolo_sample(image))
        else:
            skipped.add(finder.refusal(name), repr(name)[:80])
    return samples


def split_folders(path: Path) -> tuple[Path | None, Path | None]:
    """Folders of the training and validation images: `images/train`, `train/images` or `train`."""
    images = path / "images"
    train, val = (
        named_folder(images, SPLITS[split]) or named_folder(path, SPLITS[split]) for split in ("train", "val")
    )
    return train, (val if train else None)


def named_folder(path: Path, names: tuple[str, ...]) -> Path | None:
    """The first of the folders that is there; `Train` counts as `train` where no other folder but parts of a
    data set lies beside it: next to `Car` and `Bus` it is a class."""
    if found := next((path / name for name in names if (path / name).is_dir()), None):
        return found
    by_name = {name.lower(): path / name for name in folders_in(path)} if path.is_dir() else {}
    is_parted = by_name.keys() <= _PARTS
    return next((by_name[name] for name in names if name in by_name), None) if is_parted else None


def samples_below(folder: Path, class_name: str | None = None, root: Path | None = None) -> Iterator[Sample]:
    """Every image below a folder, in order of the path; `root` as for `walk`."""
    if not folder.is_dir():
        return
    for parent, names in _image_names_below(folder, root):
        labels = None if class_name else _folder_beside(parent, "labels")
        for name in names:
            stem, dot, ending = name.rpartition(".")
            yield Sample(
                stem=stem,
                folder=parent,
                endings=(sys.intern(dot + ending),),
                label_file=labels / f"{stem}.txt" if labels else None,
                class_name=class_name,
            )


def images_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder with an ending that Ultralytics takes, in order of the path."""
    return (parent / name for parent, names in _image_names_below(folder) for name in names)


def _image_names_below(folder: Path, root: Path | None = None) -> Iterator[tuple[Path, list[str]]]:
    for parent, _, files in walk(folder, root):
        names = [f for f in sorted(files) if f.rpartition(".")[2].lower() in FORMATS and f[0] != "."]
        if names:
            yield Path(parent), names


def yolo_sample(image: Path, class_name: str | None = None) -> Sample:
    """One image, with its label file where YOLO looks for it; of a class folder without one."""
    label_file = None if class_name else label_path(image)
    return Sample(
        stem=image.stem,
        folder=image.parent,
        endings=(image.suffix,),
        label_file=label_file,
        class_name=class_name,
    )


def label_path(image: Path) -> Path:
    """Where YOLO keeps an image's labels: the last folder `images` becomes `labels`, the ending `.txt`."""
    return path_beside(image.with_suffix(""), "labels", ".txt")


def path_beside(image: Path, folder: str, ending: str) -> Path:
    """What belongs to an image (without its ending): the last folder `images` of its path replaced."""
    return _folder_beside(image.parent, folder) / f"{image.name}{ending}"


def _folder_beside(images: Path, folder: str) -> Path:
    parts = list(images.parts)
    for i in range(len(parts) - 1, 0, -1):
        if parts[i] == "images":
            parts[i] = folder
            break
    return Path(*parts)
