"""What a person reads in the pod's log: a heading a stage, a line an epoch, and how far it is. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from yolo_crds.schema import load_schema
from yolo_crds.status import Best

WORDS_MOST = 120
"""Bytes that `how_far` takes at most: ASCII."""
_HEADINGS = {
    "fetch": "fetching what the data volume lacks",
    "unpack": "unpacking the archive",
    "scan": "reading the data set",
    "verify": "checking images and labels",
    "convert": "building the prepared data set",
    "import": "loading PyTorch and Ultralytics",
    "cache": "decoding images ahead of the training",
    "val": "validating best.pt",
    "export": "publishing the weights",
}
_STEPS = {"epoch": "batch", "val": "validation"}
_OF = {"B": "box", "M": "mask", "P": "keypoints"}
"""What the letter behind a metric of Ultralytics is of."""
_METRIC = re.compile(r"metrics/(?P<name>.*?)(?:\((?P<of>\w)\))?$")


def heading(stage: str, epoch: int | None = None, epochs: int | None = None) -> str | None:
    """What begins now; None for a stage that nobody needs to be told of."""
    if stage == "epoch":
        return f"--- training from epoch {epoch} to {epochs}"
    return f"--- {_HEADINGS[stage]}" if stage in _HEADINGS else None


def epoch_line(
    epoch: int,
    epochs: int,
    *,
    losses: Mapping[str, float | None],
    metrics: Mapping[str, float | None],
    best: Best | None,
    images_per_second: float | None,
    gpu_gib: float | None,
    seconds: float,
    eta_seconds: int | None,
) -> str:
    """An epoch that has ended, in one line; losses are those of the training, metrics of the validation."""
    parts = [f"epoch {epoch:{len(str(epochs))}}/{epochs}"]
    if losses:
        parts.append("  ".join(f"{_loss_name(name)} {_number(value)}" for name, value in losses.items()))
    parts.append(_metrics(epoch, metrics, best))
    if images_per_second:
        parts.append(f"{images_per_second:.{0 if images_per_second >= 10 else 1}f} images/s")
    if gpu_gib:
        parts.append(f"GPU {gpu_gib:.1f} GiB")
    parts.append(duration(seconds))
    if eta_seconds:
        parts.append(f"{duration(eta_seconds)} left")
    return " | ".join(parts)


def how_far(
    stage: str,
    epoch: int | None,
    epochs: int | None,
    batch: object,
    batches: object,
    eta_seconds: int | None,
) -> str:
    """The state within a stage, in a few words, before the JSON that says the same to the operator."""
    words = f"epoch {epoch}/{epochs}" if epoch and epochs else stage
    if batches:
        words += f"{f': {_STEPS.get(stage, stage)}' if epoch else ''} {batch or 0}/{batches}"
    if eta_seconds:
        words += f", {duration(eta_seconds)} left"
    return words.encode("ascii", "replace").decode()[:WORDS_MOST]


def duration(seconds: float) -> str:
    """`0.4 s`, `38 s`, `12 min`, `1 h 05 min`, `3 d 04 h`."""
    if seconds < 99.5:
        return f"{seconds:.{0 if seconds >= 9.95 else 1}f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60:02} min" if hours < 48 else f"{hours // 24} d {hours % 24:02} h"


def _metrics(epoch: int, metrics: Mapping[str, float | None], best: Best | None) -> str:
    """The metrics that tasks are judged by, of boxes, masks and keypoints each; the best one by the last of
    them, which is the task's own."""
    keys = [key for key in metrics if _is_headline(key)] or list(metrics)[:1]
    if not keys:
        return "not validated"
    shown, told = [], ""
    for key in keys:
        found = _METRIC.match(key)
        name, of = (found["name"], found["of"]) if found else (key, None)
        words = [*([name] if name != told else []), *([_OF.get(of, of)] if of else []), _number(metrics[key])]
        shown.append(" ".join(words))
        told = name
    if best is None:
        return "  ".join(shown)
    if best.epoch == epoch:
        return "  ".join(shown) + " (best)"
    return "  ".join(shown) + f" (best {_number(best.metrics.get(keys[-1]))}, epoch {best.epoch})"


def _is_headline(key: str) -> bool:
    return key.partition("(")[0] in {
        metric.partition("(")[0] for metric in load_schema().task_metric.values()
    }


def _loss_name(name: str) -> str:
    return name.removeprefix("train/").removesuffix("_loss")


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"
