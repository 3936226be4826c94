"""Check what the user asked for against the installed Ultralytics, before a GPU is asked for."""

from __future__ import annotations

import importlib.metadata

from yolo_crds.arguments import check_arguments, choose_optimizer, parse_value
from yolo_crds.schema import load_schema
from yolo_crds.trainer import TrainerConfig
from yolo_crds.training import Template

from ..errors import InvalidArgumentsError

_NO_RECT = "rect does not go with several GPUs, which share batches in random order; trained without it"


def check_template(config: TrainerConfig) -> list[str]:
    """Warnings about a template that can be trained.

    Raises InvalidArgumentsError that names every wrong field, and the nearest known name of an unknown one.
    """
    problems = check_arguments(config.template)
    if problems:
        raise InvalidArgumentsError("; ".join(str(problem) for problem in problems))
    template = config.template
    _, told = choose_optimizer(template.optimizer, [*template.hyperparameters, *template.extra_args])
    return [
        *([told] if told else []),
        *([_NO_RECT] if _wants_rect(template) else []),
        *_version_warnings(template),
    ]


def _wants_rect(template: Template) -> bool:
    return template.resources.all_gpus > 1 and parse_value(template.extra_args.get("rect", "false")) is True


def _version_warnings(template: Template) -> list[str]:
    """The schema is of the image's own build; another Ultralytics may know other names, and then it decides.

    Raises InvalidArgumentsError for a name that the installed version does not have.
    """
    schema = load_schema()
    try:
        installed = importlib.metadata.version("ultralytics")
    except importlib.metadata.PackageNotFoundError:
        return []
    if installed == schema.ultralytics:
        return []
    # Here and not above: prepare's pure parts run where Ultralytics is not installed.
    from ultralytics.cfg import DEFAULT_CFG_DICT

    wanted = [*template.hyperparameters, *template.extra_args]
    if missing := sorted(set(wanted) - DEFAULT_CFG_DICT.keys()):
        raise InvalidArgumentsError(f"Ultralytics {installed} has no argument {', '.join(missing)}")
    return [f"arguments were checked for Ultralytics {schema.ultralytics}; {installed} is installed"]
