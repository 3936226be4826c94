"""What one stage tells the next, and all who come later: `prepare.json` and `result.json` of an attempt."""

from __future__ import annotations

import json
from pathlib import Path

from yolo_crds.layout import RunFolder
from yolo_crds.trainer import Prepared, Result

from ..volume import write_atomic


def read_prepared(folder: RunFolder, token: str) -> Prepared | None:
    """What the prepare stage left for this attempt; None when it did not end well."""
    try:
        return Prepared.model_validate_json(folder.prepared(token).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_result(result: Result, path: Path) -> None:
    """Stores the result on the run volume."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(result.to_wire(), indent=1))
