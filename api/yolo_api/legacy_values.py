"""The kinds of values that old clients send: numbers as text, a `device`, class names in several forms."""

import ast
import json
from typing import Annotated, Any, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

MAX_GPUS = 64
_DEVICE = 'must be an index from 0 (one GPU), a list such as "0,1" or [0, 1] (so many GPUs), or "cpu" or -1'
_LABELS = 'must be class names joined by ",", a list of them, or the path of a file with one name a line'
_HYP_DICT = 'must be an object such as {"lr0": 0.01}'


class Legacy(BaseModel):
    """A value in the old server's snake_case form."""

    model_config = ConfigDict(protected_namespaces=(), use_attribute_docstrings=True)


def field_type(field: FieldInfo) -> Any:
    """The type of a model's field with its bounds and checks."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def members(annotation: Any) -> set[Any]:
    """A type, and of a union those that it is made of."""
    return {get_origin(one) or one for one in (annotation, *get_args(annotation))}


def no_truth_value(value: object) -> object:
    """Refuses true and false where a number is asked for: pydantic would take them for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number, got {str(value).lower()}")  # noqa: TRY004 - for pydantic
    return value


def _to_gpus(value: object) -> int:
    """How many GPUs an old `device` means. The scheduler chooses which: an index only says "one"."""
    if isinstance(value, str):
        value = value.strip().lower().removeprefix("cuda:")
        if value in ("", "cuda"):
            return 1
        if value == "cpu":
            return 0
        value = [part.strip() for part in value.split(",")] if "," in value else value
    many = value if isinstance(value, list) else [value]
    try:
        numbers = [_to_index(one) for one in many]
    except ValueError:
        raise ValueError(_DEVICE) from None
    if isinstance(value, list):
        if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
            raise ValueError(_DEVICE)
        if len(numbers) > MAX_GPUS:
            raise ValueError(f"at most {MAX_GPUS} GPUs, got {len(numbers)}")
        return len(numbers)
    if numbers[0] < -1:
        raise ValueError(_DEVICE)
    return 0 if numbers[0] == -1 else 1


def _to_index(value: object) -> int:
    """A whole number, also as text or with `.0`. Raises ValueError."""
    return int(value) if isinstance(value, float) and value.is_integer() else int(str(value))


def _to_labels(value: object) -> object:
    """A list of class names, or the text as it is. The text of a list is read as one, JSON's or Python's."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _parse(value)
    if value in ("", []):
        raise ValueError(f"{_LABELS}; these name no class")
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise ValueError(_LABELS)  # noqa: TRY004 - for pydantic
    for one in value:
        if isinstance(one, bool) or not isinstance(one, str | int | float):
            raise ValueError(f"{_LABELS}; a class name is a text, not {_shown(one)}")  # noqa: TRY004
    return [str(one) for one in value]


def _parse(text: str) -> list[object]:
    for read in (json.loads, ast.literal_eval):
        try:
            parsed = read(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(parsed, list):
            return parsed
    raise ValueError(f'{_shown(text)} begins as a list and is none; give one such as ["helmet", "person"]')


def _to_hyp_dict(value: object) -> object:
    """An object, or its JSON text, as forms send it."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except (ValueError, RecursionError):
            raise ValueError(f"{_HYP_DICT}, got {_shown(value)}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{_HYP_DICT}, got {_shown(value)}")  # noqa: TRY004 - for pydantic
    return value


def _check_batch_size(size: float) -> float:
    if 0 < size < 1:
        return size
    if not size.is_integer():
        raise ValueError(f"must be a whole number, or below 1 as a part of the GPU's memory, got {size:g}")
    if size == 0:
        raise ValueError("must be at least 1, or -1 to choose by the GPU's memory")
    return int(size)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


Whole = Annotated[int, BeforeValidator(no_truth_value)]
"""A whole number, or one as a string."""
Gpus = Annotated[
    int,
    BeforeValidator(_to_gpus),
    Field(json_schema_extra={"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "array"}]}),
]
"""A number of GPUs, from an old `device`."""
BatchSize = Annotated[
    float, BeforeValidator(no_truth_value), Field(ge=-1, le=65_536), AfterValidator(_check_batch_size)
]
"""Images a step; whole, or -1, or a part of the GPU's memory."""
Labels = Annotated[str | list[str], BeforeValidator(_to_labels)]
HypDict = Annotated[dict[str, Any], BeforeValidator(_to_hyp_dict)]
