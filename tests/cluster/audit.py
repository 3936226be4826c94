"""Reads the API server's audit log: who wrote what, for tests of write budgets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Entry:
    """One finished request."""

    verb: str
    user: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    user_agent: str
    time: str

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES


def entries(log: Path, *, offset: int = 0) -> Iterator[Entry]:
    """Every finished request from byte `offset` on.

    `log.stat().st_size`, taken before a test, leaves only the test's.
    """
    with log.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return  # still being written
            event = json.loads(line)
            if event.get("stage") == "ResponseComplete":
                yield _entry(event)


def _entry(event: dict[str, object]) -> Entry:
    def inner(key: str) -> dict[str, object]:
        value = event.get(key)
        return value if isinstance(value, dict) else {}

    target = inner("objectRef")
    return Entry(
        verb=str(event.get("verb", "")),
        user=str(inner("user").get("username", "")),
        resource=str(target.get("resource", "")),
        subresource=str(target.get("subresource", "")),
        namespace=str(target.get("namespace", "")),
        name=str(target.get("name", "")),
        code=int(str(inner("responseStatus").get("code", 0))),
        user_agent=str(event.get("userAgent", "")),
        time=str(event.get("stageTimestamp", "")),
    )


def count_writes(
    log: Path, *, namespace: str, prefix: str = "", offset: int = 0
) -> Counter[tuple[str, str, str]]:
    """(user, verb, resource or resource/subresource) -> accepted and refused writes in a namespace.

    `prefix` limits it to objects whose name begins so. A create by generateName has no name and counts only
    without a prefix.
    """
    counted: Counter[tuple[str, str, str]] = Counter()
    for entry in entries(log, offset=offset):
        if entry.is_write and entry.namespace == namespace and entry.name.startswith(prefix):
            target = f"{entry.resource}/{entry.subresource}" if entry.subresource else entry.resource
            counted[entry.user, entry.verb, target] += 1
    return counted
