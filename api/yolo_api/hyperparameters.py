"""From the old server's `hyp_dict` to Ultralytics' arguments: what is passed, scaled, left out or refused.

The old keys are the 28 of YOLOv5 v7.0's `data/hyps/hyp.scratch-low.yaml`; defaults are quoted from there.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from yolo_crds.arguments import check_extra_args, check_hyperparameters
from yolo_crds.schema import load_schema, nearest

SCALED = {"box": 0.05, "cls": 0.5}
"""Loss gains of the same name and another loss, with YOLOv5's defaults."""
V5_BOX_MAX = 1.0
"""YOLOv5 evolves `box` between 0.02 and 0.2, Ultralytics tunes it between 1 and 20: below is a v5 value."""
WITHOUT_COUNTERPART = ("obj", "obj_pw", "iou_t", "anchor_t", "fl_gamma")
NOT_PASSED = "cls_pw"
BESIDE = {"epochs": "epochs", "batch": "batch_size", "batch_size": "batch_size", "imgsz": "imgsz"}
"""Fields of the request that some would look for here."""
NEEDS_OBEDIENT_OPTIMIZER = ("lr0", "momentum")
OBEDIENT_OPTIMIZER = "SGD"
"""YOLOv5's default; Ultralytics' `auto` chooses its own lr0 and momentum."""


@dataclass
class Converted:
    """What becomes of a `hyp_dict`."""

    hyperparameters: dict[str, float] = field(default_factory=dict)
    """For `template.hyperparameters`."""
    extra_args: dict[str, str] = field(default_factory=dict)
    """For `template.extraArgs`: hyperparameters that are words."""
    optimizer: str = "auto"
    warnings: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Field and sentence of what has to be refused."""


def convert_hyperparameters(hyp_dict: Mapping[str, object]) -> Converted:
    """Sorts every key of a `hyp_dict` into what the trainer is told, a warning, or a problem."""
    converted = Converted()
    ignored = [name for name in WITHOUT_COUNTERPART if name in hyp_dict]
    if ignored:
        names = ", ".join(ignored)
        converted.warnings.append(f"hyp_dict: ignored {names}: Ultralytics has no counterpart")
    if NOT_PASSED in hyp_dict:
        converted.warnings.append(
            f"hyp_dict: ignored {NOT_PASSED}: it means something else in Ultralytics than in YOLOv5"
        )
    for name, value in hyp_dict.items():
        if name not in WITHOUT_COUNTERPART and name != NOT_PASSED:
            _convert_one(name, value, converted)
    if any(name in converted.hyperparameters for name in NEEDS_OBEDIENT_OPTIMIZER):
        converted.optimizer = OBEDIENT_OPTIMIZER
    return converted


def _convert_one(name: str, value: object, converted: Converted) -> None:
    argument = load_schema().arguments.get(name)
    if argument is None or argument.section != "hyperparameters":
        converted.problems.append((f"hyp_dict.{name}", _unknown(name)))
        return
    if not {"number", "integer"} & set(argument.types):
        converted.extra_args[name] = str(value)
        problems = check_extra_args({name: str(value)}, "hyp_dict")
    elif (number := _to_number(value)) is None:
        converted.problems.append((f"hyp_dict.{name}", f"must be a number, got {value!r}"))
        return
    else:
        scaled = _scale(name, number, converted.warnings)
        converted.hyperparameters[name] = scaled
        problems = check_hyperparameters({name: scaled}, "hyp_dict")
    converted.problems += [(problem.field, problem.message) for problem in problems]


def _scale(name: str, value: float, warnings: list[str]) -> float:
    """A YOLOv5 loss gain on Ultralytics' scale: times (new default / old default)."""
    if name not in SCALED or (name == "box" and value >= V5_BOX_MAX):
        return value
    default = load_schema().arguments[name].default
    factor = float(str(default)) / SCALED[name]
    scaled = round(value * factor, 6)
    if scaled != value:
        warnings.append(
            f"hyp_dict: {name} {value:g} was taken as a YOLOv5 value and scaled to {scaled:g}: "
            f"its default is {SCALED[name]:g} there and {default:g} in Ultralytics"
        )
    return scaled


def _to_number(value: object) -> float | None:
    """The number in a JSON value; some clients send numbers as strings."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _unknown(name: str) -> str:
    if name in BESIDE:
        return f"is no hyperparameter; give {BESIDE[name]!r} beside hyp_dict"
    known = [n for n, argument in load_schema().arguments.items() if argument.section == "hyperparameters"]
    like = nearest(name, {*known, *WITHOUT_COUNTERPART})
    return "is no hyperparameter of YOLOv5 or Ultralytics" + (f"; did you mean {like!r}?" if like else "")
