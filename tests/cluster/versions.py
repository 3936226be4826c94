"""The pinned versions, read from versions.toml."""

from __future__ import annotations

import tomllib
from functools import cache

from .paths import SOURCES


@cache
def _table() -> dict[str, dict[str, str]]:
    return tomllib.loads((SOURCES / "versions.toml").read_text())


def version(part: str, key: str = "version") -> str:
    """A part's pin, such as version("etcd")."""
    return _table()[part][key]


def debian_packages() -> dict[str, str]:
    """Command or file that must exist -> the Debian package that brings it."""
    return dict(tomllib.loads((SOURCES / "versions.toml").read_text())["debian"]["packages"])
