"""Arguments in `hyp_dict` that have a key of their own in the body of `POST /start`: taken for that key."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from .errors import InvalidFieldsError, to_problem
from .legacy_values import field_type
from .schemas import StartRequest
from .spec_keys import ARGUMENTS


def own_key(name: str) -> str | None:
    """The key beside `hyp_dict` that an argument belongs to, by Ultralytics' name or the old server's."""
    return ARGUMENTS.get(name) or (name if name in ARGUMENTS.values() else None)


def lift_arguments(request: StartRequest) -> StartRequest:
    """The request with those arguments under their own keys; null leaves one out, as in the body.

    Raises InvalidFieldsError for a wrong value, and for one that is given twice and not the same.
    """
    found = {name: key for name in request.hyp_dict if (key := own_key(name))}
    given: dict[str, Any] = {
        key: getattr(request, key) for key in request.model_fields_set & set(found.values())
    }
    whose = dict.fromkeys(given, "the body")
    problems = []
    for name, key in found.items():
        if (value := request.hyp_dict[name]) is None:
            continue
        try:
            taken = TypeAdapter(field_type(type(request).model_fields[key])).validate_python(value)
        except ValidationError as error:
            problems.append((f"hyp_dict.{name}", to_problem(dict(error.errors()[0]) | {"loc": (name,)})[1]))
            continue
        if key in given and given[key] != taken:
            there = f"{key!r} beside it" if whose[key] == "the body" else f"{whose[key]!r}"
            text = f"is {_shown(taken)} here and {_shown(given[key])} in {there}; give one of them"
            problems.append((f"hyp_dict.{name}", text))
        given[key] = taken
        whose.setdefault(key, name)
    if problems:
        raise InvalidFieldsError(problems)
    return request.model_copy(update=given | {"hyp_dict": _without(request.hyp_dict, found)})


def _without(hyp_dict: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {name: value for name, value in hyp_dict.items() if name not in names}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
