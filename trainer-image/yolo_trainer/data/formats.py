"""Recognise what kind of data set a path holds and open it; the kind and the sign of it are reported.

A further format is one more branch here and a module that returns a `Source`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from yolo_crds.layout import DataVolume
from yolo_crds.training import Task

from ..errors import InvalidDataError
from .archive import is_archive, unpack
from .foreign import refuse_foreign, refuse_foreign_file
from .kinds import DEPTH, json_kind, kinds_in
from .links import links_below, refuse_links_out
from .parallel import Report
from .readers.annotated_folder import LABELME, LABELME_XML, VOC, AnnotatedFolder, FileFormat, files_below
from .readers.class_folders import class_folders, open_class_folders
from .readers.coco import open_coco
from .readers.darknet import SUFFIX, find_data, open_darknet
from .readers.dota import find_dota, may_be_labels, open_dota
from .readers.image_sets import set_of_list
from .readers.ndjson import find_platform, open_platform
from .readers.ucd import is_volume, split_source, ucd_source
from .readers.voc_masks import refuse_masks_alone
from .readers.yolo_folder import YAML_NAMES, open_yolo
from .skipped import Skipped
from .source import Source
from .task_fit import (
    check_class_folders,
    check_keypoints,
    check_kind,
    check_same_keypoints,
    kind_name,
    refuse_depth,
)
from .tree import Tree
from .wrapping import refuse_inner, unread_descriptions, without_wrapping

_LABELS_PEEKED = 50
_ANNOTATED = {
    "voc": (VOC, "an <annotation>"),
    "labelme": (LABELME, "`shapes` and `imagePath`"),
    "labelme-xml": (LABELME_XML, "an <annotation> of LabelMe 3.0"),
}
"""Kinds with a label file for each image, and what one is known by."""


@dataclass(frozen=True)
class _Opening:
    """What a data set is opened for."""

    tree: Tree
    task: Task
    skipped: Skipped
    field: str
    """That named it, as `template.data.train`."""
    take_crowds: bool = False
    """COCO's `iscrowd: 1` marks one object, as `template.data.crowd` says."""
    is_rest: bool = False
    """A file of the same data set was opened before, and holds what the task takes."""

    @property
    def volume(self) -> DataVolume:
        return self.tree.layout

    @property
    def root(self) -> Path:
        return self.tree.root


def open_source(
    path: Path,
    tree: Tree,
    volume: DataVolume,
    task: Task,
    skipped: Skipped,
    field: str,
    report: Report,
    *,
    take_crowds: bool = False,
) -> Source:
    """The data set at `path` in `tree`, of whichever kind it is; an archive is unpacked onto `volume`.

    Raises InvalidDataError when it is of no kind, of two kinds, or holds no labels for `task`.
    """
    refuse_depth(task)
    try:
        return _open(path, volume, _Opening(tree, task, skipped, field, take_crowds), report)
    except InvalidDataError as error:
        if error.message.startswith("template."):
            raise
        raise InvalidDataError(f"{field}: {error.message}", error.hint) from error


def _open(path: Path, volume: DataVolume, opening: _Opening, report: Report) -> Source:
    if not (path.is_dir() or path.is_file()):  # a pipe would be waited for without end
        raise InvalidDataError(f"{path} is neither a file nor a folder")
    if is_archive(path):
        folder = unpack(path, opening.tree, volume.unpacked, report)
        opening = replace(opening, tree=Tree(volume))
        found = _open_folder(folder, opening)
        return replace(found, tree=opening.tree, why=f"{found.why}, in the archive {path.name}")
    if path.is_file() and (opening.task == "classify" or not find_platform(path)):
        refuse_foreign_file(path, opening.field)
    found = _open_folder(path, opening) if path.is_dir() else _open_file(path, opening)
    return replace(found, tree=opening.tree)


def labels_of(source: Source) -> list[str]:
    """The labels that occur in a data set, the most frequent first; of label files the first few are read."""
    counts: dict[str, int] = {}
    peeked = 0
    for sample in source.samples:
        shapes = sample.shapes
        if sample.read_labels and sample.label_file and peeked < _LABELS_PEEKED:
            peeked += 1
            shapes = sample.read_labels(sample.label_file).shapes
        for shape in (one for one in shapes if one.label):
            counts[shape.label] = counts.get(shape.label, 0) + 1
    return sorted(counts, key=lambda label: (-counts[label], label))


def _open_file(path: Path, opening: _Opening) -> Source:
    ending = path.suffix.lower()
    if ending == ".uci":
        _check_task("ucd", path, opening)
        refuse_links_out((p for p in path.parent.iterdir() if p.stem == path.stem), opening.tree)
        found = split_source(path, _ucd_images(path, opening), opening.skipped)
        return replace(found, why=f"{path.name} is the first file of a split UCD data set")
    if is_volume(path):
        raise InvalidDataError(
            f"{opening.field}: {path.name} is a part of a split UCD data set; name {path.stem}.uci"
        )
    if find_platform(path):
        _check_task("ndjson", path, opening)
        return _checked(open_platform(path, opening.root, opening.skipped), opening)
    if ending == ".json":
        return _open_json(path, opening)
    if opening.task == "classify":
        check_class_folders(path.parent, class_folders(path.parent), opening.field)
        raise InvalidDataError(
            f"{opening.field}: {path.name} is a file; classification takes a folder with one folder a class"
        )
    if ending == ".xml":
        raise InvalidDataError(
            f"{opening.field}: {path.name} is the label file of one image; name its folder"
        )
    if folder := set_of_list(path):
        refuse_links_out(links_below(folder), opening.tree)
        if "voc" in kinds_in(folder, opening.task)[0]:
            return _open_annotated(folder, VOC, opening, f"{path.name} is a list of Pascal VOC", path)
        refuse_masks_alone(folder)
    if ending == SUFFIX:
        refuse_links_out(links_below(path.parent), opening.tree)
        return _checked(open_darknet(path, opening.root, opening.skipped), opening)
    return _checked(open_yolo(path, opening.volume, opening.task, opening.skipped), opening)


def _open_json(path: Path, opening: _Opening) -> Source:
    kind = json_kind(path)
    if kind == "coco":
        _check_task("coco", path, opening)
        return open_coco(
            path,
            opening.root,
            opening.task,
            opening.skipped,
            take_crowds=opening.take_crowds,
            is_rest=opening.is_rest,
        )
    if kind == "labelme":
        raise InvalidDataError(
            f"{opening.field}: {path.name} is LabelMe's label file of one image; name its folder"
        )
    _check_task("ucd", path, opening)
    return ucd_source(path, _ucd_images(path, opening), opening.skipped)


def _ucd_images(path: Path, opening: _Opening) -> Path:
    """An archive brings its images along; otherwise they are the volume's."""
    beside = path.parent / opening.volume.images.name
    return beside if beside.is_dir() else opening.volume.images


def _open_folder(path: Path, opening: _Opening) -> Source:
    refuse_links_out(links_below(path), opening.tree)
    path = without_wrapping(path, opening.task)
    if opening.task == "classify":
        return _open_class_folders(path, opening)
    if any((path / name).is_file() for name in YAML_NAMES):
        return _checked(open_yolo(path, opening.volume, opening.task, opening.skipped), opening)
    if darknet := find_data(path):
        return _open_file(darknet, opening)
    kinds, broken = kinds_in(path, opening.task)
    if len(kinds) > 1:
        names = " and ".join(f"{kind_name(kind)} ({files[0].name})" for kind, files in kinds.items())
        raise InvalidDataError(
            f"{opening.field}: {path} holds {names}; it is not guessed which of them is meant",
            "name the file of the data set, or give each kind a folder of its own",
        )
    match next(iter(kinds.items()), None):
        case ("coco", _) if broken:
            raise broken  # it may be the other part's file, whose loss nobody would notice
        case ("coco", files):
            return _open_coco_files(path, files, opening)
        case ("ucd", [file]):
            return _open_file(file, opening)
        case ("ucd", files):
            raise InvalidDataError(
                f"{opening.field}: {path} holds several UCD data sets; name one: {_some(files)}"
            )
        case (kind, [file, *_]):
            form, sign = _ANNOTATED[kind]
            return _open_annotated(path, form, opening, f"{file.name} has {sign}")
    return _open_rows(path, opening, broken)


def _open_rows(path: Path, opening: _Opening, broken: InvalidDataError | None) -> Source:
    """The data set in a folder of images and text files; `broken` is the fault of another file there."""
    if sign := find_dota(path):
        _check_task("dota", sign, opening)
        return open_dota(path, sign, opening.skipped)
    if not any(may_be_labels(file) for file in files_below(path, ".txt", DEPTH + 1)):
        if platform := find_platform(path):
            return _open_file(platform, opening)
        refuse_foreign(path, opening.field)
        if broken:
            raise broken  # without it the folder would pass as one of background images
    refuse_inner(path, opening.field)
    refuse_masks_alone(path)
    found = _checked(open_yolo(path, opening.volume, opening.task, opening.skipped), opening)
    if not found.samples:
        refuse_foreign(path, opening.field)
    return replace(found, warnings=[*found.warnings, *unread_descriptions(path)])


def _open_class_folders(path: Path, opening: _Opening) -> Source:
    kinds, _ = kinds_in(path, opening.task)
    for kind, files in kinds.items():
        _check_task(kind, files[0], opening)
    if sign := find_dota(path):
        _check_task("dota", sign, opening)
    check_class_folders(path, class_folders(path), opening.field)
    return open_class_folders(path)


def _open_annotated(
    path: Path, form: FileFormat, opening: _Opening, why: str, only: Path | None = None
) -> Source:
    _check_task(form.kind, path, opening)
    return AnnotatedFolder(path, form, opening.root, opening.task, opening.skipped).open(why, only)


def _open_coco_files(path: Path, files: list[Path], opening: _Opening) -> Source:
    """One source of the files for training and validation, told by their names or folders."""
    if len(files) == 1:
        return _open_file(files[0], opening)
    by_split: dict[str, list[Path]] = {}
    for file in files:
        by_split.setdefault(_split_of(file.relative_to(path)), []).append(file)
    train, val = by_split.get("train", []), by_split.get("val") or by_split.get("test") or []
    if len(train) != 1 or len(val) > 1:
        some = ", ".join(str(file.relative_to(path)) for file in files[:5])
        raise InvalidDataError(
            f"{opening.field}: {path} holds several COCO files ({some}) and their names do not tell which is "
            "for training",
            "name one file in template.data.train and one in template.data.val",
        )
    source = _open_file(train[0], opening)
    if not val:
        return source
    own_val = _open_file(val[0], replace(opening, is_rest=True))
    check_same_keypoints(source, own_val)
    return replace(
        source,
        own_val=own_val.samples,
        files=[*source.files, *own_val.files],
        warnings=[*source.warnings, *own_val.warnings],
    )


def _split_of(path: Path) -> str:
    text = str(path).lower()
    return next((split for split in ("train", "val", "test") if split in text), "other")


def _checked(source: Source, opening: _Opening) -> Source:
    check_keypoints(source, opening.task)
    return source


def _check_task(kind: str, path: Path, opening: _Opening) -> None:
    check_kind(kind, path, opening.task, opening.field)


def _some(files: list[Path]) -> str:
    return ", ".join(file.name for file in files[:5])
