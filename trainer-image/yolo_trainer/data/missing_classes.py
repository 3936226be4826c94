"""Classes that are asked for and occur nowhere, and labels that occur and are not asked for: two sides of a
typo. One rule for all formats (ADR 30)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from yolo_crds.training import MissingClasses

from ..errors import InvalidDataError
from .alike import is_mistyped, nearest
from .skipped import Skipped

Unit = Literal["box", "image"]
_PLURAL: dict[Unit, str] = {"box": "boxes", "image": "images"}
_SHOWN = 10
_LABELS_SHOWN = 5
_NAME_MAX = 128
_LOOKED_AT = 1_000
"""Unlisted labels, for one that is alike."""
_MUCH = 0.2
"""Part of all boxes, of unlisted labels, from which on it is warned of: of up to five classes that are about
equally frequent, one that is mistyped takes so much away. Choosing few of many classes takes more, too: so it
is a warning and no error."""


class _Like(NamedTuple):
    """A class that occurs nowhere, and what it was perhaps meant to be."""

    name: str
    meant: str | None
    is_plain: bool
    """It is mistyped beyond doubt (`alike.is_mistyped`)."""

    def told(self, unlisted: Mapping[str, int], unit: Unit) -> str:
        """For people."""
        name = _short(self.name)
        if self.meant is None:
            return repr(name)
        count = unlisted.get(self.meant, 0)
        there = f", of which there {'is' if count == 1 else 'are'} {_many(count, unit)}" if count else ""
        return f"{name!r} (did you mean {_short(self.meant)!r}{there}?)"


@dataclass(frozen=True)
class Asked:
    """The classes that are asked for, and what the data set itself calls its own."""

    names: Sequence[str]
    rule: MissingClasses = "allow"
    declared: frozenset[str] = frozenset()
    """Classes that the data set names somewhere besides its labels; without a box they are no typo."""
    unit: Unit = "box"
    """What is counted of a class: for classification images."""

    def check(self, boxes: Mapping[str, Mapping[str, int]], skipped: Skipped) -> list[str]:
        """Sentences about the classes, given the boxes of each by split (`train`, `val`).

        Raises InvalidDataError for classes that occur nowhere, where the rule has it so.
        """
        train, val = boxes["train"], boxes["val"]
        empty = [name for name in self.names if not train.get(name) and not val.get(name)]
        absent = [name for name in empty if name not in self.declared and name not in skipped.unused]
        likes = self._likes(absent, skipped)
        refused = [
            one for one in likes if self.rule == "refuse" or (self.rule == "refuseTypos" and one.is_plain)
        ]
        if refused:
            raise self._refuse(refused, skipped)
        known = [name for name in empty if name not in absent]
        some = [name for name in self.names if name not in empty]
        only_val = [f"{name} (val {val[name]})" for name in some if not train.get(name)]
        only_train = [name for name in some if not val.get(name)] if any(val.values()) else []
        one = f"a{'n' if self.unit == 'image' else ''} {self.unit}"
        return [
            *_sentence(
                "listed labels that occur nowhere in the data",
                [one.told(skipped.unknown, self.unit) for one in likes],
            ),
            *_sentence(f"listed labels without {one}", known),
            *_sentence(f"classes without {one} in the training set, which are not learnt", only_val),
            *_sentence(
                f"classes without {one} in the validation set, whose metrics leave them out", only_train
            ),
            *self._of_unlisted(sum(train.values()) + sum(val.values()), skipped.unknown),
        ]

    def _likes(self, absent: Sequence[str], skipped: Skipped) -> list[_Like]:
        """What each absent class was perhaps meant to be: a label that is not listed, the most frequent ones
        first, or a class that the data set names."""
        found = [label for label, _ in skipped.unknown.most_common(_LOOKED_AT)]
        others = [name for name in dict.fromkeys([*found, *sorted(self.declared)]) if name not in self.names]
        likes = []
        for number, name in enumerate(absent):
            plain = next((one for one in others if is_mistyped(name, one)), None)
            # To look through many labels takes its time, and nobody reads so many guesses.
            meant = plain or (nearest(name, others) if number < _SHOWN else None)
            likes.append(_Like(name, meant, plain is not None))
        return likes

    def _refuse(self, refused: Sequence[_Like], skipped: Skipped) -> InvalidDataError:
        told = _listed([one.told(skipped.unknown, self.unit) for one in refused], _SHOWN)
        what = f"{told} occurs" if len(refused) == 1 else f"{len(refused)} classes occur"
        names = "" if len(refused) == 1 else f": {told}"
        lost = "".join(f"; {one}" for one in skipped.sentences() if one.startswith("images left out"))
        there = _counts(skipped.unknown)
        found = f"; labels in the data that are not listed: {there}" if there else ""
        return InvalidDataError(
            f"template.data.labels: {what} nowhere in the data{names}{lost}",
            f"correct template.data.labels{found}; or, where this data set is meant to lack a class, set "
            "template.data.missingClasses: allow",
        )

    def _of_unlisted(self, listed: int, unlisted: Counter[str]) -> list[str]:
        """What is to be said of boxes of labels that are not listed, beyond their number: that they are much,
        or look like a listed class."""
        share = unlisted.total() / max(1, listed + unlisted.total())
        likes = {
            label: like
            for label, _ in unlisted.most_common(_LOOKED_AT)
            if (like := next((name for name in self.names if is_mistyped(label, name)), None))
        }
        if share < _MUCH and not likes:
            return []
        shown = [label for label, _ in unlisted.most_common(_LABELS_SHOWN)]
        shown += [label for label in likes if label not in shown][:_LABELS_SHOWN]
        words = [
            f"{_short(label)} {unlisted[label]}"
            + (f" (did you mean the listed {likes[label]!r}?)" if label in likes else "")
            for label in shown
        ]
        more = " …" if len(unlisted) > len(shown) else ""
        what = f"{share:.0%} of all {_PLURAL[self.unit]} are of labels that are not listed, and are left out"
        return [f"{what}: {', '.join(words)}{more}"]


def _sentence(what: str, names: Sequence[str]) -> list[str]:
    return [f"{what}: {len(names)}, {_listed(names, _SHOWN)}"] if names else []


def _listed(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")


def _counts(labels: Counter[str]) -> str:
    return _listed(
        [f"{_short(label)} {count}" for label, count in labels.most_common(_LABELS_SHOWN + 1)], _LABELS_SHOWN
    )


def _short(name: str) -> str:
    """A label may be any text; as a class it has at most 128 characters."""
    return name if len(name) <= _NAME_MAX else f"{name[: _NAME_MAX - 1]}…"


def _many(count: int, unit: Unit) -> str:
    return f"1 {unit}" if count == 1 else f"{count} {_PLURAL[unit]}"


def suggestions(names: Iterable[str], found: Sequence[str]) -> str:
    """`did you mean …?` for names of which none was found; empty where nothing looks alike."""
    likes = dict.fromkeys(like for name in names if (like := nearest(name, found)))
    return f"did you mean {_listed([repr(_short(like)) for like in likes], _LABELS_SHOWN)}?" if likes else ""
