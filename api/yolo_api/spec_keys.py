"""Which key of `POST /start` is which field of the custom resource: one table, read from its models.

A field for which the old body had no word has its own name in snake_case, so what comes into the resource can
be given over REST too.
"""

from collections.abc import Iterator

from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from yolo_crds.base import Model
from yolo_crds.schema import load_schema
from yolo_crds.training import Data, Lifecycle, Resources, Scheduling, Spec, Template

Path = tuple[str, ...]
"""Of a field below `spec`, as in the custom resource."""

OWN_KEYS: dict[Path, str] = {
    ("modelName",): "model_name",
    ("resume",): "continue_train",
    ("template", "model"): "model_type",
    ("template", "epochs"): "epochs",
    ("template", "batch"): "batch_size",
    ("template", "imgsz"): "imgsz",
    ("template", "workers"): "workers",
    ("template", "hyperparameters"): "hyp_dict",
    ("template", "extraArgs"): "hyp_dict",
    ("template", "data", "train"): "train_ucd",
    ("template", "data", "val"): "val_ucd",
    ("template", "data", "labels"): "labels",
    ("template", "data", "lostLabels"): "lost_labels",
    ("template", "data", "missingClasses"): "missing_classes",
}
"""Fields that have a key of their own in the body."""
WITHOUT_KEY: frozenset[Path] = frozenset({("run",), ("stop",), ("suspend",)})
"""Fields that a request to start does not choose: it makes the next run, and that runs."""
_RENAMED: dict[Path, str] = {
    ("template", "data", "seed"): "data_seed",
    ("template", "data", "image"): "data_image",
}
_GROUPS: dict[Path, type[Model]] = {
    ("lifecycle",): Lifecycle,
    ("template",): Template,
    ("template", "data"): Data,
    ("template", "resources"): Resources,
    ("template", "scheduling"): Scheduling,
}


def _fields(model: type[Model], path: Path) -> Iterator[tuple[Path, FieldInfo]]:
    for name, field in model.model_fields.items():
        here = (*path, to_camel(name))
        if group := _GROUPS.get(here):
            yield from _fields(group, here)
        else:
            yield here, field


FIELDS: dict[Path, FieldInfo] = dict(_fields(Spec, ()))
"""Every field below `spec`."""


def _key(path: Path) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in path[-1])


OPTIONS: dict[str, Path] = {
    _RENAMED.get(path, _key(path)): path
    for path in FIELDS
    if path not in OWN_KEYS and path not in WITHOUT_KEY
}
"""The further keys of the body, each with its field."""
KEYS: dict[Path, str] = OWN_KEYS | {path: key for key, path in OPTIONS.items()}
"""The key of every field that has one."""
ARGUMENTS: dict[str, str] = {
    name: KEYS["template", to_camel(name)]
    for name in Template.model_fields
    if name in load_schema().arguments and name != "data"
}
"""The key of each argument of Ultralytics that is a field of its own, by Ultralytics' name."""
