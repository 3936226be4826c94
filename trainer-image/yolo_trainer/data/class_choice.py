"""Which classes a model learns, and in which order: those that are asked for, else those of the data set."""

from __future__ import annotations

from collections import Counter

from ..errors import SPEC_HINT, InvalidDataError
from .formats import labels_of
from .job import Job
from .source import Source


def choose_classes(job: Job, train: Source) -> list[str]:
    """The classes in the order of their index: the labels asked for, else those that the data set names.

    Raises InvalidDataError for labels that are none, or where there are no names.
    """
    labels = [label.strip() for label in job.data.labels]
    if labels:
        twice = [label for label, n in Counter(labels).items() if n > 1]
        if twice:
            raise InvalidDataError(f"template.data.labels: {twice[0]!r} is given twice", SPEC_HINT)
        if "" in labels:
            raise InvalidDataError(f"template.data.labels: label {labels.index('')} is blank", SPEC_HINT)
        if train.kind == "folders" and labels != sorted(labels):
            job.warnings.append("classification orders classes by name, not as template.data.labels does")
        if train.names_note and not set(labels) & set(train.names or ()):
            raise InvalidDataError(
                f"template.data.labels: {', '.join(labels[:20])}: {train.names_note}",
                "write `names:` into the data.yaml, or leave template.data.labels empty",
            )
        return sorted(labels) if train.kind == "folders" else labels
    if train.names:
        return train.names
    found = ", ".join(labels_of(train)[:20])
    what = "; ".join(["", *([f"labels in it: {found}"] if found else []), *train.warnings])
    raise InvalidDataError(
        f"template.data.labels is empty and {train.path} gives classes no order{what}",
        "list the class names in template.data.labels; the order is the class index",
    )
