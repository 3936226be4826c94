"""Counting writes in an audit log."""

import json
from pathlib import Path

from cluster.audit import count_writes, entries


def _event(
    verb: str, name: str, *, user: str = "operator", stage: str = "ResponseComplete", sub: str = ""
) -> str:
    target = {"resource": "jobs", "namespace": "team", "name": name, "subresource": sub}
    event = {
        "stage": stage,
        "verb": verb,
        "user": {"username": user},
        "objectRef": target,
        "responseStatus": {"code": 201},
        "userAgent": "kopf",
    }
    return json.dumps(event) + "\n"


def test_count_writes_by_user_verb_and_resource(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(
        _event("create", "a-r1a1-train")
        + _event("patch", "a-r1a1-train", sub="status")
        + _event("patch", "a-r1a1-train", sub="status")
        + _event("get", "a-r1a1-train")
        + _event("create", "a-r1a1-train", stage="Panic")
        + _event("create", "b-r1a1-train")
    )
    want = {("operator", "create", "jobs"): 1, ("operator", "patch", "jobs/status"): 2}
    assert count_writes(log, namespace="team", prefix="a-") == want
    assert count_writes(log, namespace="other") == {}


def test_entries_from_an_offset_leave_out_what_is_still_written(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(_event("create", "a"))
    offset = log.stat().st_size
    with log.open("a") as file:
        file.write(_event("create", "b") + _event("create", "c")[:20])
    assert [entry.name for entry in entries(log, offset=offset)] == ["b"]
