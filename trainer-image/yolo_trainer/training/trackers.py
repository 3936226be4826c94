"""No tracker that is merely installed becomes active."""

from __future__ import annotations

import importlib.util


def switch_off_trackers() -> None:
    """Every tracker that is merely installed would become active; TensorBoard alone is wanted, if there."""
    from ultralytics import settings

    off = ("sync", "clearml", "comet", "dvc", "mlflow", "neptune", "raytune", "wandb")
    wanted = dict.fromkeys(off, False) | {"tensorboard": importlib.util.find_spec("tensorboard") is not None}
    changes = {name: value for name, value in wanted.items() if settings.get(name, value) != value}
    if changes:  # not at all with the image's seed: several ranks would write one file
        settings.update(changes)
