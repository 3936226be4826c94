"""Whether a training that is gone on from has anything left to train: one rule for prepare and train."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

ASKED = ("epochs", "time", "patience")
"""The arguments by which a training ends; a state's `schedule` holds them as they were asked for."""
RAISE_EPOCHS = "raise template.epochs"


def epochs_of(asked: Mapping[str, Any], saved: Mapping[str, Any], done: float, seconds: float) -> int:
    """How many epochs there are now, for a state whose `schedule` is `saved`, after `done` epochs and so many
    seconds: as asked for, or estimated from the argument `time` as Ultralytics does after each epoch.
    """
    if asked["time"] and saved.get("asked", {}).get("time") == asked["time"]:
        return int(saved["epochs"])
    if asked["time"] and done and seconds:
        estimated: int = math.ceil(asked["time"] * 3600 * done / seconds)
        return estimated
    return int(asked["epochs"])


def ended(asked: Mapping[str, Any], saved: Mapping[str, Any]) -> bool:
    """Whether the training had come to its end by the very same arguments."""
    return bool(saved.get("stop")) and saved.get("asked") == {name: asked[name] for name in ASKED}


def nothing_left(
    asked: Mapping[str, Any], epochs: int, done: int, seconds: float, best_epoch: int
) -> str | None:
    """Why there is no epoch to train after `done` of them; None where there is one."""
    if done <= 0:
        return None
    if done >= epochs:
        return f"{done} epochs are done, {epochs} were asked for; {RAISE_EPOCHS}"
    if asked["patience"] and done - best_epoch >= asked["patience"]:
        return f"no epoch of the last {asked['patience']} was better; raise template.patience"
    if asked["time"] and seconds >= asked["time"] * 3600:
        return f"the {asked['time']} h are over; raise template.time"
    return None


def why_over(asked: Mapping[str, Any], state: Mapping[str, Any]) -> str | None:
    """Why a training is over that goes on from this state; None where there is something left.

    Raises KeyError or TypeError for a state that another version wrote.
    """
    done, seconds, saved = state["epochs_done"], state["seconds"], state["schedule"]
    place = state.get("place", {})
    part = place["batches"] / place["split"]["batches"] if place.get("batches") else 0.0
    epochs = epochs_of(asked, saved, done + part, seconds)
    if part and done < epochs:
        return None
    why = nothing_left(asked, epochs, done, seconds, state["stopper"]["best_epoch"])
    return why or (f"the training had come to its end; {RAISE_EPOCHS}" if ended(asked, saved) else None)
