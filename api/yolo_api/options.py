"""The further keys of `POST /start` as a model: types, bounds and words are those of the custom resource."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, create_model
from pydantic_core import to_jsonable_python

from .legacy_values import Legacy, field_type, members, no_truth_value
from .spec_keys import FIELDS, OPTIONS, Path
from .wording import to_rest_words

Manifest = dict[str, Any]


def _cache_of_ultralytics(value: object) -> object:
    """Ultralytics has true for `ram` and false for none."""
    return {True: "ram", False: "none"}.get(value, value) if isinstance(value, bool) else value


_BEFORE = {"cache": _cache_of_ultralytics}


def _to_field(key: str, path: Path) -> Any:
    declared = FIELDS[path]
    kind = field_type(declared)
    if {int, float} & members(declared.annotation):
        kind = Annotated[kind, BeforeValidator(no_truth_value)]
    if key in _BEFORE:
        kind = Annotated[kind, BeforeValidator(_BEFORE[key])]
    shown = to_jsonable_python(declared.get_default(call_default_factory=True), by_alias=False)
    words = to_rest_words(declared.description or "")
    return kind | None, Field(default=None, description=words, json_schema_extra={"default": shown})


SpecOptions: Any = create_model(
    "SpecOptions", __base__=Legacy, **{key: _to_field(key, path) for key, path in OPTIONS.items()}
)
"""Every further key; unset: what the resource, or the installation, has for it."""


def place_options(options: BaseModel, spec: Manifest) -> None:
    """Writes every option that was sent into a spec, at its place."""
    for key, (*groups, name) in OPTIONS.items():
        if key not in options.model_fields_set:
            continue
        place = spec
        for group in groups:
            place[group] = place = dict(place.get(group) or {})
        place[name] = to_jsonable_python(getattr(options, key), by_alias=True, exclude_none=True)
