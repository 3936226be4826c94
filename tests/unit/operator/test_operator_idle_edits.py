"""`stop: false` or `resume: true` without a higher run start nothing, and the status says so."""

from typing import Any

import pytest

from operator_objects import SETTINGS, START, make_training
from yolo_operator.decision import decide
from yolo_operator.snapshot import Snapshot, view_training

STOPPED = "nothing was started by this change: run 2 has ended; raise spec.run to 3 to train again"


def ended(phase: str, generation: int = 4, warnings: tuple[str, ...] = (), **spec: Any) -> dict[str, Any]:
    """A training whose run 2 has ended and was seen at generation 4."""
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": phase,
            "message": "",
            "lastTransitionTime": "2026-11-24T09:00:00Z",
            "observedGeneration": 4,
        }
        for kind in ("Finished",)
    ]
    status = {
        "phase": phase,
        "run": 2,
        "attempt": 1,
        "observedGeneration": 4,
        "warnings": ["of the data", *warnings],
        "conditions": conditions,
    }
    training = make_training(status=status, **{"run": 2, **spec})
    training["metadata"]["generation"] = generation
    return training


def told(training: dict[str, Any]) -> list[str]:
    decision = decide(Snapshot(training=view_training(training), jobs=(), pods=(), now=START), SETTINGS)
    assert decision.status.warnings[0] == "of the data"
    assert not decision.plan.actions
    return decision.status.warnings[1:]


@pytest.mark.parametrize(
    ("phase", "spec", "want"),
    [
        ("Terminated", {"stop": False}, [f"{STOPPED}, with resume: true to go on from the last checkpoint"]),
        ("Terminated", {"stop": False, "resume": True}, [STOPPED]),
        ("Terminated", {"stop": True, "resume": True}, [STOPPED]),
        ("Succeeded", {"resume": True}, [STOPPED]),
        ("Failed", {"resume": True}, [STOPPED]),
        ("Terminated", {"stop": True}, []),
        ("Succeeded", {}, []),
    ],
)
def test_edit_that_starts_nothing_is_told(phase: str, spec: dict[str, Any], want: list[str]) -> None:
    assert told(ended(phase, generation=5, **spec)) == want


def test_run_that_was_resumed_has_nothing_to_warn_of_when_it_ends() -> None:
    assert told(ended("Succeeded", resume=True)) == []


def test_warning_stays_as_long_as_the_edit_stands_and_no_longer() -> None:
    assert told(ended("Succeeded", warnings=(STOPPED,), resume=True)) == [STOPPED]
    assert told(ended("Succeeded", generation=5, warnings=(STOPPED,), resume=False)) == []
