"""The training's whole state between two batches, and back: what `last.pt` lacks for an exact resume.

`last.pt` holds the EMA in half precision and neither the model nor random state. Here all is kept as it is,
in plain containers and tensors, so that loading needs no unpickling of classes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
import torch
from ultralytics.utils.torch_utils import ModelEMA, unwrap_model

from yolo_crds.conditions import Reason

from ..errors import TrainerError

logger = logging.getLogger(__name__)

VERSION = 1
_RUNTIME_KEYS = frozenset({"params", "fused", "foreach", "capturable", "differentiable"})
"""Of an optimizer's parameter group: what the machine decides and not the training."""

State = dict[str, Any]


def built_groups(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """The settings of an optimizer's groups, without the parameters."""
    return [_plain({k: v for k, v in g.items() if k not in _RUNTIME_KEYS}) for g in optimizer.param_groups]


def is_finite(model: torch.nn.Module) -> bool:
    """Whether all weights are numbers: the loss of the batch whose step made them NaN was still finite."""
    return all(bool(torch.isfinite(weight).all()) for weight in model.parameters())


def capture(
    trainer: Any,
    epochs_done: int,
    built: list[dict[str, Any]],
    best: Mapping[str, object] | None,
    seconds: float,
) -> State:
    """The state after so many whole epochs and seconds; `built`: the optimizer's groups when it was new."""
    optimizer = trainer.optimizer
    return {
        "v": VERSION,
        "epochs_done": epochs_done,
        "seconds": float(seconds),
        "model": unwrap_model(trainer.model).state_dict(),
        "ema": trainer.ema.ema.state_dict(),
        "ema_updates": trainer.ema.updates,
        "optimizer": {
            "kind": type(optimizer).__name__,
            "state": optimizer.state_dict()["state"],
            "groups": built_groups(optimizer),
            "built": built,
        },
        "scaler": trainer.scaler.state_dict(),
        "metrics": {k: float(v) for k, v in trainer.metrics.items()},
        "fitness": _plain(trainer.fitness),
        "best_fitness": _plain(trainer.best_fitness),
        "stopper": _plain(
            {k: getattr(trainer.stopper, k) for k in ("best_fitness", "best_epoch", "possible_stop")}
        ),
        "best": _plain(dict(best)) if best else None,
        "names": {int(k): str(v) for k, v in trainer.data["names"].items()},
    }


def load(stream: IO[bytes]) -> State:
    """A state that `Attempt.save_state` wrote; raises on more than containers and tensors."""
    state: State = torch.load(stream, map_location="cpu", weights_only=True)
    return state


def restore(trainer: Any, state: State) -> list[str]:
    """Puts a state into a trainer that is set up for new arguments; warnings about what could not be kept.

    The new arguments win: learning rates, momentum and decay are those of the new optimizer wherever the
    arguments that they come from changed. Raises TrainerError when the model is another one.
    """
    model = unwrap_model(trainer.model)
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        was, now = len(state["names"]), len(trainer.data["names"])
        detail = f"it has {was} classes, the data has {now}" if was != now else "its layers are others"
        raise TrainerError(
            Reason.INVALID_ARGUMENTS,
            f"the checkpoint does not fit the model: {detail}; raise spec.run without resume to start afresh",
        ) from error
    # A new EMA: the one of setup shares its cached tensor pairs with what was replaced.
    trainer.ema = ModelEMA(trainer.model, updates=state["ema_updates"])
    trainer.ema.ema.load_state_dict(state["ema"])
    warnings = _compare_names(state["names"], trainer.data["names"])
    warnings += _restore_optimizer(trainer.optimizer, state["optimizer"])
    if state["scaler"]:
        trainer.scaler.load_state_dict(state["scaler"])
    trainer.best_fitness = state["best_fitness"]
    trainer.stopper.__dict__.update(state["stopper"])
    _restore_criterion(model, state["epochs_done"])
    trainer.start_epoch = state["epochs_done"]
    return warnings


def _compare_names(before: Mapping[int, str], now: Mapping[int, str]) -> list[str]:
    """What is to be said of classes that have other names or another order than those that were trained."""
    others = [f"{i} was {name!r} and is {now[i]!r} now" for i, name in before.items() if now[i] != name]
    if not others:
        return []
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return [
        f"the classes are others than those that the state was trained with: {', '.join(others[:3])}{more}; "
        "what it knows of one now counts for the other"
    ]


def _restore_optimizer(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> list[str]:
    fresh = built_groups(optimizer)
    target = optimizer.state_dict()
    if saved["kind"] != type(optimizer).__name__ or len(saved["groups"]) != len(fresh):
        return [f"the optimizer changed from {saved['kind']} to {type(optimizer).__name__}; it starts afresh"]
    for group, now, before, at_end in zip(
        target["param_groups"], fresh, saved["built"], saved["groups"], strict=True
    ):
        group.update({k: at_end[k] for k, v in now.items() if k in at_end and before.get(k) == v})
    optimizer.load_state_dict({"state": saved["state"], "param_groups": target["param_groups"]})
    return []


def _restore_criterion(model: Any, epochs_done: int) -> None:
    """The loss, which the first batch would make; that of end-to-end heads is blended by epoch, and put
    right as Ultralytics' own resume does it.
    """
    model.criterion = model.init_criterion()
    if epochs_done and hasattr(model.criterion, "update"):
        model.criterion.updates = epochs_done - 1
        model.criterion.update()


def _plain(value: Any) -> Any:
    """Containers and numbers of Python instead of numpy's."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value
