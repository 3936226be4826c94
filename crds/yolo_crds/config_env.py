"""The trainer's configuration in the environment, in as many variables as it takes.

Linux bounds one variable to 128 KiB with its name (MAX_ARG_STRLEN, include/uapi/linux/binfmts.h), and all of
them with the arguments to a quarter of the stack's limit, 2 MiB by default (execve(2)). A thousand labels of
128 characters are more than the first, and in any script less than the second.
"""

from collections.abc import Iterator, Mapping
from itertools import count

from .meta import CONFIG_ENV

PART_MAX_BYTES = 120_000
"""Bytes of UTF-8 in one variable."""


def _name(number: int) -> str:
    return CONFIG_ENV if number == 1 else f"{CONFIG_ENV}_{number}"


def split_config(text: str) -> dict[str, str]:
    """The variables that hold a configuration: `YOLO_TRAINER_CONFIG`, and then `YOLO_TRAINER_CONFIG_2` …"""
    return {_name(number): part for number, part in enumerate(_parts(text), 1)}


def _parts(text: str) -> Iterator[str]:
    # No character has more than four bytes.
    size = PART_MAX_BYTES if text.isascii() else PART_MAX_BYTES // 4
    return (text[start : start + size] for start in range(0, max(len(text), 1), size))


def join_config(environment: Mapping[str, str]) -> str:
    """The configuration that the variables hold; empty where there is none."""
    parts = []
    for number in count(1):
        part = environment.get(_name(number))
        if part is None:
            break
        parts.append(part)
    return "".join(parts)


def with_config(environment: Mapping[str, str], text: str) -> dict[str, str]:
    """The environment with this configuration, and nothing left of another one."""
    kept = {name: value for name, value in environment.items() if not name.startswith(CONFIG_ENV)}
    return kept | split_config(text)
