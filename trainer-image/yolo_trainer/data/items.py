"""From inspected samples to the items of a prepared set: names of their own, each once, split. Pure."""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

from yolo_crds.training import Data

from .convert import Target
from .inspection import Inspected
from .set_plan import Item
from .skipped import Skipped
from .splits import Part


def make_items(
    data: Data, target: Target, inspected: list[Inspected], skipped: Skipped, val: Part | None = None
) -> list[Item]:
    """Items with unique names; a validation part is split off where none is given.

    Raises InvalidDataError when of the images of `val` none is of a class that is trained on.
    """
    stems = Counter(_stem_key(one) for one in inspected)
    items: list[Item] = []
    for one in inspected:
        if one.class_name is not None and one.class_name not in target.names:
            skipped.add_unknown(one.class_name)
            continue
        items.append(_item(one, skipped, unique=stems[_stem_key(one)] == 1))
    items = _without_twins(items, skipped)
    if val is None:
        return split_off(items, data.val_fraction, data.seed)
    if not any(item.split == "val" for item in items):
        raise val.refuse("image of a listed label", skipped)
    return items


def _stem_key(one: Inspected) -> tuple[str, str | None, str]:
    return one.split, one.class_name, one.stem


def _item(one: Inspected, skipped: Skipped, *, unique: bool) -> Item:
    facts = one.facts
    assert facts is not None, "only usable samples become items"
    if facts.unfinished:
        skipped.add("restoredImage", one.shown)
    stem = one.stem if unique else f"{one.stem}-{facts.sha256[:8]}"
    name = f"{stem}{os.path.splitext(facts.path)[1]}"  # noqa: PTH122 - a Path for each takes its time
    return Item(one.split, name, facts, one.reading.text, one.class_name, one.reading.mask)


def _without_twins(items: list[Item], skipped: Skipped) -> list[Item]:
    """Each place in the set once: two files of one name and content are one image. Of two that differ the
    first by path is taken, in whatever order the data set names them."""
    taken: dict[str, Item] = {}
    for item in items:
        if (other := taken.setdefault(item.image, item)) is item:
            continue
        first, second = sorted((other, item), key=lambda i: (i.facts.path, _labels(i)))
        taken[item.image] = first
        if _labels(first) == _labels(second):
            skipped.add("duplicateImage", item.facts.path)
        else:
            folders = " and ".join(Path(i.facts.path).parent.name for i in (first, second))
            skipped.add("differingTwin", f"{item.facts.path} in {folders}")
    return list(taken.values())


def _labels(item: Item) -> str:
    return item.class_mask.sha256 if item.class_mask else item.text


def split_off(items: list[Item], fraction: float, seed: int) -> list[Item]:
    """The items with a part of them turned into validation images, at random but the same for the same names.

    A single image serves for both.
    """
    ordered = sorted(items, key=lambda item: (item.class_name or "", item.name))
    if not ordered:  # of classification, where no folder is a listed class
        return []
    if len(ordered) == 1:
        return [ordered[0], _as_val(ordered[0])]
    count = min(max(1, round(len(ordered) * fraction)), len(ordered) - 1)
    chosen = set(random.Random(seed).sample(range(len(ordered)), count))  # noqa: S311 - no secret
    return [_as_val(item) if i in chosen else item for i, item in enumerate(ordered)]


def _as_val(item: Item) -> Item:
    return replace(item, split="val")
