"""What becomes of images that had labels and have none left. One rule for all formats.

Taken as background, such an image would teach that there is nothing where somebody labelled something. What
was left out since its label is not listed in `template.data.labels` is the user's own choice, none of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from yolo_crds.training import LostLabels

from ..errors import InvalidDataError
from .inspection import Inspected
from .skipped import NAMES_SHOWN, Skipped
from .splits import Part

_HINT = (
    "mend the labels; or set template.data.lostLabels: leaveOut (train without these images) "
    "or background (train on them as images of nothing)"
)


def apply_rule(
    inspected: Iterable[Inspected], rule: LostLabels, parts: Mapping[str, Part], skipped: Skipped
) -> list[Inspected]:
    """The images to train on, after the rule.

    An image of which every label is marked difficult or a crowd is left out whatever the rule: its annotator
    asked for that. Raises InvalidDataError, naming the first images and why, where the rule is `refuse`.
    """
    kept: list[Inspected] = []
    lost: dict[str, list[Inspected]] = {}
    for one in inspected:
        if not one.reading.lost:
            kept.append(one)
        elif one.reading.is_marked:
            skipped.add("markedOnly", one.shown)
        else:
            lost.setdefault(one.split, []).append(one)
            if rule == "background":
                kept.append(one)
    if lost and rule == "refuse":
        raise _refuse(lost, parts)
    kind = "lostAsBackground" if rule == "background" else "lostLabels"
    for one in (one for found in lost.values() for one in found):
        skipped.add(kind, one.shown)
    return kept


def _refuse(lost: Mapping[str, list[Inspected]], parts: Mapping[str, Part]) -> InvalidDataError:
    sentences = []
    for split, found in lost.items():
        first = "; ".join(one.reading.lost for one in found[:NAMES_SHOWN])
        more = " …" if len(found) > NAMES_SHOWN else ""
        count = f"{len(found)} images have" if len(found) > 1 else "an image has"
        what = f"{count} labels of listed classes, none of which can be used ({first}{more})"
        sentences.append(f"{parts[split].field}: {what}")
    return InvalidDataError("; ".join(sentences), _HINT)
