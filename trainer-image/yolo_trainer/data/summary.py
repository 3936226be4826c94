"""What is to be said about a prepared data set: numbers for the status, sentences for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from yolo_crds.status import Dataset

from ..errors import InvalidDataError
from .manifest import Details
from .missing_classes import Asked, suggestions
from .set_plan import DATA_YAML, SetPlan
from .skipped import NAMES_SHOWN, Skipped

_CLASSES_SHOWN = 30
_CHECKED = {"decode": "every pixel decoded", "header": "by their header, pixels not decoded"}


def summarize(
    plan: SetPlan,
    kind: str,
    reference: str,
    skipped: Skipped,
    warnings: Sequence[str],
    taken_for: Mapping[str, str],
    asked: Asked,
) -> Details:
    """Numbers and sentences about a set; raises InvalidDataError when there is nothing to learn from, or a
    class that is `asked` for is missing and must not be.

    `reference` is how the user named the training data; `taken_for` is kept as `Details.taken_for`.
    """
    names = plan.target.names
    by_split = {split: _per_class(plan, split) for split in ("train", "val")}
    per_class = by_split["train"] + by_split["val"]
    train_items = [item for item in plan.items if item.split == "train"]
    if all(item.is_background for item in train_items):
        raise _no_box(plan, reference, skipped)
    of_classes = asked.check(by_split, skipped)
    boxes = sum(per_class.values())
    dataset = Dataset(
        hash=plan.content_hash(),
        kind=kind,
        images=len(plan.items),
        train_images=len(train_items),
        val_images=len(plan.items) - len(train_items),
        backgrounds=sum(item.is_background for item in plan.items),
        boxes=boxes,
        classes={name: per_class.get(name, 0) for name in names},
        skipped=dict(sorted(skipped.counts.items())),
    )
    return Details(
        dataset=dataset,
        reference=reference,
        data_yaml="" if plan.is_classification else DATA_YAML,
        warnings=[*warnings, *of_classes, *_warnings(plan, dataset), *skipped.sentences()],
        skipped_names=skipped.names,
        unknown_labels=dict(skipped.unknown.most_common(50)),
        taken_for=dict(taken_for),
        boxes_by_split={split: {name: n.get(name, 0) for name in names} for split, n in by_split.items()},
        checked="decode" if all(item.facts.decoded for item in plan.items) else "header",
        image_sizes=dict(Counter(f"{i.facts.width} x {i.facts.height}" for i in plan.items).most_common(10)),
    )


def report_lines(details: Details) -> list[str]:
    """The report as a person reads it in the log; what was skipped is told by `Details.warnings`."""
    dataset, by_split = details.dataset, details.boxes_by_split
    lines = [f"data set {dataset.hash}"]
    lines += [f"  {name} taken for {what}" for name, what in details.taken_for.items()]
    lines.append(
        f"  images {dataset.images} (train {dataset.train_images}, val {dataset.val_images}, "
        f"background {dataset.backgrounds}), boxes {dataset.boxes}"
    )
    lines.append(f"  images checked: {_CHECKED[details.checked]}")
    lines.append("  sizes " + ", ".join(f"{size}: {n}" for size, n in list(details.image_sizes.items())[:5]))
    shown = list(dataset.classes)[:_CLASSES_SHOWN]
    width = max((len(name) for name in shown), default=0)
    lines.append(f"  {'class':{width + 5}} {'train':>8} {'val':>8}")
    for i, name in enumerate(shown):
        train, val = (by_split.get(split, {}).get(name, 0) for split in ("train", "val"))
        lines.append(f"  {i:4} {name:{width}} {train:8} {val:8}")
    if len(dataset.classes) > len(shown):
        lines.append(f"  and {len(dataset.classes) - len(shown)} more classes")
    return lines


def _no_box(plan: SetPlan, reference: str, skipped: Skipped) -> InvalidDataError:
    """The error for training images that are all backgrounds, with all that could be why."""
    names = plan.target.names
    listed, found = ", ".join(names[:20]), ", ".join(list(skipped.unknown)[:20]) or "none"
    reasons = skipped.sentences() or ["all labels are empty"]
    hint = suggestions(names, list(skipped.unknown)) or None
    if plan.has_masks:
        meant = f"0 means background and 1 {names[0]}, " if len(names) == 1 else ""
        reasons = [f"in the masks {meant}255 means 'not counted'", *skipped.sentences()]
        hint = (
            hint
            or "write class ids into the masks, or say in `label_mapping:` of the data.yaml what theirs mean"
        )
    return InvalidDataError(
        f"template.data.train: no box of any listed label in {reference!r}; listed: {listed}; "
        f"other labels in the data: {found}; {'; '.join(reasons)}",
        hint,
    )


def _per_class(plan: SetPlan, split: str) -> Counter[str]:
    names = plan.target.names
    return Counter(
        name
        for item in plan.items
        if item.split == split
        for name in ([item.class_name] if item.class_name is not None else [names[i] for i in item.classes])
    )


def _warnings(plan: SetPlan, dataset: Dataset) -> list[str]:
    warnings = []
    if plan.is_classification and len(dataset.classes) == 1:
        warnings.append(f"{plan.target.names[0]} is the only class: there is nothing to tell it from")
    warnings += _repeated(plan)
    if all(item.is_background for item in plan.items if item.split == "val"):
        warnings.append("the validation set has no box; its metrics will be zero")
    return warnings


def _repeated(plan: SetPlan) -> list[str]:
    """What is to be said of images, told by content, that are there more than once."""
    names: dict[str, dict[str, list[str]]] = {"train": {}, "val": {}}
    for item in plan.items:
        names[item.split].setdefault(item.facts.sha256, []).append(plan.shown(item))
    train, val = names["train"], names["val"]
    shared = [found[0] for sha256, found in train.items() if sha256 in val]
    twins = [
        " = ".join(found[:NAMES_SHOWN]) for part in (train, val) for found in part.values() if len(found) > 1
    ]
    return [
        f"{what}: {len(found)} ({', '.join(found[:NAMES_SHOWN])}{' …' if len(found) > NAMES_SHOWN else ''})"
        for what, found in (
            ("images in both the training and the validation set, whose metrics they flatter", shared),
            ("images of the same content under different names", twins),
        )
        if found
    ]
