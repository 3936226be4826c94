"""Every bound of the CRD on a real API server: the last value inside and the first one outside.

The objects are made from the schema, so that a new field is tested as soon as it is there.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from integration.trainings_api import Body, TrainingsApi, refusals
from yolo_crds.generate import build_crd
from yolo_crds.meta import API_VERSION, KIND
from yolo_crds.structural import ANYTHING, INT_OR_STRING

Schema = dict[str, Any]

NAME = "crd-bounds"
PATTERNS = {
    # pattern: what fits, whatever stands of its first character before it; what does not
    r"^([A-Za-z0-9._/-]+|run:[^/]+/(best|last)(\.pt)?)$": ("yolo11n.yaml", "yolo11n; rm -rf /"),
    r"^[A-Za-z]+$": ("SGD", "SGD 2"),
    r"^[a-z0-9.-]+/[A-Za-z0-9_.-]+$": ("nvidia.com/gpu", "gpu"),
    r"^[a-z0-9][A-Za-z0-9._:/@-]*$": ("registry.example.org/cats:1", "Registry.example.org/cats"),
    r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$": ("gpu-queue.a", "gpu_queue"),
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$": (
        "topology.kubernetes.io/rack",
        "rack of mine",
    ),
    r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$": ("2.5Gi", "lots"),
}
WORDS = {
    "minimum": "should be greater than or equal to",
    "maximum": "should be less than or equal to",
    "minLength": "should be at least",
    "maxLength": "may not be more than",
    "pattern": "should match",
    "enum": "Unsupported value",
    "maxItems": "must have at most",
    "maxProperties": "must have at most",
    "required": "Required value",
}
"""What the API server says of a value outside, by the schema's keyword."""
# Rules have a test of their own; the others refuse nothing that has the right type.
NO_BOUNDS = frozenset(
    {"type", "description", "default", "properties", "items", "additionalProperties"}
    | {
        "x-kubernetes-validations",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
    }
    | {"anyOf", INT_OR_STRING, ANYTHING, "nullable"}
)


@dataclass(frozen=True)
class Bound:
    """One keyword of one field, with an object on either side of it."""

    field: str
    keyword: str
    inside: Body
    outside: Body


def find_bounds(schema: Schema, field: str, place: Callable[[Any], Body]) -> Iterator[Bound]:
    """The bounds of a field and of all below it; `place` makes an object of a value of the field."""
    if unknown := schema.keys() - NO_BOUNDS - WORDS.keys():
        raise ValueError(f"{field}: no test knows {unknown}")
    for keyword, inside, outside in _sides(schema):
        yield Bound(field, keyword, place(inside), place(outside))
    least = _sample(schema) if schema.get("type") == "object" else {}
    for name in schema.get("required", []):
        without = {key: value for key, value in least.items() if key != name}
        yield Bound(_join(field, name), "required", place(least), place(without))
    for name, child in schema.get("properties", {}).items():
        yield from find_bounds(child, _join(field, name), _place_in(place, least, name))
    if "items" in schema:
        yield from find_bounds(schema["items"], f"{field}[0]", lambda value: place([value]))
    if "additionalProperties" in schema:
        yield from find_bounds(
            schema["additionalProperties"], f"{field}.a", lambda value: place({"a": value})
        )


def _place_in(place: Callable[[Any], Body], least: Body, name: str) -> Callable[[Any], Body]:
    return lambda value: place(least | {name: value})


def _sides(schema: Schema) -> Iterator[tuple[str, Any, Any]]:
    """(keyword, a value just inside, one just outside) of the schema's own bounds."""
    whole = schema.get("type") == "integer" or INT_OR_STRING in schema
    if (low := schema.get("minimum")) is not None:
        yield "minimum", low, low - 1 if whole else math.nextafter(low, -math.inf)
    if (high := schema.get("maximum")) is not None:
        yield "maximum", high, high + 1 if whole else math.nextafter(high, math.inf)
    for keyword, step in (("minLength", -1), ("maxLength", 1)):
        if (length := schema.get(keyword)) is not None:
            yield keyword, _text(schema, length), _text(schema, length + step)
    if (pattern := schema.get("pattern")) is not None:
        yield "pattern", *PATTERNS[pattern]
    for value in schema.get("enum", []):
        yield "enum", value, f"{value}x"
    if (most := schema.get("maxItems")) is not None:
        items = [_sample(schema.get("items", {}))] * (most + 1)
        if schema.get("x-kubernetes-list-type") == "set":
            items = [f"{item}{index}" for index, item in enumerate(items)]
        yield "maxItems", items[:-1], items
    if (most := schema.get("maxProperties")) is not None:
        value = _sample(schema.get("additionalProperties", {}))
        keys = [f"k{index}" for index in range(most + 1)]
        yield "maxProperties", dict.fromkeys(keys[:-1], value), dict.fromkeys(keys, value)


def _sample(schema: Schema) -> Any:
    """The least valid value."""
    if "enum" in schema:
        return schema["enum"][0]
    if INT_OR_STRING in schema:
        return schema["minimum"]
    if "type" not in schema:  # anything
        return 0
    if schema["type"] == "object":
        return {name: _sample(schema["properties"][name]) for name in schema.get("required", [])}
    if schema["type"] == "string":
        return PATTERNS[schema["pattern"]][0] if "pattern" in schema else _text(schema, 2)
    return {"array": [], "boolean": False}.get(schema["type"], schema.get("minimum", 0))


def _text(schema: Schema, length: int) -> str:
    """A string of that length, which fits the pattern unless it is shorter than its sample."""
    sample = PATTERNS[schema["pattern"]][0] if "pattern" in schema else "a"
    return sample.rjust(length, sample[0])[:length]


def _join(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


BOUNDS = list(
    find_bounds(build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "", lambda body: body)
)


@pytest.fixture(scope="module")
def stored(trainings: TrainingsApi) -> Iterator[TrainingsApi]:
    """The API with an object that has a status subresource to write to."""
    spec = {"template": {"model": "yolo11n.yaml", "data": {"train": "cats"}}}
    trainings.create(_named({"spec": spec})).raise_for_status()
    yield trainings
    trainings.delete(NAME)


def _named(body: Body, name: str = NAME) -> Body:
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}} | body


def _send(api: TrainingsApi, body: Body) -> dict[str, str]:
    """Why the API server would refuse the object."""
    if "status" in body:
        return refusals(api.replace_status(NAME, body["status"], dry_run=True))
    template = body.get("spec", {}).get("template", {})
    resources = template.get("resources", {})
    if (gpus := resources.get("gpus", 1) * resources.get("nodes", 1)) > 1:
        template["batch"] = gpus  # a rule between them, which has a test of its own
    if "cpuLimit" in resources:
        resources["cpu"] = 0  # the same
    return refusals(api.create(_named(body, "crd-bound"), dry_run=True))


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: f"{bound.field}-{bound.keyword}")
def test_crd_holds_each_bound_exactly(stored: TrainingsApi, bound: Bound) -> None:
    assert _send(stored, bound.inside) == {}
    refused = _send(stored, bound.outside)
    assert WORDS[bound.keyword] in refused.get(bound.field, ""), refused
