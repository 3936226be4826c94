"""Which images of the sources are for training and which for validation; neither part may come out empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yolo_crds.references import shown
from yolo_crds.training import Data

from ..errors import InvalidDataError
from .readers.yolo_folder import YAML_SUFFIXES
from .skipped import Skipped
from .source import Sample, Source

_VAL_HINT = "correct the validation data, or name none: a part of the training images is taken then"


@dataclass(frozen=True)
class Part:
    """The training or the validation images."""

    samples: list[Sample]
    field: str
    """That it comes from, as `template.data.val`."""
    place: str
    """What it was named by there."""
    hint: str | None = None

    def refuse(self, what: str, skipped: Skipped) -> InvalidDataError:
        """The error for a part without `what`; `skipped` tells the reasons."""
        message = "; ".join([f"{self.field}: no {what} in {self.place}", *skipped.sentences()])
        return InvalidDataError(message, self.hint)


def split_parts(data: Data, sources: Mapping[str, Source]) -> dict[str, Part]:
    """The parts by split; without `val` no validation images are named, and they are split off later."""
    train = sources["train"]
    parts = {"train": Part(train.samples, "template.data.train", repr(shown(data.train)))}
    if val := sources.get("val"):
        samples = val.samples if val.own_val is None else val.own_val
        parts["val"] = Part(samples, "template.data.val", repr(shown(str(data.val))), _VAL_HINT)
    elif train.own_val is not None:
        what = "`val:`" if train.path.suffix in YAML_SUFFIXES else "the validation part"
        parts["val"] = Part(train.own_val, "template.data.train", f"{what} of {train.path}", _VAL_HINT)
    return parts
