"""Read folders with one annotation file an image: Pascal VOC and LabelMe, in the layouts that are about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from yolo_crds.training import Task

from ...errors import InvalidDataError
from ..image_finder import ImageFinder
from ..skipped import Skipped
from ..source import Labels, Sample, Source
from ..walk import walk
from . import labelme_xml
from .image_names import ImageNames, base_name
from .image_sets import FOLDER as LISTS
from .image_sets import ListedSplit, follow_image_sets, follow_list
from .labelme import image_of_labelme, read_labelme
from .labelme_xml import read_labelme_xml
from .voc import image_of_voc, read_voc
from .voc_masks import MASK_FOLDERS, masked_stems, refuse_masks
from .yolo_folder import images_below, split_folders

_LABEL_FOLDERS = ("Annotations", "annotations", "labels")
_IMAGE_FOLDERS = ("JPEGImages", "images", "Images")
_VOC_FOLDERS = ("Annotations", "JPEGImages")
_FIFTYONE_IMAGES = "data"
"""Beside `labels`."""


@dataclass(frozen=True)
class FileFormat:
    """A format that keeps the labels of each image in a file of their own."""

    kind: str
    suffix: str
    reader: Callable[[Task], Callable[[Path], Labels]]
    """How label files are read for a task."""
    image_name: Callable[[Path], str | None]
    """What a label file says that its image is called."""
    no_images: frozenset[str] = frozenset()
    """Folders whose pictures are none of the data set."""


VOC = FileFormat("voc", ".xml", lambda task: partial(read_voc, task=task), image_of_voc, MASK_FOLDERS)
LABELME = FileFormat("labelme", ".json", lambda _: read_labelme, image_of_labelme)
LABELME_XML = FileFormat(
    "labelme-xml", ".xml", lambda _: read_labelme_xml, image_of_voc, labelme_xml.NO_IMAGES
)


@dataclass(frozen=True)
class AnnotatedFolder:
    """A folder of one of these formats, and what it is opened for."""

    path: Path
    form: FileFormat
    root: Path
    """The volume's, resolved."""
    task: Task
    skipped: Skipped

    def open(self, why: str, only: Path | None = None) -> Source:
        """The data set in the folder, or of it the images that a list of VOC names.

        Training and validation images are told by folders (`train`, `valid` …) or by VOC's
        `ImageSets/Main`. Raises InvalidDataError for labels that do not fit the task.
        """
        if self.form.kind == VOC.kind:
            refuse_masks(self.path, self.task)
        split = self._by_list(only) if only else self._by_folders() or self._by_image_sets()
        masked = masked_stems(self.path) if self.form.kind == VOC.kind else frozenset()
        own_val = None if split.val is None else self._labelled(split.val, masked)
        return Source(
            kind=self.form.kind,
            path=only or self.path,
            samples=self._labelled(split.train, masked),
            own_val=own_val,
            files=[*split.files, *self._mask_files()],
            warnings=split.warnings,
            in_pixels=True,
            why=why,
        )

    def _by_list(self, only: Path) -> ListedSplit:
        images = _image_folder(self.path)
        return follow_list(only, self._read_part(images), images, self.skipped)

    def _by_folders(self) -> ListedSplit | None:
        """By folders called `train` and the like, here or among the images."""
        train, val = split_folders(self.path)
        if train is None and not (self.path / LISTS).is_dir():
            train, val = split_folders(_image_folder(self.path))
        if train is None:
            return None
        own_val = self._read_part(_image_folder(val)) if val else None
        return ListedSplit(self._read_part(_image_folder(train)), own_val)

    def _by_image_sets(self) -> ListedSplit:
        """By VOC's lists; without any all images are for training."""
        if self.form.kind == VOC.kind:
            _refuse_inner(self.path)
        images = _image_folder(self.path)
        return follow_image_sets(self.path, self._read_part(images), images, self.skipped)

    def _labelled(self, samples: list[Sample], masked: frozenset[str]) -> list[Sample]:
        """Without the images whose only labels are masks, which are not read: they are no backgrounds, as
        others without a label file are."""
        kept = []
        for sample in samples:
            if sample.label_file is None and sample.stem in masked:
                self.skipped.add("unreadMask", sample.stem)
                continue
            if sample.label_file is None:
                self.skipped.add("noLabelFile", f"{sample.stem}{sample.endings[0]}")
            kept.append(sample)
        return kept

    def _mask_files(self) -> list[Path]:
        """Pictures that are read with the label files: a change of them is one of the labels."""
        if self.form.kind != LABELME_XML.kind:
            return []
        return [file for file in files_below(self.path, ".png") if labelme_xml.MASKS in file.parts]

    def _read_part(self, images: Path) -> list[Sample]:
        """Every image with the label file of its name; the other label files with the image that they
        name."""
        form = self.form
        labels = self._label_folder(images)
        left = dict.fromkeys(files_below(labels, form.suffix))
        by_label: dict[Path, list[Path]] = {}
        for image in images_below(images):
            if form.no_images.isdisjoint(image.relative_to(images).parts[:-1]):
                label_file = (labels / image.relative_to(images)).with_suffix(form.suffix)
                by_label.setdefault(label_file, []).append(image)
        label_files: dict[Path, Path | None] = {}
        for label_file, same_name in by_label.items():
            label_files |= dict.fromkeys(same_name)
            if label_file in left:
                del left[label_file]
                label_files[self._meant(label_file, same_name)] = label_file
        finder = ImageFinder(self.root, [labels, images, self.path], self.skipped)
        named = ImageNames(finder, label_files)
        elsewhere = self._stems_of_other_parts(labels, images)
        for label_file in left:
            name = form.image_name(label_file) or label_file.stem
            image_file = named.find(name, label_file)
            if image_file not in label_files and label_file.stem in elsewhere:
                continue
            if image_file is None:
                self.skipped.add(finder.refusal(name), repr(name)[:80])
            elif label_files.get(image_file):
                self.skipped.add("furtherLabels", str(label_file.relative_to(labels)))
            else:
                label_files[image_file] = label_file
        if labels != images:
            self._add_beside(label_files, labels, images)
        read = form.reader(self.task)
        return [_sample(image, found, read) for image, found in label_files.items()]

    def _add_beside(self, label_files: dict[Path, Path | None], labels: Path, images: Path) -> None:
        """Adds the label files that lie beside their images though there is a folder for them: of images that
        have none there."""
        beside = {file for file in files_below(images, self.form.suffix) if not file.is_relative_to(labels)}
        for image, label_file in label_files.items():
            if (own := image.with_suffix(self.form.suffix)) not in beside:
                continue
            if label_file is None:
                label_files[image] = own
            elif self._is_of_form(own):
                self.skipped.add("furtherLabels", str(own.relative_to(self.path)))

    def _is_of_form(self, file: Path) -> bool:
        try:
            self.form.image_name(file)
        except InvalidDataError:
            return False
        return True

    def _stems_of_other_parts(self, labels: Path, images: Path) -> frozenset[str]:
        """Names without endings of all images, where one folder has the label files of training, validation
        and test images: those of the others are no lost ones."""
        is_shared = labels.parent == self.path and images not in (self.path, _image_folder(self.path))
        return frozenset(image.stem for image in images_below(self.path)) if is_shared else frozenset()

    def _meant(self, label_file: Path, images: list[Path]) -> Path:
        """Of images that differ in their endings alone the one that their label file names."""
        name = base_name(self.form.image_name(label_file) or "") if len(images) > 1 else ""
        return next((image for image in images if image.name == name), images[0])

    def _label_folder(self, images: Path) -> Path:
        """Where the label files of a folder of images lie: beside them unless a folder for them has some."""
        path = self.path
        within = [
            images.relative_to(path / name) for name in _IMAGE_FOLDERS if images.is_relative_to(path / name)
        ]
        candidates = [
            *(path / name / inner for inner in within for name in _LABEL_FOLDERS),
            *(images.parent / name for name in _LABEL_FOLDERS if images != path),
            *(images / name for name in _LABEL_FOLDERS),
        ]
        if images.parent in (path / name for name in _IMAGE_FOLDERS) and not self._has_labels(images):
            candidates += [path / name for name in _LABEL_FOLDERS]  # of all its folders together
        return next((folder for folder in candidates if self._has_labels(folder)), images)

    def _has_labels(self, folder: Path) -> bool:
        return next(files_below(folder, self.form.suffix), None) is not None


def _image_folder(folder: Path) -> Path:
    """Where the images lie that the label files beside that folder are for."""
    names = list(_IMAGE_FOLDERS)
    if (folder / "labels").is_dir():
        names.append(_FIFTYONE_IMAGES)
    return next((folder / name for name in names if (folder / name).is_dir()), folder)


def _refuse_inner(folder: Path) -> None:
    """Raises InvalidDataError for a folder with data sets of Pascal VOC in it, as VOCdevkit is: their lists
    would not be followed."""
    if (folder / "Annotations").is_dir():
        return
    inner = sorted(p.name for p in folder.iterdir() if all((p / n).is_dir() for n in _VOC_FOLDERS))
    if inner:
        raise InvalidDataError(
            f"{folder} is no data set of Pascal VOC itself, but there is {', '.join(inner[:3])} in it",
            f"name one of them, such as {folder.name}/{inner[0]}",
        )


def files_below(folder: Path, suffix: str, depth: int = 64) -> Iterator[Path]:
    """Files of an ending, in order of the path, hidden ones left out; `depth` 0 looks into no subfolder."""
    for parent, folders, files in walk(folder):
        if len(Path(parent).relative_to(folder).parts) >= depth:
            folders.clear()
        for file in sorted(files):
            found = Path(parent, file)
            # A pipe of that name would be waited for without end.
            if file.lower().endswith(suffix) and not file.startswith(".") and found.is_file():
                yield found


def _sample(image: Path, label_file: Path | None, read: Callable[[Path], Labels]) -> Sample:
    return Sample(
        stem=image.stem,
        folder=image.parent,
        endings=(image.suffix,),
        label_file=label_file,
        read_labels=read,
    )
