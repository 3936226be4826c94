"""Read the files of located samples: images are verified, labels become the lines of the prepared set.

Done wherever there is a CPU, so what goes in and comes out is small and can be pickled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ..errors import InvalidDataError, from_os_error
from .convert import LabelFile, Target, row_lines, shape_lines
from .images import CorruptImageError, ImageFacts, ignore_bomb_warnings, verify_image
from .locate import Located
from .masks import Mask, MaskRule, build_rule, read_mask
from .skipped import Skipped
from .source import Sample, Source
from .text_file import decode

_MAX_LABEL_BYTES = 16 << 20


class Inspected(NamedTuple):
    """A sample whose files were read; `problem` says why it cannot be used."""

    split: str
    stem: str
    class_name: str | None
    facts: ImageFacts | None = None
    text: str = ""
    """Its label file in the prepared set."""
    mask: Mask | None = None
    """What it has in place of a label file, where the data set has class masks."""
    skipped: Skipped | None = None
    """What of its labels was left out or mended, if anything."""
    problem: str | None = None
    """A kind of `Skipped`, such as `corruptImage`."""
    detail: str = ""

    @property
    def shown(self) -> str:
        """Its name for people, with the class that it stands for: names are unique within one alone."""
        return f"{self.class_name}/{self.stem}" if self.class_name else self.stem


@dataclass(frozen=True)
class Conversion:
    """How the labels of one source become those of the prepared set."""

    target: Target
    in_pixels: bool
    """Labels are shapes, as in `Source.in_pixels`."""
    remap: Sequence[int | None]
    """The target's class index by the source's, for rows of YOLO; None: left out."""
    names: Sequence[str]
    """The source's class names by index."""
    mask_rule: MaskRule | None = None
    """What the ids of class masks become, where there are any."""
    hidden: tuple[str, ...] = ()
    """Folders that people need not be told of: label files are shown relative to them."""

    def text(self, sample: Sample, rows: str | None, facts: ImageFacts, skipped: Skipped) -> str:
        """The label file of a sample: of its shapes, or of the `rows` of its own label file."""
        lines: Sequence[str] = ()
        if self.in_pixels:
            lines = shape_lines(sample, (facts.width, facts.height), self.target, skipped)
        elif rows is not None:
            file = LabelFile(rows, self.shown(sample.label_file), (facts.width, facts.height))
            lines = row_lines(file, self.remap, self.target, skipped, self.names)
        return "".join(f"{line}\n" for line in lines)

    def mask(self, located: Located, facts: ImageFacts, skipped: Skipped) -> Mask | None:
        """The class mask of a sample, if it has one; raises what `masks.read_mask` does."""
        if located.mask_file is None or self.mask_rule is None:
            return None
        path, (size, *_) = located.mask_file
        mask = read_mask(Path(path), size, (facts.width, facts.height), self.mask_rule, self.shown(path))
        for name in mask.unlisted:
            skipped.add("ignoredClass", f"{name} in {located.sample.stem}")
        return mask

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
        by_split[split] = Conversion(
            target=target,
            in_pixels=source.in_pixels,
            remap=_remap(source, target),
            names=names,
            mask_rule=build_rule(source.mask_ids, names, target.names) if has_masks else None,
            hidden=(str(source.tree.root), str(source.tree.layout.root)),
        )
    return by_split


def _remap(source: Source, target: Target) -> list[int | None]:
    """The target's class index by the source's."""
    if source.names is None:
        return list(range(len(target.names)))
    index = target.index
    return [index.get(name) for name in source.names]


def _has_masks(located: Sequence[Located]) -> bool:
    """Whether classes are told by masks, as some data sets for semantic segmentation do."""
    masked = {one.mask_file is not None for one in located if one.facts and not one.problem}
    if len(masked) > 1:
        raise InvalidDataError(
            "template.data: of training and validation data one has class masks and the other has not",
            "give both masks, or both polygons",
        )
    return True in masked


@dataclass(frozen=True)
class Inspection:
    """Reads chunks of samples; called in threads or in processes."""

    decode: bool
    """Images are decoded whole; otherwise their header is read."""
    by_split: Mapping[str, Conversion] = field(default_factory=dict)

    def __call__(self, chunk: list[Located]) -> list[Inspected]:
        """One result for each sample. Raises InvalidDataError, or what `from_os_error` makes of a fault."""
        ignore_bomb_warnings()
        return [self._inspect(located) for located in chunk]

    def _inspect(self, located: Located) -> Inspected:
        sample, facts = located.sample, located.facts
        found = Inspected(
            located.split,
            sample.stem,
            sample.class_name,
            problem=located.problem,
            detail=located.detail,
        )
        if facts is None or located.problem:
            return found
        conversion, skipped = self.by_split[located.split], Skipped()
        problem = "corruptImage"
        try:
            if not facts.sha256:
                facts = verify_image(facts, decode=self.decode)
            problem = "corruptMask"
            mask = conversion.mask(located, facts, skipped)
            rows = _rows(located, conversion.shown(sample.label_file))
            text = conversion.text(_with_labels(located), rows, facts, skipped)
        except CorruptImageError as error:
            return found._replace(problem=problem, detail=str(error))
        except FileNotFoundError:
            return found._replace(problem="missingImage")
        except OSError as error:
            raise from_os_error(error, facts.path, "read") from error
        return found._replace(facts=facts, text=text, mask=mask, skipped=skipped if skipped.counts else None)


def _with_labels(located: Located) -> Sample:
    """The sample with the shapes of its label file, where that is read into shapes."""
    sample = located.sample
    if sample.label_file is None or located.label_stat is None or sample.read_labels is None:
        return sample
    labels = sample.read_labels(sample.label_file)
    return replace(sample, shapes=labels.shapes, size=labels.size)


def _rows(located: Located, shown: str) -> str | None:
    """The text of a label file that holds rows of YOLO; people are `shown` it by this path."""
    path = located.sample.label_file
    if path is None or located.label_stat is None or located.sample.read_labels is not None:
        return None
    if located.label_stat[0] > _MAX_LABEL_BYTES:
        raise InvalidDataError(f"{shown} is larger than {_MAX_LABEL_BYTES} bytes")
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of `read_text`
        return decode(file.read(), shown)
