"""Read folders with one annotation file an image: Pascal VOC and LabelMe, in the layouts that are about."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..image_finder import ImageFinder
from ..skipped import Skipped
from ..source import Labels, Sample, Source
from ..text_file import read_lines
from .labelme import image_of_labelme, read_labelme
from .voc import image_of_voc, read_voc
from .yolo_folder import images_below, split_folders

_LABEL_FOLDERS = ("Annotations", "annotations", "labels")
_IMAGE_FOLDERS = ("JPEGImages", "images")


@dataclass(frozen=True)
class FileFormat:
    """A format that keeps the labels of each image in a file of their own."""

    kind: str
    suffix: str
    read: Callable[[Path], Labels]
    image_name: Callable[[Path], str | None]
    """What a label file says that its image is called."""


VOC = FileFormat("voc", ".xml", read_voc, image_of_voc)
LABELME = FileFormat("labelme", ".json", read_labelme, image_of_labelme)


def open_annotated(path: Path, form: FileFormat, root: Path, skipped: Skipped, why: str) -> Source:
    """The data set in a folder; `root` is the volume's resolved root.

    Training and validation images are told by folders (`train`, `valid` …) or by VOC's `ImageSets/Main`.
    """
    train, val = split_folders(path)
    if train is not None:
        samples = _read_part(path, train, form, root, skipped)
        own_val = _read_part(path, val, form, root, skipped) if val else None
    else:
        images = next((path / n for n in _IMAGE_FOLDERS if (path / n).is_dir()), path)
        samples, own_val = _by_image_sets(path, _read_part(path, images, form, root, skipped))
    return Source(kind=form.kind, path=path, samples=samples, own_val=own_val, in_pixels=True, why=why)


def files_below(folder: Path, suffix: str, depth: int = 64) -> Iterator[Path]:
    """Files of an ending, in order of the path, hidden ones left out; `depth` 0 looks into no subfolder."""
    for parent, folders, files in os.walk(folder):
        here = len(Path(parent).relative_to(folder).parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if here < depth else []
        for file in sorted(files):
            found = Path(parent, file)
            # A pipe of that name would be waited for without end.
            if file.lower().endswith(suffix) and not file.startswith(".") and found.is_file():
                yield found


def _read_part(path: Path, images: Path, form: FileFormat, root: Path, skipped: Skipped) -> list[Sample]:
    """Every image with the label file of its name; the other label files with the image that they name."""
    labels = _label_folder(path, images, form)
    left = dict.fromkeys(files_below(labels, form.suffix))
    label_files: dict[Path, Path | None] = {}
    for image in images_below(images):
        label_file = (labels / image.relative_to(images)).with_suffix(form.suffix)
        label_files[image] = label_file if label_file in left else None
        left.pop(label_file, None)
    finder = ImageFinder(root, [labels, images, path])
    for label_file in left:
        name = form.image_name(label_file) or label_file.stem
        image_file = finder.find(name) or finder.find(name.replace("\\", "/").rpartition("/")[2])
        if image_file is None:
            skipped.add("unsafeName", repr(name)[:80])
        elif label_files.get(image_file):
            skipped.add("strayLabel", label_file.name)
        else:
            label_files[image_file] = label_file
    for image, found in label_files.items():
        if found is None:
            skipped.add("noLabelFile", image.name)
    return [_sample(image, found, form) for image, found in label_files.items()]


def _sample(image: Path, label_file: Path | None, form: FileFormat) -> Sample:
    return Sample(
        stem=image.stem,
        folder=image.parent,
        endings=(image.suffix,),
        label_file=label_file,
        read_labels=form.read,
    )


def _label_folder(path: Path, images: Path, form: FileFormat) -> Path:
    """Where the label files of a folder of images lie: beside them unless a folder for them has some."""
    within = [
        images.relative_to(path / name) for name in _IMAGE_FOLDERS if images.is_relative_to(path / name)
    ]
    candidates = [
        *(path / name / inner for inner in within for name in _LABEL_FOLDERS),
        *(images.parent / name for name in _LABEL_FOLDERS if images != path),
        *(images / name for name in _LABEL_FOLDERS),
    ]
    return next((c for c in candidates if next(files_below(c, form.suffix), None)), images)


def _by_image_sets(path: Path, samples: list[Sample]) -> tuple[list[Sample], list[Sample] | None]:
    """Pascal VOC lists the names of training and validation images in text files."""
    lists = [path / "ImageSets" / "Main" / f"{split}.txt" for split in ("train", "val")]
    if not all(file.is_file() for file in lists):
        return samples, None
    train, val = ({line.split()[0] for line in read_lines(file) if line.strip()} for file in lists)
    return [s for s in samples if s.stem in train], [s for s in samples if s.stem in val]
