from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from yolo_api.cache import to_entry
from yolo_api.schemas import ModelStatus
from yolo_api.status import STALE_SECONDS, UNSEEN_SECONDS, to_overview, to_stage, to_view, with_age
from yolo_crds.conditions import HINTS, Reason
from yolo_crds.status import UNSERVED


def training(status: dict[str, Any] | None = None, name: str = "helmet", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": "u1", "resourceVersion": "5", "managedFields": [{"a": "b"}]},
        "spec": {"run": 2, "template": {"model": "yolov5s", "epochs": 30}, **spec},
        **({"status": status} if status is not None else {}),
    }


NOT_SEEN: dict[str, Any] = {
    "phase": "Pending",
    "reason": "Accepted",
    "message": "accepted; the operator has not taken it up yet",
    "updated_at": None,
    "epoch": None,
    "epochs": 30,
    "percent": None,
    "eta_seconds": None,
    "metrics": {},
    "headline": None,
    "waiting": None,
    "restarts": 0,
    "started_at": None,
    "finished_at": None,
    "warnings": [],
}


@pytest.mark.parametrize(
    "status", [None, {}, {"run": 1, "phase": "Succeeded", "restarts": 3, "warnings": ["old"]}]
)
def test_to_view_of_a_run_that_the_operator_has_not_seen(status: dict[str, Any] | None) -> None:
    assert to_view(training(status)) == NOT_SEEN
    assert not to_entry(training(status)).settled


def test_to_view_of_a_training_that_no_operator_has_seen() -> None:
    """The status that the API server fills in; old clients read `Pending` as before."""
    assert to_view(training(UNSERVED)) == NOT_SEEN


def test_to_view_of_a_training_whose_operator_was_uninstalled() -> None:
    failure = {"reason": "NoOperator", "message": "release yolo was uninstalled", "hint": "look"}
    body = training({"run": 2, "phase": "Unserved", "failure": failure})
    view = to_view(body)
    assert (view["phase"], view["reason"]) == ("Unserved", "NoOperator")
    assert view["message"] == "release yolo was uninstalled (look)"
    assert to_overview([("helmet", view["phase"], view)])["Running"] == ["helmet"], "it has not ended"


def test_to_view_of_a_running_training() -> None:
    status = {
        "run": 2,
        "phase": "Running",
        "restarts": 1,
        "startTime": "2026-11-24T10:00:00Z",
        "seenAt": "2026-11-24T10:05:00Z",
        "printed": {"metric": "mask mAP50-95 0.50"},
        "progress": {
            "epoch": 3,
            "epochs": 40,
            "percent": 7.5,
            "etaSeconds": 60,
            "metrics": {"metrics/mAP50(B)": 0.5},
        },
        "warnings": ["fewer workers"],
        "failure": {"attempt": 1, "reason": "OOMKilled", "message": "of the attempt before"},
        "conditions": [{"type": "Reconciling", "status": "True", "reason": "Training", "message": "epoch 3"}],
    }
    body = training(status)
    body["metadata"]["annotations"] = {"yolo.training/warnings": '["ignored obj", "fewer workers"]'}
    assert to_view(body) == NOT_SEEN | {
        "phase": "Running",
        "reason": "Training",
        "message": "epoch 3",
        "epoch": 3,
        "epochs": 40,
        "percent": 7.5,
        "eta_seconds": 60,
        "metrics": {"metrics/mAP50(B)": 0.5},
        "headline": "mask mAP50-95 0.50",
        "updated_at": "2026-11-24T10:05:00Z",
        "restarts": 1,
        "started_at": "2026-11-24T10:00:00Z",
        "warnings": ["ignored obj", "fewer workers"],
    }


def test_to_view_of_a_waiting_training_names_what_blocks_it() -> None:
    blocked = {"reason": "Unschedulable", "message": "no node has enough nvidia.com/gpu", "hint": "add one"}
    earlier = blocked | {"reason": "NodeLost", "attempt": 1}
    status = {"run": 2, "phase": "Queued"}
    reconciling = [{"type": "Reconciling", "status": "True", "reason": "Queued", "message": "attempt 2"}]
    view = to_view(training(status | {"failure": blocked, "conditions": reconciling}))
    assert (view["reason"], view["message"]) == (
        "Unschedulable",
        "no node has enough nvidia.com/gpu (add one)",
    )
    view = to_view(training(status | {"failure": earlier, "conditions": reconciling}))
    assert (view["reason"], view["message"]) == ("Queued", "attempt 2")


def test_to_view_of_a_waiting_training_hands_on_the_operators_words_and_its_forecast() -> None:
    blocked = {"reason": "Unschedulable", "message": "waits since 13:40 UTC for 2 GPUs", "hint": "wait"}
    waiting = {
        "since": "2026-11-27T13:40:00Z",
        "asked": "2 GPUs on one node",
        "place": 2,
        "forecast": {"startsAt": "2026-11-27T14:15:00Z", "basis": "when cats on a ends, by its own ETA"},
        "holders": [{"name": "cats", "node": "a", "amount": "3 GPUs"}],
    }
    status = {"run": 2, "phase": "Queued", "failure": blocked, "waiting": waiting}
    view = to_view(training(status))
    assert view["message"] == "waits since 13:40 UTC for 2 GPUs (wait)"
    assert view["waiting"] == {
        "since": "2026-11-27T13:40:00Z",
        "asked": "2 GPUs on one node",
        "place": 2,
        "starts_at": "2026-11-27T14:15:00Z",
        "basis": "when cats on a ends, by its own ETA",
        "holders": [{"name": "cats", "node": "a", "amount": "3 GPUs", "ends_at": None}],
    }
    ModelStatus.model_validate(view)
    held = to_view(training(status | {"waiting": {"since": "2026-11-27T13:40:00Z", "place": 1}}))["waiting"]
    assert held == {"since": "2026-11-27T13:40:00Z", "asked": None, "place": 1, "starts_at": None,
                    "basis": None, "holders": []}  # fmt: skip
    ended = to_view(training({"run": 2, "phase": "Succeeded"}))
    assert ended["waiting"] is None


def test_to_view_of_a_suspended_training_says_how_it_goes_on() -> None:
    conditions = [
        {"type": "Reconciling", "status": "False", "reason": "SuspendedByUser", "message": ""},
        {"type": "Suspended", "status": "True", "reason": "SuspendedByUser", "message": "goes on when asked"},
    ]
    status = {"run": 2, "phase": "Suspended", "conditions": conditions}
    view = to_view(training(status, suspend=True))
    assert (view["reason"], view["message"]) == ("SuspendedByUser", "goes on when asked")
    assert with_age(view, SEEN, UNSEEN_SECONDS)["stale"] is False


def test_a_suspended_training_that_nobody_lets_go_on_is_told() -> None:
    status = {"run": 2, "phase": "Suspended"}
    view = to_view(training(status, suspend=False))
    assert (view["phase"], view["reason"]) == ("Suspended", "Accepted")
    at_once, later = (with_age(view, SEEN, seconds) for seconds in (UNSEEN_SECONDS - 1, UNSEEN_SECONDS))
    assert at_once["message"] == "asked to go on; the operator has not taken that up yet"
    assert (at_once["stale"], later["stale"]) == (False, True)
    assert later["message"] == f"{at_once['message']}; {HINTS[Reason.NO_OPERATOR]}"


def test_to_view_of_a_failed_training_says_why_and_what_to_do() -> None:
    status = {
        "run": 2,
        "phase": "Failed",
        "completionTime": "2026-11-24T10:00:00Z",
        "failure": {"reason": "InvalidData", "message": "no image", "hint": "correct the data set"},
    }
    view = to_view(training(status))
    assert (view["phase"], view["reason"], view["message"], view["finished_at"]) == (
        "Failed",
        "InvalidData",
        "no image (correct the data set)",
        "2026-11-24T10:00:00Z",
    )


@pytest.mark.parametrize("text", ["", "no json", '{"a": 1}', "[1, null]"])
def test_to_view_survives_an_annotation_that_is_no_list(text: str) -> None:
    body = training()
    body["metadata"]["annotations"] = {"yolo.training/warnings": text}
    assert to_view(body)["warnings"] == []


def test_to_overview_keeps_in_running_what_has_not_ended() -> None:
    """Old clients poll until a name is no longer under `Running`; being queued must not look like the end."""
    phases = ["Pending", "Preparing", "Queued", "Starting", "Running", "Suspended"]
    phases += ["Succeeded", "Failed", "Terminated"]
    overview = to_overview([(phase.lower(), phase, {"phase": phase}) for phase in phases])
    assert overview == {
        "Running": ["pending", "preparing", "queued", "starting", "running", "suspended"],
        "Pending": ["pending", "preparing", "queued", "starting", "suspended"],
        "Succeeded": ["succeeded"],
        "Failed": ["failed"],
        "Terminated": ["terminated"],
        "models": {phase.lower(): {"phase": phase} for phase in phases},
    }


@pytest.mark.parametrize(
    ("view", "logged", "want"),
    [
        ({"phase": "Running", "epoch": 3, "epochs": 9}, "2/9", ["3/9"]),
        ({"phase": "Preparing", "epoch": None, "epochs": 9}, "5/5", ["Preparing"]),
        ({"phase": "Failed", "epoch": None, "epochs": 9}, "5/9", ["5/9"]),
        ({"phase": "Failed", "epoch": None, "epochs": 9}, None, ["Failed"]),
        (None, "30/30", ["30/30"]),
        (None, None, []),
    ],
)
def test_to_stage(view: dict[str, Any] | None, logged: str | None, want: list[str]) -> None:
    assert to_stage(view, logged) == want


def test_to_entry_shows_a_misnamed_object_under_its_own_name() -> None:
    """Else anybody could hide the rightful object of a model behind another."""
    entry = to_entry(training(name="other", modelName="helmet"))
    assert (entry.model_name, entry.shown_name) == ("helmet", "other")
    assert b"managedFields" not in entry.raw


SEEN = datetime(2026, 11, 24, 10, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("phase", "seconds", "stale"),
    [
        ("Running", STALE_SECONDS - 1, False),
        ("Running", STALE_SECONDS, True),
        ("Queued", STALE_SECONDS, True),
        ("Suspended", 10 * STALE_SECONDS, False),
        ("Succeeded", 10 * STALE_SECONDS, False),
    ],
)
def test_with_age_tells_an_operator_that_should_have_written_since(
    phase: str, seconds: int, stale: bool
) -> None:
    conditions = [{"type": "Reconciling", "status": "True", "reason": "Training", "message": "trains"}]
    status = {"run": 2, "phase": phase, "seenAt": "2026-11-24T10:05:00Z", "conditions": conditions}
    body = training(status, suspend=phase == "Suspended")
    view = with_age(to_view(body), SEEN + timedelta(seconds=seconds), 0)
    assert view["stale"] is stale
    words = "the operator has not been seen since 2026-11-24T10:05:00Z: does it run?"
    assert (words in view["message"]) is stale
    ModelStatus.model_validate(view)


def test_with_age_of_a_request_that_no_operator_takes_up() -> None:
    at_once, later = (with_age(to_view(training()), SEEN, s) for s in (UNSEEN_SECONDS - 1, UNSEEN_SECONDS))
    assert (at_once["stale"], later["stale"]) == (False, True)
    assert later["message"] == f"{NOT_SEEN['message']}; {HINTS[Reason.NO_OPERATOR]}"


def test_with_age_cannot_tell_of_a_status_without_a_time() -> None:
    for seen in ({}, {"seenAt": "yesterday"}, {"seenAt": "2026-11-24T10:05:00"}):
        view = with_age(to_view(training({"run": 2, "phase": "Running", **seen})), SEEN, 9999)
        assert view["stale"] is False
