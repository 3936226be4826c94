"""pydantic's JSON Schema made structural, as a CustomResourceDefinition wants it.

Rules: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
(no $ref, a type or one of the two extensions in its place at every level, `nullable` instead of a null
branch, no `additionalProperties: false`).
"""

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

INT_OR_STRING = "x-kubernetes-int-or-string"
"""The one union that a structural schema has, in the place of a type: a whole number or a text."""
ANYTHING = "x-kubernetes-preserve-unknown-fields"
"""In the place of a type: any JSON value. CEL has no words for it, nor for the map whose values it is of."""
_DROPPED = frozenset({"title", "$defs", "const", "propertyOrdering", "propertyNames"})
_MAP_KEY_MAX = 64


def structural_schema(model: type[BaseModel]) -> Schema:
    """The OpenAPI v3 schema of a model for `spec.versions[].schema`, references resolved.

    Raises ValueError for a shape that no structural schema can express (a union of types).
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(schema, schema.get("$defs", {}))


def _convert(node: Schema, definitions: Schema) -> Schema:
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[1]]
        return _convert({**target, **{k: v for k, v in node.items() if k != "$ref"}}, definitions)
    if ("anyOf" in node or "allOf" in node) and INT_OR_STRING not in node:
        return _convert(_only_branch(node), definitions)
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if node.get("additionalProperties") is False:
        del result["additionalProperties"]
    if "const" in node:
        result["enum"] = [node["const"]]
    if result.get("default", ...) is None:
        del result["default"]
    if "properties" in node:
        result["properties"] = {
            key: _convert(value, definitions) for key, value in node["properties"].items()
        }
    if "items" in node:
        result["items"] = _convert(node["items"], definitions)
    if "patternProperties" in node:
        (pattern, value), *_ = result.pop("patternProperties").items()
        result["additionalProperties"] = _convert(value, definitions)
        result["x-kubernetes-validations"] = [
            _key_rule({"pattern": pattern, **node.get("propertyNames", {})})
        ]
    if isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _convert(node["additionalProperties"], definitions)
    return _described(result)


def _only_branch(node: Schema) -> Schema:
    """`X | None` as X, and `X | str` as str (an enum that a newer version may extend)."""
    branches = [branch for branch in node.get("anyOf") or node["allOf"] if branch.get("type") != "null"]
    plain = [branch for branch in branches if branch == {"type": "string"}]
    if len(branches) != 1 and not plain:
        raise ValueError(f"a structural schema has one type: {node}")
    return {**(plain or branches)[0], **{k: v for k, v in node.items() if k not in ("anyOf", "allOf")}}


def _key_rule(names: Schema) -> Schema:
    """`patternProperties` has no place in a structural schema; a CEL rule over the keys says the same."""
    pattern = names.get("pattern", "^.*$")
    longest = names.get("maxLength", _MAP_KEY_MAX)
    return {
        "rule": f"self.all(key, size(key) <= {longest} && key.matches('{pattern}'))",
        "message": f"each key matches {pattern} and has at most {longest} characters",
    }


def _described(schema: Schema) -> Schema:
    """The description first, on one line, so that `kubectl explain` reads well."""
    text = schema.pop("description", None)
    return schema if text is None else {"description": " ".join(text.split()), **schema}
