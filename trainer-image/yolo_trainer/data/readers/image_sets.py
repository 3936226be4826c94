"""The lists of Pascal VOC that tell training and validation images: `ImageSets/Main/train.txt` and the like.

A line is the name of an image without its ending. Beside them lie lists of classes (`cat_train.txt`), whose
lines end in 1, 0 or -1 and hold every image: they tell no split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import InvalidDataError
from ..skipped import Skipped
from ..source import Sample
from ..text_file import read_lines

FOLDER = "ImageSets"
_MAIN = "Main"
_TRAIN = ("train", "trainval")
_VAL = ("val", "valid", "test")
_FLAGS = frozenset({"1", "0", "-1"})


@dataclass
class ListedSplit:
    """What the lists of a data set make of its images."""

    train: list[Sample]
    val: list[Sample] | None = None
    files: list[Path] = field(default_factory=list)
    """The lists that are followed."""
    warnings: list[str] = field(default_factory=list)


def set_of_list(file: Path) -> Path | None:
    """The folder of the data set whose list a text file is (`<folder>/ImageSets/Main/train.txt`); None for
    another file."""
    is_list = file.suffix.lower() == ".txt" and file.parent.parent.name == FOLDER
    return file.parent.parent.parent if is_list else None


def follow_list(file: Path, samples: Sequence[Sample], images: Path, skipped: Skipped) -> ListedSplit:
    """The images that a list names; raises InvalidDataError for one of a class."""
    names = _Names(samples, images)
    lines = _lines(file)
    if _is_of_class(file, lines, names):
        raise InvalidDataError(
            f"{file} is the list of a class: it holds each image with 1 or -1",
            "name the list of a split, such as train.txt; its classes come from the label files",
        )
    return ListedSplit(names.pick(file, lines, skipped), files=[file])


def follow_image_sets(path: Path, samples: Sequence[Sample], images: Path, skipped: Skipped) -> ListedSplit:
    """The split that the folder `ImageSets/Main` tells, if there is one; images in no list are left out.

    Training images are those of `train.txt` (else of `trainval.txt` but for those of val, else of the only
    list, as CVAT's `default.txt`), validation images those of `val.txt`, else of `test.txt`.
    """
    folder, names = path / FOLDER / _MAIN, _Names(samples, images)
    lists = {file.stem: _lines(file) for file in sorted(folder.glob("*.txt")) if file.is_file()}
    lists = {k: v for k, v in lists.items() if not _is_of_class(folder / f"{k}.txt", v, names)}
    train = next((name for name in _TRAIN if name in lists), None)
    val = next((name for name in _VAL if name in lists), None)
    if train is None and len(lists) == 1 and val is None:
        train = next(iter(lists))
    if train is None:
        found = ", ".join(f"{name}.txt" for name in lists)
        told = [f"{FOLDER}/{_MAIN} has {found} and no train.txt: all images are taken"] if lists else []
        told += [
            f"{list_} lies outside of {FOLDER}/{_MAIN} and is not followed: all images are taken"
            for list_ in _lists_elsewhere(path)
        ]
        return ListedSplit(list(samples), warnings=told)
    chosen = names.pick(folder / f"{train}.txt", lists[train], skipped)
    own_val = names.pick(folder / f"{val}.txt", lists[val], skipped) if val else None
    taken = {id(sample) for sample in own_val or ()}
    if train == "trainval":
        chosen = [sample for sample in chosen if id(sample) not in taken]
    taken |= {id(sample) for sample in chosen}
    for sample in samples:
        if id(sample) not in taken:
            skipped.add("unlistedImage", sample.stem)
    return ListedSplit(chosen, own_val, [folder / f"{name}.txt" for name in (train, val) if name])


def _lists_elsewhere(path: Path) -> list[str]:
    """Lists called as those of a split that lie in the data set's folder, in `ImageSets` itself or in another
    folder of it than `Main` (`Segmentation`, `main`); in whatever case that is written."""
    tops = [top for top in sorted(path.iterdir()) if top.name.lower() == FOLDER.lower() and top.is_dir()]
    inner = [folder for top in tops for folder in sorted(top.iterdir()) if folder.is_dir()]
    folders = [folder for folder in (path, *tops, *inner) if folder != path / FOLDER / _MAIN]
    lists = [folder / f"{name}.txt" for folder in folders for name in (*_TRAIN, *_VAL)]
    return [str(file.relative_to(path)) for file in lists if file.is_file()]


class _Names:
    """Finds samples by what lists call them: without ending or with it, by name or by the path among the
    images."""

    def __init__(self, samples: Sequence[Sample], images: Path) -> None:
        self._found: dict[str, list[Sample]] = {}
        for sample in samples:
            names = {sample.stem, f"{sample.stem}{sample.endings[0]}"}
            if sample.folder.is_relative_to(images.parent):
                for base in (images, images.parent):
                    if sample.folder.is_relative_to(base):
                        inner = sample.folder.relative_to(base)
                        names |= {str(inner / sample.stem), str(inner / f"{sample.stem}{sample.endings[0]}")}
            for name in names:
                self._found.setdefault(name, []).append(sample)

    def __getitem__(self, line: str) -> list[Sample]:
        """The images of a line; blanks may be of the name (Datumaro then quotes it), or before a flag."""
        plain = line.replace("\\", "/").removeprefix("./")
        if plain.startswith('"') and '"' in plain[1:]:
            plain = plain[1 : plain.rindex('"')]
        if found := self._found.get(plain):
            return found
        name, _, flag = plain.rpartition(" ")
        if flag in _FLAGS and (found := self._found.get(name.rstrip())):
            return found
        by_file = self._found.get(plain.rpartition("/")[2], [])  # a path of another machine
        return by_file if len(by_file) == 1 else []

    def is_name(self, line: str) -> bool:
        """Whether the whole line is an image's name."""
        return line in self._found

    def pick(self, file: Path, lines: Sequence[str], skipped: Skipped) -> list[Sample]:
        """The images of a list, each once, in their own order of the data set; the others are counted."""
        chosen: dict[int, Sample] = {}
        for line in lines:
            found = self[line]
            if not found:
                skipped.add("listedMissing", f"{line[:80]} in {file.name}")
            chosen |= {id(sample): sample for sample in found}
        return list(chosen.values())


def _lines(file: Path) -> list[str]:
    return [line.strip().replace("\t", " ") for line in read_lines(file) if line.strip()]


def _is_of_class(file: Path, lines: Sequence[str], names: _Names) -> bool:
    """Whether a list is one of a class: of a name such as `cat_train`, each line with a flag."""
    return (
        "_" in file.stem
        and bool(lines)
        and all(
            line.rpartition(" ")[2] in _FLAGS and " " in line and not names.is_name(line) for line in lines
        )
    )
