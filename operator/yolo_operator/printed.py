"""The ready strings of `kubectl get`: a printer column can neither format nor choose."""

from collections.abc import Mapping, Sequence

from yolo_crds.arguments import pick_headline
from yolo_crds.conditions import Phase
from yolo_crds.models import infer_task
from yolo_crds.status import Failure, Printed, Progress
from yolo_crds.training import YoloTraining


def build_printed(
    training: YoloTraining | None,
    before: Printed | None,
    progress: Progress | None,
    place: int | None,
    reason: str | None,
) -> Printed | None:
    """All columns' strings; without progress what they were `before`. None when all are empty."""
    news = {"place": f"place {place}" if place else None, "reason": reason}
    if progress is None or training is None:
        printed = (before or Printed()).model_copy(update=news)
        return printed if before or any(news.values()) else None
    epoch = f"{progress.epoch}/{progress.epochs}" if progress.epoch is not None and progress.epochs else None
    eta = print_eta(progress.eta_seconds) if progress.eta_seconds is not None else None
    return Printed(epoch=epoch, metric=print_metric(training, progress.metrics), eta=eta, **news)


def print_reason(phase: Phase, failure: Failure | None, warnings: Sequence[str]) -> str | None:
    """What a person should look at, such as `OOMKilled`, `after OOMKilled`, `OOMKilled !2`, `2 warnings`.

    A failure with an attempt is that of an earlier one, unless the run has failed.
    """
    why = None
    if failure is not None:
        earlier = failure.attempt is not None and phase != Phase.FAILED
        why = f"after {failure.reason}" if earlier else str(failure.reason)
    if not warnings:
        return why
    return f"{why} !{len(warnings)}" if why else print_count(warnings)


def print_count(warnings: Sequence[str]) -> str:
    """`1 warning`, `2 warnings`."""
    return f"{len(warnings)} warning{'' if len(warnings) == 1 else 's'}"


def print_eta(seconds: int) -> str:
    """`45s`, `12m`, `2h05m`."""
    if seconds < 60:
        return f"{seconds}s"
    minutes = round(seconds / 60)
    return f"{minutes}m" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"


def print_metric(training: YoloTraining, metrics: Mapping[str, float | None]) -> str | None:
    """The headline metric of the training's task, such as `mAP50-95 0.61` or `mask mAP50-95 0.61`."""
    template = training.spec.template
    headline = pick_headline(template.task or infer_task(template.model), metrics)
    return f"{headline[0]} {headline[1]:.2f}" if headline else None
