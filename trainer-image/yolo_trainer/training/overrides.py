"""Ultralytics' arguments for one training: template, then remedies, then what the trainer itself decides."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from yolo_crds.arguments import choose_optimizer, parse_value
from yolo_crds.models import infer_task
from yolo_crds.schema import load_schema
from yolo_crds.trainer import Prepared, TrainerConfig

_SAME_NAME = ("epochs", "batch", "imgsz", "patience", "seed", "time", "save_period")
_CACHE: dict[str, str | bool] = {"none": False, "ram": "ram", "disk": "disk"}


def build_overrides(
    config: TrainerConfig, prepared: Prepared, save_dir: Path, device: str, cpus: int
) -> dict[str, object]:
    """All arguments that differ from Ultralytics' defaults; `amp` is the template's wish, `cpus` are those of
    this process: several ranks share the pod's.
    """
    template = config.template
    chosen: dict[str, object] = {name: getattr(template, name) for name in _SAME_NAME}
    chosen |= {"cache": _CACHE[template.cache], "amp": template.amp, "workers": template.workers_wanted}
    given = [*template.hyperparameters, *template.extra_args]
    chosen["optimizer"], _ = choose_optimizer(template.optimizer, given)
    chosen |= template.hyperparameters
    chosen |= {name: parse_value(text) for name, text in template.extra_args.items()}
    chosen |= {k: parse_value(v) if isinstance(v, str) else v for k, v in config.overrides.items()}
    if template.resources.all_gpus > 1 and chosen.get("rect"):
        chosen["rect"] = False  # prepare has said so
    return {
        **{k: _whole(k, v) for k, v in chosen.items()},
        "task": template.task or prepared.task or infer_task(template.model),
        "mode": "train",
        "model": prepared.weights or _architecture(template.model),
        "data": prepared.data_yaml,
        "device": device,
        "workers": min(int(str(chosen["workers"])), cpus),
        "project": str(save_dir.parent),
        "name": save_dir.name,
        "save_dir": str(save_dir),
        "exist_ok": True,
        "save": True,
        "resume": False,
    }


def _architecture(model: str) -> str:
    """Without a file on the volume the model is an architecture of the package."""
    return PurePosixPath(model).name if model.endswith((".yaml", ".yml")) else model


def _whole(name: str, value: object) -> object:
    """A JSON number may come as 3.0 for an argument that takes whole numbers alone."""
    argument = load_schema().arguments.get(name)
    whole = name == "batch" or (argument is not None and "integer" in argument.types)
    return int(value) if whole and isinstance(value, float) and value.is_integer() else value
