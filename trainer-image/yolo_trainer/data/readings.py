"""What the labels of one image become in a prepared set: of shapes, of rows of YOLO, or of a class mask; in
either of two frames where nothing yet tells which is meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ..errors import InvalidDataError
from .convert import Lines, Target, are_parts, row_lines, shape_lines
from .frames import Evidence, frame_of_masks, frame_of_size, in_stored, in_upright, look
from .images import ImageFacts
from .label_file import LabelFile
from .locate import Located
from .masks import Mask, MaskRule, build_rule, mask_size, read_mask
from .skipped import Skipped
from .source import Sample, Source

_FILES_BESIDE = 200  # label files that are looked at to say what is wrong in one
_BYTES_BESIDE = 1 << 16


class Reading(NamedTuple):
    """What the labels of one image are in a prepared set."""

    text: str = ""
    """Its label file."""
    mask: Mask | None = None
    """What it has in place of a label file, where the data set has class masks."""
    skipped: Skipped | None = None
    """What of its labels was left out or mended, if anything."""
    lost: str = ""
    """Why none of its labels of listed classes is left; empty when one is, or when it had none."""
    is_marked: bool = False
    """Whether none is left since their annotator marked all of them as not to be learnt from."""


class TwoWays(NamedTuple):
    """Labels that may count in one of two frames (`frames`): which is known once all images were read."""

    evidence: Evidence
    stored: Reading
    """What they are in the stored frame; `Inspected.reading` takes them as upright."""
    is_turned: bool = True
    """An EXIF tag turns the image; otherwise its labels only give width and height the other way round."""


@dataclass(frozen=True)
class Conversion:
    """How the labels of one source become those of the prepared set."""

    target: Target
    in_pixels: bool
    """Labels are shapes, as in `Source.in_pixels`."""
    remap: Mapping[int, int | None]
    """The target's class index by the source's, for rows of YOLO; None: left out."""
    names: Mapping[int, str]
    """The source's class names by index."""
    mask_rule: MaskRule | None = None
    """What the ids of class masks become, where there are any."""
    field: str = ""
    """What named the images, as `template.data.val`."""
    hidden: tuple[str, ...] = ()
    """Folders that people need not be told of: label files are shown relative to them."""

    def read_shapes(self, sample: Sample, facts: ImageFacts) -> tuple[Reading, TwoWays | None]:
        """The label file of a sample whose labels are shapes."""
        if are_parts(sample.shapes):
            return self._unusable(sample, facts, "notPixels"), None
        frame = frame_of_size(sample.size, facts)
        if frame == "other":
            return self._wrong_size(sample, facts), None
        if facts.orientation > 1 and (told := frame_of_masks(sample, facts)):
            read_in = in_stored if told == "stored" else in_upright
            reading = self._of_shapes(read_in(sample, facts), facts)
            return reading, TwoWays(Evidence(told, told), reading)
        reading = self._of_shapes(in_upright(sample, facts), facts)
        if not sample.shapes or (facts.orientation == 1 and frame != "stored"):
            return reading, None
        evidence = look(sample, facts)
        if facts.orientation == 1:
            return reading, TwoWays(evidence, self._wrong_size(sample, facts), is_turned=False)
        return reading, TwoWays(evidence, self._of_shapes(in_stored(sample, facts), facts))

    def read_rows(self, sample: Sample, rows: str, facts: ImageFacts) -> tuple[Reading, TwoWays | None]:
        """The label file of a sample that has its own, with rows of YOLO: parts of an edge fit any frame."""
        skipped = Skipped()
        beside = partial(_texts_beside, sample.label_file)
        file = LabelFile(rows, self.shown(sample.label_file), facts.upright, beside)
        lines = row_lines(file, self.remap, self.target, skipped, self.names)
        reading = _reading(lines, skipped, sample, facts)
        is_open = facts.orientation > 1 and reading.text
        return reading, TwoWays(Evidence(), reading) if is_open else None

    def read_mask(self, located: Located, facts: ImageFacts) -> tuple[Reading, TwoWays | None]:
        """The class mask of a sample that has one; raises what `masks.read_mask` does."""
        if facts.orientation == 1:
            return self._of_mask(located, facts), None
        size = mask_size(Path(located.mask_file[0])) if located.mask_file else facts.upright
        if facts.stored == facts.upright or size not in (facts.stored, facts.upright):
            upright = self._of_mask(located, facts)
            return upright, TwoWays(Evidence(), self._of_mask(located, facts, facts.orientation))
        if size == facts.upright:
            reading = self._of_mask(located, facts)
            return reading, TwoWays(Evidence("upright", "upright"), reading)
        reading = self._of_mask(located, facts, facts.orientation)
        return reading, TwoWays(Evidence("stored", "stored"), reading)

    def _of_shapes(self, sample: Sample, facts: ImageFacts) -> Reading:
        """Of shapes in an upright image of `sample.size`."""
        skipped, size = Skipped(), sample.size or facts.upright
        if size != facts.upright:
            skipped.add("sizeMismatch", sample.stem)
        for kind, name in sample.notes:
            skipped.add(kind, name)
        return _reading(shape_lines(sample, size, self.target, skipped), skipped, sample, facts)

    def _wrong_size(self, sample: Sample, facts: ImageFacts) -> Reading:
        """Of shapes in a size that the image has in no frame: where in it they lie is not known."""
        width, height = (f"{v:g}" for v in sample.size or ())
        sizes = f"{width} x {height} in the labels, {facts.width} x {facts.height} in the file"
        return self._unusable(sample, facts, "otherSize", f" ({sizes})")

    def _unusable(self, sample: Sample, facts: ImageFacts, kind: str, detail: str = "") -> Reading:
        """Of shapes that cannot be placed in the image, counted as a kind of `Skipped`."""
        skipped = Skipped()
        found = shape_lines(sample, sample.size or facts.upright, self.target, skipped)
        if found.labelled == found.marked:
            return _reading(found._replace(lines=[]), skipped, sample, facts)
        skipped = Skipped(unknown=skipped.unknown, unused={shape.label for shape in sample.shapes})
        if skipped.unknown:
            skipped.counts["unknownLabel"] = skipped.unknown.total()
        skipped.add(kind, f"{sample.stem}{detail}")
        return _reading(Lines([], found.labelled), skipped, sample, facts)

    def _of_mask(self, located: Located, facts: ImageFacts, orientation: int = 1) -> Reading:
        assert located.mask_file is not None, "asked for where there are masks"
        assert self.mask_rule is not None, "built where there are masks"
        path, (size, *_) = located.mask_file
        skipped = Skipped()
        mask = read_mask(Path(path), size, facts.upright, self.mask_rule, self.shown(path), orientation)
        for name in mask.unlisted:
            skipped.add("ignoredClass", f"{name} in {located.sample.stem}")
        return Reading(mask=mask, skipped=skipped if skipped.counts else None)

    def shown(self, file: Path | str | None) -> str:
        """A path as people know it."""
        path = str(file)
        for folder in self.hidden:
            path = path.removeprefix(f"{folder}/")
        return path


def build_conversions(
    sources: Mapping[str, Source], target: Target, located: Sequence[Located]
) -> dict[str, Conversion]:
    """By split, of the sources `train` and, if there is one, `val`.

    Raises InvalidDataError when only one of the two tells classes by masks.
    """
    by_split = {}
    has_masks = _has_masks(located)
    for split in ("train", "val"):
        source = sources.get(split, sources["train"])
        names = source.names or target.names
        by_id = dict(zip(source.ids or range(len(names)), names, strict=True))
        by_split[split] = Conversion(
            target=target,
            in_pixels=source.in_pixels,
            remap={i: target.index.get(name) for i, name in by_id.items()},
            names=by_id,
            mask_rule=build_rule(source.mask_ids, names, target.names) if has_masks else None,
            field=f"template.data.{split if split in sources else 'train'}",
            hidden=(str(source.tree.root), str(source.tree.layout.root)),
        )
    return by_split


def _has_masks(located: Sequence[Located]) -> bool:
    """Whether classes are told by masks, as some data sets for semantic segmentation do."""
    masked = {one.mask_file is not None for one in located if one.facts and not one.problem}
    if len(masked) > 1:
        raise InvalidDataError(
            "template.data: of training and validation data one has class masks and the other has not",
            "give both masks, or both polygons",
        )
    return True in masked


def _reading(found: Lines, skipped: Skipped, sample: Sample, facts: ImageFacts) -> Reading:
    """Lines are sorted: the order that tools write labels in means nothing (Ultralytics draws overlapping
    outlines by their area), and is to change neither a set nor its hash.
    """
    skipped.rename(sample.stem, facts.path)
    is_lost = found.labelled and not found.lines
    return Reading(
        text="".join(f"{line}\n" for line in sorted(found.lines)),
        skipped=skipped if skipped.counts else None,
        lost=", ".join(skipped.reasons()) if is_lost else "",
        is_marked=bool(is_lost) and found.marked == found.labelled,
    )


def _texts_beside(path: Path | None) -> Iterator[str]:
    """The first label files in the folder of one, each as far as it tells what its rows are."""
    for file in islice(path.parent.glob("*.txt"), _FILES_BESIDE) if path else ():
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as stream:
                yield stream.read(_BYTES_BESIDE).decode("utf-8", "replace")
