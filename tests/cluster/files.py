"""Writes configuration: renamed into place, and only if it differs (kube-proxy ends itself at any write)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_text(path: Path, content: str, *, mode: int = 0o644) -> Path:
    """Brings `path` to `content`, its folder included."""
    if path.exists() and path.read_text() == content:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".tmp")
    aside.touch(mode=mode)
    aside.write_text(content)
    return aside.replace(path)


def write_json(path: Path, content: dict[str, Any], *, mode: int = 0o644) -> Path:
    """Kubernetes' programs read JSON wherever they read YAML."""
    return write_text(path, json.dumps(content, indent=1) + "\n", mode=mode)
