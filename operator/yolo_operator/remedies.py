"""What to change for the next attempt after a failure that the same arguments would only repeat."""

from collections.abc import Callable, Sequence

from yolo_crds.arguments import AUTO_BATCH
from yolo_crds.conditions import Reason
from yolo_crds.status import Failure, Remedy
from yolo_crds.training import Template, parse_quantity

Overrides = dict[str, str | float | bool]
"""Ultralytics arguments by name, as `TrainerConfig.overrides` has them."""

REMEDIES_MOST = 4
"""Changes in one run: a training that needs more wants a person's decision."""


def choose_remedy(why: Failure, attempt: int, template: Template, earlier: Sequence[Remedy]) -> Remedy | None:
    """The change for the attempt after `attempt`, whose training failed; None when there is none to make."""
    if len(earlier) >= REMEDIES_MOST:
        return None
    for argument, change in _CHANGES.get(why.reason, ()):
        before = _value(argument, template, earlier)
        after = change(before, template.resources.all_gpus)
        if after is not None:
            return Remedy(
                attempt=attempt + 1, reason=why.reason, argument=argument, before=before, after=after
            )
    return None


def build_overrides(remedies: Sequence[Remedy]) -> Overrides:
    """The changed arguments, as text that the trainer reads like `extraArgs`; the newest change wins."""
    return {remedy.argument: remedy.after for remedy in remedies}


def _value(argument: str, template: Template, earlier: Sequence[Remedy]) -> str:
    """What the failed attempt had."""
    for remedy in reversed(earlier):
        if remedy.argument == argument:
            return remedy.after
    if argument == "workers":
        # More never start: of the pod's CPUs each GPU has its part.
        resources = template.resources
        return str(min(template.workers_wanted, parse_quantity(resources.cpu) // max(resources.gpus, 1)))
    value = getattr(template, argument)
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def _halve_batch(now: str, gpus: int) -> str | None:
    batch = float(now)
    if batch < 1:
        return f"{(AUTO_BATCH if batch < 0 else batch) / 2:g}"
    share = max(gpus, 1)  # Ultralytics refuses a batch that is no multiple of the GPUs
    half = max(int(batch) // 2 // share, 1) * share
    return str(half) if half < batch else None


def _halve_workers(now: str, _gpus: int) -> str | None:
    workers = int(now)
    return str(workers // 2) if workers > 0 else None


def _leave_ram(now: str, _gpus: int) -> str | None:
    return "none" if now == "ram" else None


def _switch_amp_off(now: str, gpus: int) -> str | None:
    # On the CPU nothing is trained in mixed precision.
    return "false" if now == "true" and gpus > 0 else None


_Change = Callable[[str, int], str | None]
_CHANGES: dict[str, tuple[tuple[str, _Change], ...]] = {
    Reason.CUDA_OUT_OF_MEMORY: (("batch", _halve_batch),),
    Reason.SHARED_MEMORY_EXHAUSTED: (("workers", _halve_workers),),
    Reason.OOM_KILLED: (("cache", _leave_ram), ("workers", _halve_workers)),
    Reason.DIVERGED: (("amp", _switch_amp_off),),
}
"""By reason the arguments to change, the first that can be wins; a change takes (value, GPUs)."""
