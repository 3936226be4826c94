"""Fields of a request that nobody knows: the old server ignored them, and so does this one, but says so."""

from collections.abc import Collection

from yolo_crds.schema import load_schema, nearest

from .schemas import StartRequest
from .spec_keys import ARGUMENTS

_NAMED_MAX = 20
"""So many are named: of more than that nobody reads the rest, and looking for what was meant takes time."""
_NAME_MAX = 64
_PREFIX_MIN = 3


def tell_unknown(names: Collection[str]) -> list[str]:
    """A warning for each ignored field, with the key that was likely meant."""
    warnings = []
    for name in list(names)[:_NAMED_MAX]:
        advice = _advise(name[:_NAME_MAX])
        warnings.append(f"ignored the unknown field {name[:_NAME_MAX]!r}{advice}")
    if (more := len(names) - _NAMED_MAX) > 0:
        warnings.append(f"ignored {more} more unknown fields")
    return warnings


def _advise(name: str) -> str:
    if name in load_schema().arguments and name not in ARGUMENTS:
        return "; it belongs into hyp_dict"
    like = did_you_mean(name)
    return f"; did you mean {like!r}?" if like else ""


def did_you_mean(name: str) -> str | None:
    """The key that looks most like `name`, or that it begins, as `priority` for `priority_class_name`."""
    keys = StartRequest.model_fields
    if like := nearest(name, keys):
        return like
    return next((key for key in keys if len(name) >= _PREFIX_MIN and key.startswith(name)), None)
