"""Read the files of located samples: images are verified, labels become the lines of the prepared set.

Done wherever there is a CPU, so what goes in and comes out is small and can be pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..errors import InvalidDataError, from_os_error
from .images import CorruptImageError, ImageFacts, ignore_bomb_warnings, verify_image
from .locate import Located
from .readings import Conversion, Reading, TwoWays
from .source import Sample
from .text_file import decode

_MAX_LABEL_BYTES = 16 << 20


class Inspected(NamedTuple):
    """A sample whose files were read; `problem` says why it cannot be used."""

    split: str
    stem: str
    class_name: str | None
    facts: ImageFacts | None = None
    reading: Reading = Reading()
    two_ways: TwoWays | None = None
    """The other way to read its labels, where there are two."""
    problem: str | None = None
    """A kind of `Skipped`, such as `corruptImage`."""
    detail: str = ""
    place: str = ""
    """Where an image with a problem lies, or would lie."""

    @property
    def shown(self) -> str:
        """Its path for people, who know it from the volume on."""
        return self.place or (self.facts.path if self.facts else self.stem)


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
            place=facts.path if facts else _place(located),
        )
        if facts is None or located.problem:
            return found
        conversion = self.by_split[located.split]
        problem = "corruptImage"
        try:
            if not facts.sha256:
                facts = verify_image(facts, decode=self.decode)
            problem = "corruptMask"
            reading, two_ways = _read(located, facts, conversion)
        except CorruptImageError as error:
            return found._replace(problem=problem, detail=str(error))
        except FileNotFoundError:
            return found._replace(problem="missingImage")
        except InvalidDataError as error:
            raise error.reworded(lambda message: f"{conversion.field}: {message}") from error
        except OSError as error:
            raise from_os_error(error, facts.path, "read") from error
        return found._replace(facts=facts, reading=reading, two_ways=two_ways, place="")


def _read(located: Located, facts: ImageFacts, conversion: Conversion) -> tuple[Reading, TwoWays | None]:
    """The labels of a sample, in whatever it has them."""
    if located.mask_file is not None and conversion.mask_rule is not None:
        return conversion.read_mask(located, facts)
    if conversion.in_pixels:
        return conversion.read_shapes(_with_labels(located), facts)
    rows = _rows(located, conversion.shown(located.sample.label_file))
    if rows is not None:
        return conversion.read_rows(located.sample, rows, facts)
    return Reading(), None


def _place(located: Located) -> str:
    """Where an image would lie; its name alone where a detail says more, or where it is a code that may have
    several endings."""
    sample = located.sample
    if located.detail or len(sample.endings) > 1:
        return f"{sample.class_name}/{sample.stem}" if sample.class_name else sample.stem
    return f"{sample.folder}/{sample.stem}{sample.endings[0]}"


def _with_labels(located: Located) -> Sample:
    """The sample with the shapes of its label file, where that is read into shapes"""
    sample = located.sample
    if sample.label_file is None or located.label_stat is None or sample.read_labels is None:
        return sample
    labels = sample.read_labels(sample.label_file)
    return replace(sample, shapes=labels.shapes, size=labels.size, notes=labels.notes)


def _rows(located: Located, shown: str) -> str | None:
    """The text of a label file that holds rows of YOLO; people are `shown` it by this path."""
    path = located.sample.label_file
    if path is None or located.label_stat is None or located.sample.read_labels is not None:
        return None
    if located.label_stat[0] > _MAX_LABEL_BYTES:
        raise InvalidDataError(f"{shown} is larger than {_MAX_LABEL_BYTES} bytes")
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of `read_text`
        return decode(file.read(), shown)
