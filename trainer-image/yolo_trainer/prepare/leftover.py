"""A resume that has nothing to train is found here: no GPU is asked for, and nothing of the run changes."""

from __future__ import annotations

import time

from yolo_crds.layout import RESULT
from yolo_crds.trainer import NOTHING_LEFT, Result, TrainerConfig

from ..runfolder.attempts import Start, has_finished, read_result
from ..runfolder.remaining import why_over
from .checkpoint_facts import read_containers


def find_nothing_left(start: Start, config: TrainerConfig) -> Result | None:
    """The result of a run that resumes one which came to its end, and asks for no more than that one has
    trained; None where there is something to train, or the end has yet to be made: a run that was stopped or
    killed has its best weights neither validated nor stripped.
    """
    if start.stream is None or not start.exact or start.of_this_run or start.attempt is None:
        return None
    before = read_result(start.attempt / RESULT)
    if before is None or not has_finished(before):
        return None
    state, template = read_containers(start.stream), config.template
    asked = {"epochs": template.epochs, "time": template.time, "patience": template.patience}
    try:
        why = why_over(asked, state)
    except (KeyError, TypeError, ValueError, AttributeError):  # of another version: train will see
        return None
    if why is None:
        return None
    now, told = time.time(), f"{NOTHING_LEFT}{why}"
    mine = {"uid": config.uid, "run": config.run, "attempt": config.attempt}
    said = {"message": told, "warnings": [told], "started_at": now, "finished_at": now}
    return before.model_copy(update={**mine, **said, "finished": None})
