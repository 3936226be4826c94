"""Read JSON that somebody else wrote: bounded in size, its faults told with file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import InvalidDataError, volume_errors

MAX_BYTES = 1 << 30
"""Twice the largest annotation file of COCO 2017; parsed, it takes some six times as much memory."""


def read_json_object(path: Path, max_bytes: int | None = None) -> dict[str, Any]:
    """The object in a JSON file; raises InvalidDataError for anything else, and beyond `max_bytes`."""
    limit = max_bytes or MAX_BYTES
    with volume_errors(path, "read"):
        if (size := path.stat().st_size) > limit:
            raise InvalidDataError(f"{path} has {size} bytes, more than the {limit} that are read as JSON")
        raw = path.read_bytes()
    try:
        content = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidDataError(f"{path} is no data set: a JSON {type(content).__name__}, not an object")
    return content
