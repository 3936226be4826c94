"""Edits of a training whose run has ended that start nothing, though somebody may wait for it."""

from yolo_crds.conditions import Phase
from yolo_crds.status import Status
from yolo_crds.training import YoloTraining

_BEGINNING = "nothing was started by this change: "


def tell_idle_edit(training: YoloTraining, stored: Status) -> list[str]:
    """The stored warnings of a run that has ended, with one for `stop: false` or `resume: true` without a
    higher `spec.run`, as long as that stands.

    Whether `resume` was there before, nothing tells; so the spec must have changed since the run's end was
    stored, and then the sentence is true of whatever has changed.
    """
    others = [warning for warning in stored.warnings if not warning.startswith(_BEGINNING)]
    told_before = len(others) < len(stored.warnings)
    changed = training.generation != stored.observed_generation
    goes_on = training.spec.resume and (changed or told_before)
    if not (goes_on or (stored.phase == Phase.TERMINATED and not training.spec.stop)):
        return others
    run = training.spec.run
    how = "" if training.spec.resume else ", with resume: true to go on from the last checkpoint"
    return [*others, f"{_BEGINNING}run {run} has ended; raise spec.run to {run + 1} to train again{how}"]
