"""From the old server's `hyp_dict` to Ultralytics' arguments: what is passed, scaled, left out or refused.

The old keys are the 28 of YOLOv5 v7.0's `data/hyps/hyp.scratch-low.yaml`; defaults are quoted from there.
Arguments that have a key of their own in the body are no longer among them here (`hyp_arguments`).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from yolo_crds.arguments import check_extra_args, check_hyperparameters
from yolo_crds.schema import Argument, load_schema, nearest

from .spec_keys import KEYS
from .wording import to_rest_words

SCALED = {"box": 0.05, "cls": 0.5}
"""Loss gains of the same name and another loss, with YOLOv5's defaults."""
V5_BOX_MAX = 1.0
"""YOLOv5 evolves `box` between 0.02 and 0.2, Ultralytics tunes it between 1 and 20: below is a v5 value."""
WITHOUT_COUNTERPART = ("obj", "obj_pw", "iou_t", "anchor_t", "fl_gamma")
NOT_PASSED = "cls_pw"
TEXT_MAX = 256
"""Characters of an argument that is no number, as in `template.extraArgs`."""
_PROBLEMS_MAX = 20
"""So many are named: of more than that nobody reads the rest, and looking for what was meant takes time."""


@dataclass
class Converted:
    """What becomes of a `hyp_dict`."""

    hyperparameters: dict[str, float] = field(default_factory=dict)
    """For `template.hyperparameters`."""
    extra_args: dict[str, str] = field(default_factory=dict)
    """For `template.extraArgs`: arguments that are no numbers."""
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
        if len(converted.problems) >= _PROBLEMS_MAX:
            converted.problems.append(("hyp_dict", f"and perhaps more: the first {_PROBLEMS_MAX} are named"))
            break
    return converted


def _convert_one(name: str, value: object, converted: Converted) -> None:
    argument = load_schema().arguments.get(name)
    if argument is None:
        converted.problems.append((f"hyp_dict.{name[:64]}", _unknown(name[:64])))
        return
    number = _to_number(value) if {"number", "integer"} & set(argument.types) else None
    if number is not None:
        scaled = _scale(name, number, converted.warnings)
        converted.hyperparameters[name] = scaled
        problems = check_hyperparameters({name: scaled}, "hyp_dict")
    elif (text := _to_text(value)) is None or not _may_be_text(argument):
        converted.problems.append((f"hyp_dict.{name}", f"must be {_kinds(argument)}, got {_shown(value)}"))
        return
    elif len(text) > TEXT_MAX:
        text = f"has {len(text)} characters; at most {TEXT_MAX}"
        converted.problems.append((f"hyp_dict.{name}", text))
        return
    else:
        converted.extra_args[name] = text
        problems = check_extra_args({name: text}, "hyp_dict")
    converted.problems += [(problem.field, to_rest_words(problem.message)) for problem in problems]


def _may_be_text(argument: Argument) -> bool:
    """Whether an argument takes what is no number: a word, a truth value, a list, or none."""
    return argument.nullable or bool({"string", "boolean", "array"} & set(argument.types))


def _to_text(value: object) -> str | None:
    """A JSON value as Ultralytics' command line has it; None for what it has no form for."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, allow_nan=False) if isinstance(value, list | int | float) else None
    except (ValueError, RecursionError):
        return None


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
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _kinds(argument: Argument) -> str:
    words = {"integer": "a number", "number": "a number", "boolean": "true or false"}
    kinds = [words.get(kind, f"a {kind}") for kind in argument.types]
    return " or ".join(dict.fromkeys(kinds)).replace("a array", "a list")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _unknown(name: str) -> str:
    if name in KEYS.values():
        return f"is no hyperparameter; give {name!r} beside hyp_dict"
    like = nearest(name, {*load_schema().arguments, *WITHOUT_COUNTERPART})
    return "is no argument of YOLOv5 or Ultralytics" + (f"; did you mean {like!r}?" if like else "")
