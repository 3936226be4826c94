"""Which prepared set came of what: spares work that was done before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from yolo_crds.base import Lenient

from ..errors import volume_errors
from ..volume import write_atomic
from .manifest import Details
from .recall import Outcome

M = TypeVar("M", bound=Lenient)


class Index:
    """Remembers in a folder (`DataVolume.index`) which prepared set came of which state of a source.

    A lost or torn index costs time, never correctness.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lookup(self, key: str) -> Details | None:
        """What was prepared from a source in exactly this state."""
        return self._read(Details, f"{key}.json")

    def last_hash(self, source: str) -> str | None:
        """The set that was last prepared from a source, in whatever state it was then."""
        try:
            return str(json.loads((self.folder / f"source-{source}.json").read_bytes())["hash"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def outcome(self, key: str) -> Outcome | None:
        """What came of a preparation of the same references (`recall.recall_key`)."""
        return self._read(Outcome, f"outcome-{key}.json")

    def remember_outcome(self, key: str, outcome: Outcome) -> None:
        """Stores it, in place of an earlier one."""
        write_atomic(self.folder / f"outcome-{key}.json", outcome.model_dump_json())

    def remember(self, key: str | None, source: str, details: Details) -> None:
        """Stores the outcome of a preparation; without a key only which set the source gave."""
        with volume_errors(self.folder, "create"):
            self.folder.mkdir(parents=True, exist_ok=True)
        if key:
            write_atomic(self.folder / f"{key}.json", json.dumps(details.to_wire()))
        write_atomic(self.folder / f"source-{source}.json", json.dumps({"hash": details.dataset.hash}))

    def _read(self, model: type[M], name: str) -> M | None:
        try:
            return model.model_validate_json((self.folder / name).read_bytes())
        except (OSError, ValueError):
            return None
