"""What is to be said about a prepared data set: numbers for the status, sentences for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from yolo_crds.training import Dataset

from .errors import InvalidDataError
from .manifest import Details
from .prepared_set import DATA_YAML, SetPlan
from .skipped import Skipped


def summarize(plan: SetPlan, kind: str, reference: str, skipped: Skipped, warnings: Sequence[str]) -> Details:
    """Numbers and sentences about a set; raises InvalidDataError when there is nothing to learn from.

    `reference` is how the user named the training data.
    """
    names = plan.target.names
    per_class = Counter(
        item.class_name if item.class_name is not None else names[int(line.split(" ", 1)[0])]
        for item in plan.items
        for line in (item.lines if item.class_name is None else ("",))
    )
    train_items = [item for item in plan.items if item.split == "train"]
    if not any(item.lines or item.class_name for item in train_items):
        listed, found = ", ".join(names[:20]), ", ".join(list(skipped.unknown)[:20]) or "none"
        raise InvalidDataError(
            f"template.data.train: no box of any listed label in {reference!r}; "
            f"listed: {listed}; other labels in the data: {found}"
        )
    boxes = sum(per_class.values())
    dataset = Dataset(
        hash=plan.content_hash(),
        kind=kind,
        images=len(plan.items),
        train_images=len(train_items),
        val_images=len(plan.items) - len(train_items),
        backgrounds=sum(not (item.lines or item.class_name) for item in plan.items),
        boxes=boxes,
        classes={name: per_class.get(name, 0) for name in names},
        skipped=dict(sorted(skipped.counts.items())),
    )
    return Details(
        dataset=dataset,
        data_yaml="" if plan.is_classification else DATA_YAML,
        warnings=[*warnings, *_warnings(plan, dataset), *skipped.sentences()],
        skipped_names=skipped.names,
        unknown_labels=dict(skipped.unknown.most_common(50)),
    )


def _warnings(plan: SetPlan, dataset: Dataset) -> list[str]:
    warnings = []
    if empty := [name for name, count in dataset.classes.items() if not count]:
        warnings.append(f"listed labels without a box: {len(empty)}, {', '.join(empty[:10])}")
    by_split = {
        split: {item.facts.sha256 for item in plan.items if item.split == split} for split in ("train", "val")
    }
    if shared := len(by_split["train"] & by_split["val"]):
        warnings.append(f"images in both the training and the validation set: {shared}")
    if not any(item.lines or item.class_name for item in plan.items if item.split == "val"):
        warnings.append("the validation set has no box; its metrics will be zero")
    return warnings
