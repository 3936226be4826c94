"""What the API server's audit log says about one training: who wrote what, and how often."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cluster.audit import WRITES, entries

_OURS = ("yolotrainings", "jobs")
_FACADE = "system:serviceaccount:yolo:yolo-api"


@dataclass(frozen=True)
class Audit:
    """What the API server's audit log says about one training."""

    log: Path

    def writes(self, name: str) -> Counter[str]:
        """`verb resource` → number of accepted writes by us to the training `name` and its Jobs."""
        ours = re.compile(rf"{re.escape(name)}(-r\d+a\d+-(prepare|train))?")
        return Counter(
            f"{entry.verb} {entry.resource}" + (f"/{entry.subresource}" if entry.subresource else "")
            for entry in entries(self.log)
            if entry.verb in WRITES
            and entry.resource in _OURS
            and entry.user.startswith("system:serviceaccount:yolo:yolo-")
            and ours.fullmatch(entry.name)
            and entry.code < 300
        )

    @property
    def end(self) -> int:
        """How long the log is now, in bytes."""
        return self.log.stat().st_size

    def facade_calls(self, since: int = 0) -> Counter[str]:
        """`verb resource` → number of the façade's requests that are told after byte `since` of the log."""
        return Counter(
            f"{entry.verb} {entry.resource}"
            for entry in entries(self.log, offset=since)
            if entry.user == _FACADE
        )

    def stages(self, name: str) -> set[str]:
        """Stages for which a Job was created."""
        job = re.compile(rf"{re.escape(name)}-r\d+a\d+-(prepare|train)")
        found = (
            job.fullmatch(e.name) for e in entries(self.log) if e.verb == "create" and e.resource == "jobs"
        )
        return {match[1] for match in found if match}
