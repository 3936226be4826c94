"""Bodies of `POST /start` that nobody should send, from a seeded generator: JSON of any shape, or none."""

import json
import random
from collections.abc import Iterator
from typing import Any

from yolo_api.schemas import StartRequest
from yolo_crds.schema import load_schema

_ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 10**400, -(10**400), 1e308, float("nan"), float("inf"), 0.5, -0.0),
    *(
        "",
        " ",
        "0",
        "-1",
        "1e999",
        "9" * 5000,
        "nan",
        "none",
        "None",
        "true",
        "x" * 3000,
        "a,b",
        "a,,b",
        ",",
        "\0",
    ),
    *(
        "\ud800",
        "\udcff",
        "é",
        "🙂",
        "../..",
        "/etc/passwd",
        "a/../b",
        "C:\\x",
        "http://x/y",
        "https://[",
        "%s%n",
    ),
    *(
        "[",
        "[]",
        "[[",
        "{}",
        "{",
        '{"lr0": 1}',
        "['a', 'b']",
        "[" * 5000,
        "(" * 500,
        "__import__('os')",
        "1_0",
        "0x10",
    ),
    *("a.txt", "ucd", "ucd/helmet_demo.json", "spec.run", "{again}", "{0}", "16Gi", "1e3", "0.1.2", "'", '"'),
    *(
        [],
        [None],
        [[]],
        ["a", 1],
        [float("nan")],
        {},
        {"": ""},
        {"a": {"b": {"c": [1]}}},
        [10**400],
        ["\ud800"],
    ),
]


def _deep(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"x": value}
    return value


def _value(chance: random.Random) -> Any:
    kind = chance.random()
    if kind < 0.8:
        return chance.choice(_ODD)
    if kind < 0.85:
        return _deep(chance.choice((3, 50, 900)))
    if kind < 0.95:
        return {str(chance.choice(_ODD))[:80]: _value(chance) for _ in range(chance.randrange(4))}
    return [_value(chance) for _ in range(chance.randrange(4))]


def bodies(good: dict[str, Any], count: int, seed: int = 0) -> Iterator[bytes]:
    """So many bodies, most of them near to a good one: little of it, or of its `hyp_dict`, is wrong, so that
    no first mistake hides what the next one would do."""
    chance = random.Random(seed)
    keys, arguments = list(StartRequest.model_fields), list(load_schema().arguments)
    for _ in range(count):
        body = dict(good)
        if (kind := chance.random()) < 0.45:
            name = chance.choice([*arguments, *arguments, *keys, str(chance.choice(_ODD))[:80]])
            body["hyp_dict"] = {name: _value(chance), **({"lr0": 0.1} if chance.random() < 0.3 else {})}
        elif kind < 0.85:
            for _ in range(chance.choice((1, 1, 1, 2, 3))):
                body[chance.choice([*keys, str(chance.choice(_ODD))[:80]])] = _value(chance)
        elif kind < 0.9:
            yield json.dumps(_value(chance)).encode()
            continue
        text = json.dumps(body).encode()
        if kind >= 0.9:
            place = chance.randrange(len(text))
            text = text[:place] + chance.randbytes(3) + text[place + chance.randrange(3) :]
        yield text
