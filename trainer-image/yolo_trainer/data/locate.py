"""Find and read the files of a data set's samples, in parallel: images first by `stat`, then by content."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..cgroup import cpus
from ..errors import InvalidDataError, from_os_error
from .images import FORMATS, CorruptImageError, ImageFacts, Report, map_parallel, verify_image
from .masks import Mask, MaskRule, read_mask
from .skipped import Skipped
from .source import Sample
from .tree import UNTOLD, State, Tree

_MAX_LABEL_BYTES = 16 << 20


@dataclass(frozen=True)
class Located:
    """A sample whose files were looked up; `problem` says why it cannot be used."""

    split: str
    sample: Sample
    facts: ImageFacts | None = None
    label_stat: State | None = None
    """Of the label file; None when there is none."""
    label_text: str | None = None
    mask_file: tuple[str, State] | None = None
    """Path and state of the mask, where the sample has one."""
    mask: Mask | None = None
    problem: str | None = None
    """A kind of `Skipped`, such as `missingImage`."""
    detail: str = ""

    def state(self) -> list[object]:
        """What tells whether a second look would find the same; no file is opened for it."""
        facts = self.facts
        image = [facts.path, *facts.state] if facts else None
        return [self.split, self.sample.stem, image, self.label_stat, self.mask_file, self.problem]

    @property
    def is_told(self) -> bool:
        """Whether the state tells that; otherwise the files must be read."""
        mask = self.mask_file[1] if self.mask_file else None
        states = (self.facts.state if self.facts else None, self.label_stat, mask)
        return all(state is None or state[-1] != UNTOLD for state in states)


def locate(split: str, sample: Sample, tree: Tree) -> Located:
    """Looks up image and label file in a tree, without opening them."""
    if not _is_file_name(sample.stem):
        return Located(split, sample, problem="unsafeName")
    for ending in sample.endings:
        candidate = sample.folder / f"{sample.stem}{ending}"
        try:
            found = candidate.stat()
            path = candidate.resolve(strict=True)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise from_os_error(error, candidate, "read") from error
        if not path.is_relative_to(tree.root):
            return Located(split, sample, problem="outsideVolume")
        if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for without end
            return Located(split, sample, problem="noFile")
        facts = ImageFacts(str(path), *tree.state(found))
        if sample.mask_file is None:
            return Located(split, sample, facts, _label_stat(sample, tree))
        mask_file = _find_mask(sample.mask_file, tree)
        return Located(
            split, sample, facts, mask_file=mask_file, problem=None if mask_file else "missingMask"
        )
    return Located(split, sample, problem="missingImage")


def inspect(located: Located, known: Mapping[str, ImageFacts]) -> Located:
    """Reads what `locate` found: the image (unless it is `known` unchanged) and the label text."""
    facts = located.facts
    if facts is None or located.problem:
        return located
    earlier = known.get(facts.path)
    try:
        verified = earlier if earlier and earlier.is_unchanged(facts) else verify_image(facts)
        sample = _with_labels(located)
        text = _label_text(located)
    except CorruptImageError as error:
        return Located(located.split, located.sample, problem="corruptImage", detail=str(error))
    except FileNotFoundError:
        return Located(located.split, located.sample, problem="missingImage")
    except OSError as error:
        raise from_os_error(error, facts.path, "read") from error
    return replace(located, sample=sample, facts=verified, label_text=text)


def read_masks(
    located: Sequence[Located],
    rules: Mapping[str, MaskRule],
    skipped: Skipped,
    shown: Callable[[str, Path], str],
    report: Report,
) -> Iterator[Located]:
    """The samples with their masks read, by the rule of their split; one whose mask is torn is left out.

    `shown` is how people see the path of a mask, by its split. Raises what `masks.read_mask` does for a mask
    that contradicts the data set.
    """

    def read(one: Located) -> Located | CorruptImageError:
        if one.mask_file is None or one.facts is None:
            return one
        path, (size, *_) = one.mask_file
        place = shown(one.split, Path(path))
        try:
            mask = read_mask(Path(path), size, (one.facts.width, one.facts.height), rules[one.split], place)
        except CorruptImageError as error:
            return error
        return replace(one, mask=mask)

    found = map_parallel(read, located, cpus(), "masks", report)
    for one, result in zip(located, found, strict=True):
        if isinstance(result, CorruptImageError):
            skipped.add("corruptMask", f"{one.sample.stem} ({result})")
            continue
        for name in result.mask.unlisted if result.mask else ():
            skipped.add("ignoredClass", f"{name} in {one.sample.stem}")
        yield result


def _label_stat(sample: Sample, tree: Tree) -> State | None:
    if sample.label_file is None:
        return None
    try:
        found = sample.label_file.stat()
        inside = sample.label_file.resolve(strict=True).is_relative_to(tree.root)
    except OSError:
        return None  # no label file: a background image
    if not inside:
        raise InvalidDataError(f"{sample.label_file} leads out of {tree}")
    if not stat.S_ISREG(found.st_mode):
        raise InvalidDataError(f"{sample.label_file} is no file but a folder, pipe or device")
    return tree.state(found)


def _find_mask(path: Path, tree: Tree) -> tuple[str, State] | None:
    """The mask of that name, a PNG or else of another ending that Ultralytics tries."""
    for ending in ("png", *sorted(FORMATS - {"png"})):
        candidate = path.with_suffix(f".{ending}")
        try:
            found = candidate.stat()
            real = candidate.resolve(strict=True)
        except OSError:
            continue
        if not real.is_relative_to(tree.root):
            raise InvalidDataError(f"{candidate} leads out of {tree}")
        if not stat.S_ISREG(found.st_mode):
            continue
        return str(real), tree.state(found)
    return None


def _with_labels(located: Located) -> Sample:
    """The sample with the shapes of its label file, where that is read into shapes."""
    sample = located.sample
    if sample.label_file is None or located.label_stat is None or sample.read_labels is None:
        return sample
    labels = sample.read_labels(sample.label_file)
    return replace(sample, shapes=labels.shapes, size=labels.size)


def _label_text(located: Located) -> str | None:
    path = located.sample.label_file
    if path is None or located.label_stat is None or located.sample.read_labels is not None:
        return None
    if located.label_stat[0] > _MAX_LABEL_BYTES:
        raise InvalidDataError(f"{path} is larger than {_MAX_LABEL_BYTES} bytes")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidDataError(f"{path} is no text: {error}") from error


def _is_file_name(stem: str) -> bool:
    """Whether a stem can be written into UTF-8 files one a line; a name in another encoding cannot."""
    try:
        return bool(os.fsencode(stem).decode("utf-8")) and not any(ord(c) < 32 for c in stem)
    except (UnicodeDecodeError, UnicodeEncodeError):
        return False
