"""Read a YAML file that strangers wrote: safely, within bounds, and class names as they stand in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from ...errors import InvalidDataError
from ..text_file import read_lines

MAX_BYTES = 1 << 20
"""Twenty times the largest file of Ultralytics' own."""
_MAX_NODES = 1_000_000
_TEXTS = frozenset({"names", "kpt_names"})
"""Keys below which every value is a name."""
_STR, _INT = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int"
_RESOLVED = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "int", "null", "timestamp", "value")
)
"""What YAML 1.1 makes of plain text that looks like it: `07` is 7, `12:30` is 750, `no` is false."""


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping, read safely; below `names` and `kpt_names` every value is the text that stands there.

    Raises InvalidDataError when it is no mapping, or has a key twice.
    """
    text = "\n".join(read_lines(path, MAX_BYTES))
    try:
        content = _load(text)
    except _TwiceError as error:
        raise InvalidDataError(f"{path}: {error}", "leave one of the two") from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InvalidDataError(f"{path} is not YAML: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(content, dict):
        raise InvalidDataError(f"{path} is no mapping of names to values")
    return content


class _TwiceError(Exception):
    """A key that a mapping has twice, of which YAML libraries drop one without a word."""


def _load(text: str) -> object:
    """The document, refused before it is built when its aliases would make it endless ("billion laughs")."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _weight(node, {}) > _MAX_NODES:
            raise yaml.YAMLError("its anchors and aliases stand for more than it may hold")
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, "")
            loader.flatten_mapping(node)  # what `<<` stands for
            node.value = [(key, _as_written(key.value, value)) for key, value in node.value]
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _weight(node: yaml.Node, known: dict[int, int]) -> int:
    """Nodes below and with this one, each alias counted as what it stands for; a loop counts as too many."""
    if id(node) not in known:
        known[id(node)] = _MAX_NODES  # what is met again before it is summed up holds itself
        children: Iterable[yaml.Node] = ()
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = chain.from_iterable(node.value)
        known[id(node)] = 1 + sum(_weight(child, known) for child in children)
    return known[id(node)]


def _check_keys(node: yaml.MappingNode, within: str) -> None:
    keys = Counter(_index(key).value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
    if twice := [key for key, count in keys.items() if count > 1 and key != "<<"]:
        where = f" in `{within}:`" if within else ""
        raise _TwiceError(f"`{twice[0]}:` is there twice{where}")


def _as_written(key: object, value: yaml.Node) -> yaml.Node:
    """The value of a key, with names as text."""
    if key not in _TEXTS or isinstance(value, yaml.ScalarNode):
        return value
    if isinstance(value, yaml.MappingNode):
        _check_keys(value, str(key))
    return _texts(value)


def _texts(node: yaml.Node) -> yaml.Node:
    """The node anew (an alias may use it elsewhere too), its scalars as the text that stands there."""
    if isinstance(node, yaml.ScalarNode) and node.tag in _RESOLVED:
        return yaml.ScalarNode(_STR, node.value, node.start_mark, node.end_mark)
    if isinstance(node, yaml.SequenceNode):
        items = [_texts(item) for item in node.value]
        return yaml.SequenceNode(node.tag, items, node.start_mark, node.end_mark)
    if isinstance(node, yaml.MappingNode):
        pairs = [(_index(key), _texts(value)) for key, value in node.value]
        return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark)
    return node


def _index(key: yaml.Node) -> yaml.Node:
    """The key of a mapping, a number in decimal: `010` is 10, not the octal 8 of YAML 1.1."""
    if isinstance(key, yaml.ScalarNode) and key.style is None and key.value.isdecimal():
        return yaml.ScalarNode(_INT, str(int(key.value)), key.start_mark, key.end_mark)
    return key
