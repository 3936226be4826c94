"""What the trained Ultralytics accepts: checks of its arguments, and the metric of each task.

The façade's checks with it are advice (versions may differ); the trainer's prepare stage is the authority.
"""

import ast
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import get_args

from .models import known_model, parse_earlier_run
from .schema import Argument, load_schema, nearest
from .training import Task, Template

OPTIMIZERS = ("auto", "SGD", "MuSGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop")
"""Accepted whatever the case; from Ultralytics' `build_optimizer` (the schema says only "a string")."""

OBEDIENT_OPTIMIZER = "SGD"
"""YOLOv5's default; it obeys what `auto` sets itself."""
CHOSEN_BY_AUTO = ("lr0", "momentum", "warmup_bias_lr")
"""Hyperparameters that the optimizer `auto` sets itself (Ultralytics' `build_optimizer`)."""

AUTO_BATCH = 0.6
"""The part of the GPU's memory that Ultralytics fills for batch -1 (`check_train_batch_size`)."""

_FIELDS = {
    name: "".join(w.title() if i else w for i, w in enumerate(name.split("_")))
    for name in Template.model_fields
}
_OWNED = {
    "data": "the data set is named by spec.template.data",
    "device": "the scheduler chooses GPUs; set spec.template.resources.gpus",
    "resume": "set spec.resume",
    "mode": "the trainer trains",
    "project": "the run folder is chosen by spec.modelName",
    "name": "the run folder is chosen by spec.modelName",
    "save_dir": "the run folder is chosen by spec.modelName",
    "exist_ok": "the run folder is chosen by spec.modelName",
    "save": "checkpoints are always kept",
    "cfg": "name the arguments one by one in spec.template",
    "cls_pw": "YOLOv5 and Ultralytics mean different things by it, so it is never passed on",
    "distill_model": "a second checkpoint is not loaded",
    "source": "it belongs to prediction",
    "embed": "it belongs to prediction",
    "show": "a pod has no screen",
    "tracker": "it belongs to tracking",
    "format": "it belongs to export",
}
_ELSEWHERE = dict.fromkeys(("lr", "learning_rate", "initial_lr"), "lr0") | {"wd": "weight_decay"}
"""What other trainers call an argument, where the spelling alone leads to another one or to none."""
_IMAGES_A_GPU = 8
_TYPE_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "a word",
    "array": "a list such as [1, 2]",
}


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a template: the field as in the custom resource, and a sentence for a person."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def parse_value(text: str) -> object:
    """The value of an argument as Ultralytics' command line reads it: `none`, `true`, `false`, a Python
    literal (number, list, quoted string), else the text itself.
    """
    words: dict[str, object] = {"none": None, "true": True, "false": False}
    if (lower := text.strip().lower()) in words:
        return words[lower]
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def check_hyperparameters(
    hyperparameters: Mapping[str, float], prefix: str = "template.hyperparameters"
) -> list[Problem]:
    """What is wrong with numeric hyperparameters: unknown, not numeric, out of bounds, a field elsewhere."""
    problems = []
    for name, value in hyperparameters.items():
        field = f"{prefix}.{name}"
        argument, refused = _known_argument(name)
        if argument is None:
            problems.append(Problem(field, refused))
        elif not {"number", "integer"} & set(argument.types):
            problems.append(Problem(field, f"takes {_words(argument)}, no number; put it into extraArgs"))
        elif wrong := _check_value(argument, value):
            problems.append(Problem(field, wrong))
    return problems


def check_extra_args(extra: Mapping[str, str], prefix: str = "template.extraArgs") -> list[Problem]:
    """What is wrong with arguments that are given as text, the values as on Ultralytics' command line."""
    problems = []
    for name, text in extra.items():
        field = f"{prefix}.{name}"
        argument, refused = _known_argument(name)
        if argument is None:
            problems.append(Problem(field, refused))
        elif name == "pretrained" and not isinstance(parse_value(text), bool):
            problems.append(Problem(field, "takes true or false; a checkpoint is named by template.model"))
        elif wrong := _check_value(argument, parse_value(text)):
            problems.append(Problem(field, wrong))
    return problems


def check_model(model: str, task: Task | None = None, prefix: str = "template") -> list[Problem]:
    """What is wrong with a model's name, and with a task that the named model is not made for.

    Whether a checkpoint is there is for the prepare stage to say.
    """
    field = f"{prefix}.model"
    try:
        if parse_earlier_run(model) is not None:
            return []
    except ValueError as error:
        return [Problem(field, str(error))]
    path = PurePosixPath(model)
    if path.is_absolute() or ".." in path.parts:
        return [Problem(field, f"{model!r} is not below the weights folder; give the path relative to it")]
    if path.suffix in {".onnx", ".engine", ".torchscript", ".tflite", ".safetensors", ".zip", ".json"}:
        return [Problem(field, f"{model!r} cannot be trained; give a .pt checkpoint or a .yaml architecture")]
    known = known_model(model)
    if task and known and known.task != task:
        return [Problem(f"{prefix}.task", f"{model!r} is a model for {known.task!r}, not for {task!r}")]
    return []


def check_batch(batch: float, gpus: int) -> str | None:
    """What is wrong with a batch that so many GPUs share: each takes the same number of images.

    Ultralytics chooses a batch by memory on one GPU alone, and of one that cannot be shared drops the rest.
    """
    if gpus <= 1:
        return None
    if batch < 1:
        return (
            f"{batch:g} lets the memory of one GPU choose; for {gpus} GPUs give a number of images that is a "
            f"multiple of {gpus}, as {gpus * _IMAGES_A_GPU}"
        )
    if batch % gpus:
        above = math.ceil(batch / gpus) * gpus
        right = f"{above - gpus} or {above}" if above > gpus else f"{above}"
        return f"{batch:g} images cannot be shared by {gpus} GPUs: it takes a multiple of {gpus}, as {right}"
    return None


def check_nodes(gpus: int, nodes: int) -> str | None:
    """What is wrong with pods of so many GPUs each on so many nodes: those without any would train alone."""
    if nodes > 1 and gpus < 1:
        return f"{nodes} nodes train on at least one GPU each; set gpus to 1 or more, or nodes to 1"
    return None


def check_arguments(template: Template) -> list[Problem]:
    """Everything in a template that the trained Ultralytics would refuse; empty when all is well."""
    problems = check_model(template.model, template.task)
    if template.optimizer and template.optimizer.lower() not in {o.lower() for o in OPTIMIZERS}:
        known = ", ".join(OPTIMIZERS)
        problems.append(Problem("template.optimizer", f"{template.optimizer!r} is none of {known}"))
    if wrong := check_nodes(template.resources.gpus, template.resources.nodes):
        problems.append(Problem("template.resources.gpus", wrong))
    if wrong := check_batch(template.batch, template.resources.all_gpus):
        problems.append(Problem("template.batch", wrong))
    problems += check_hyperparameters(template.hyperparameters)
    problems += check_extra_args(template.extra_args)
    for name in sorted(template.hyperparameters.keys() & template.extra_args.keys()):
        problems.append(Problem(f"template.extraArgs.{name}", "is given in hyperparameters too; drop one"))
    return problems


def choose_optimizer(optimizer: str | None, names: Iterable[str]) -> tuple[str, str | None]:
    """The optimizer that trains, and the warning if there is any, for hyperparameters given by these names.

    `auto` sets some of them itself, so that they have no effect. Where one is given and no optimizer is
    named, one is taken that obeys it.
    """
    given = set(names)
    ignored = " and ".join(name for name in CHOSEN_BY_AUTO if name in given)
    if optimizer is None:
        taken = f"optimizer: took {OBEDIENT_OPTIMIZER}, since auto ignores {ignored}"
        return (OBEDIENT_OPTIMIZER, taken) if ignored else ("auto", None)
    if optimizer.lower() != "auto" or not ignored:
        return optimizer, None
    return optimizer, f"optimizer auto ignores {ignored}; name an optimizer, such as SGD or AdamW"


def _known_argument(name: str) -> tuple[Argument | None, str]:
    """The argument, or None and why it cannot be given by its name."""
    if name in _OWNED:
        return None, f"cannot be set: {_OWNED[name]}"
    if name in _FIELDS or name in _FIELDS.values():
        return None, f"has a field of its own: spec.template.{_FIELDS.get(name, name)}"
    schema = load_schema()
    if argument := schema.arguments.get(name):
        return argument, ""
    plain = _in_snake_case(name)
    like = _ELSEWHERE.get(plain) or nearest(plain, (schema.arguments.keys() | _FIELDS.keys()) - _OWNED.keys())
    meant = f"the field spec.template.{_FIELDS[like]}" if like in _FIELDS else repr(like)
    advice = f"; did you mean {meant}?" if like else ""
    return None, f"Ultralytics {schema.ultralytics} has no argument {name!r}{advice}"


def _in_snake_case(name: str) -> str:
    """`closeMosaic`, `LR0` and `close-mosaic` as Ultralytics writes names."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[\W_]+", "_", name).lower()


def _words(argument: Argument) -> str:
    return " or ".join(_TYPE_WORDS[t] for t in argument.types) + (" or none" if argument.nullable else "")


def _type_fits(argument: Argument, value: object) -> bool:
    types = argument.types
    if value is None:
        return argument.nullable
    if isinstance(value, bool):
        return "boolean" in types
    if isinstance(value, int | float):
        # Ultralytics takes 10.0 for a whole number.
        return "number" in types or ("integer" in types and float(value).is_integer())
    if isinstance(value, list | tuple):
        return "array" in types
    return isinstance(value, str) and "string" in types


def _check_value(argument: Argument, value: object) -> str | None:
    if not _type_fits(argument, value):
        return f"{value!r} does not fit; it takes {_words(argument)}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value):
        return "is not a finite number"
    low, high = argument.minimum, argument.maximum
    if low is not None and value < low:
        return f"{value:g} is too small; at least {low:g}"
    if high is not None and value > high:
        return f"{value:g} is too large; at most {high:g}"
    return None


_WHICH: dict[Task, str] = {"segment": "mask ", "pose": "pose ", "obb": "obb "}
"""What a mean average precision is of, where it is not that of upright boxes."""


def _headlines() -> dict[Task, tuple[str, str]]:
    metrics = load_schema().task_metric
    return {task: (metrics[task], _short_metric(task, metrics[task])) for task in get_args(Task)}


def _short_metric(task: Task, key: str) -> str:
    return _WHICH.get(task, "") + re.sub(r"\(\w\)$", "", key.removeprefix("metrics/"))


HEADLINE: dict[Task, tuple[str, str]] = _headlines()
"""The metric that a task is judged by: its key in Ultralytics' metrics and a short name for people."""


def pick_headline(task: Task, metrics: Mapping[str, float | None]) -> tuple[str, float] | None:
    """Name and value of the metric that a training is judged by; None before the first validation.

    `task` is what the spec says, or the model's name, and a checkpoint's own name need not say it: masks and
    keypoints are then told by what was measured, for boxes are measured beside them.
    """
    told: list[Task] = [t for t in ("segment", "pose") if HEADLINE[t][0] in metrics]
    for kind in dict.fromkeys([*told, task, *HEADLINE]):
        key, name = HEADLINE[kind]
        if key in metrics:
            value = metrics[key]
            return None if value is None else (name, value)
    return None
