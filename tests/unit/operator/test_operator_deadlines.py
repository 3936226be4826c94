"""The active deadline: whose training time it bounds, and that nothing is counted twice or forgotten."""

from dataclasses import replace
from typing import Any

import pytest

from operator_objects import (
    SETTINGS,
    Body,
    at,
    end,
    make_job,
    make_pod,
    make_result,
    make_training,
    make_view,
    schedule,
    start,
)
from yolo_crds.conditions import Phase, Reason
from yolo_crds.meta import ANNOTATION_RETRY, Stage
from yolo_crds.status import Status
from yolo_crds.trainer import ProgressLine, TrainerConfig
from yolo_operator.decision import Decision, decide
from yolo_operator.plan import CreateJob
from yolo_operator.snapshot import Snapshot

LIMIT = 1000


def _training(scope: str = "Run", **lifecycle: Any) -> Body:
    limits = {
        "activeDeadlineSeconds": LIMIT,
        "activeDeadlineScope": scope,
        "terminationGracePeriodSeconds": 30,
    }
    return make_training(lifecycle=limits | lifecycle)


def _children(attempt: int) -> tuple[Body, Body, Body, Body]:
    """Jobs and pods of an attempt: prepare has ended well, train waits."""
    prepare = make_job(_training(), Stage.PREPARE, attempt)
    train = make_job(_training(), Stage.TRAIN, attempt)
    return prepare, train, end(make_pod(prepare), result=make_result(Stage.PREPARE)), make_pod(train)


PREPARE, TRAIN, PREPARED, POD = _children(1)


def _store(training: Body, *views: Snapshot) -> Body:
    """The training with the status that is stored after these snapshots, one after the other."""
    for view in views:
        now = replace(view, training=make_view(training).training)
        training = training | {"status": decide(now, SETTINGS).status.to_wire()}
    return training


def _status(training: Body) -> Status:
    return Status.model_validate(training["status"])


def _config(decision: Decision) -> TrainerConfig:
    (job,) = (a.manifest for a in decision.plan.actions if isinstance(a, CreateJob))
    return TrainerConfig.model_validate_json(
        job["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"]
    )


def _after_one(training: Body, seconds: float = 605) -> Body:
    """Attempt 1 trained from second 5 on and was interrupted."""
    views = [
        make_view(training, [PREPARE, TRAIN], [PREPARED, start(POD)]),
        make_view(training, [PREPARE, TRAIN], [PREPARED, end(POD, 143, seconds)], seconds=seconds + 1),
    ]
    return _store(training, *views)


@pytest.mark.parametrize(("scope", "want"), [("Run", 400), ("Attempt", LIMIT)])
def test_next_attempt_has_what_is_left(scope: str, want: int) -> None:
    stored = _after_one(_training(scope))
    prepare, _, prepared, _ = _children(2)
    assert (_status(stored).attempt, _status(stored).active_seconds) == (2, 600)
    decision = decide(make_view(stored, [PREPARE, TRAIN, prepare], [prepared], seconds=700), SETTINGS)
    assert _config(decision).active_deadline_seconds == want


def test_an_attempt_is_counted_once_however_often_it_is_looked_at() -> None:
    stored = _after_one(_training())
    replay = make_view(stored, [PREPARE, TRAIN], [PREPARED, end(POD, 143, 605)], seconds=640)
    assert _status(_store(stored, replay, replay)).active_seconds == 600


def test_two_operators_that_saw_the_same_write_the_same() -> None:
    training = _store(_training(), make_view(_training(), [PREPARE, TRAIN], [PREPARED, start(POD)]))
    ended = [
        make_view(training, [PREPARE, TRAIN], [PREPARED, end(POD, 143, 605)], seconds=seconds)
        for seconds in (606, 660)
    ]
    first, second = (decide(view, SETTINGS).status for view in ended)
    assert first.active_seconds == second.active_seconds == 600


def test_run_that_has_used_up_its_time_gets_no_gpu_again() -> None:
    stored = _after_one(_training(), 5 + LIMIT)
    prepare, _, prepared, _ = _children(2)
    due = decide(make_view(stored, seconds=1100), SETTINGS).plan.actions
    assert [action.manifest["metadata"]["name"] for action in due if isinstance(action, CreateJob)] == [
        "cats-r1a2-prepare"
    ]
    looking = decide(make_view(stored, [prepare], [start(make_pod(prepare))], seconds=1100), SETTINGS)
    assert looking.status.phase == Phase.PREPARING
    decision = decide(make_view(stored, [prepare], [prepared], seconds=1100), SETTINGS)
    assert decision.plan.actions == ()
    assert decision.status.phase == Phase.FAILED
    assert decision.status.failure is not None
    assert decision.status.failure.reason == Reason.DEADLINE_EXCEEDED
    assert f"trained for {LIMIT} s" in decision.status.failure.message


def test_run_that_had_ended_well_is_found_though_its_time_is_used_up() -> None:
    stored = _after_one(_training(), 5 + LIMIT)
    prepare, *_ = _children(2)
    finished = make_result(Stage.TRAIN, epochs_done=100, epochs=100)
    told = end(make_pod(prepare), result=make_result(Stage.PREPARE, attempt=2, finished=finished))
    assert (
        decide(make_view(stored, [prepare], [told], seconds=1100), SETTINGS).status.phase == Phase.SUCCEEDED
    )


def test_backstop_knows_what_is_left() -> None:
    stored = _after_one(_training())
    prepare, train, prepared, pod = _children(2)
    running = [prepared, start(pod, 1000)]
    grace_and_slack = 30 + 60
    early = decide(make_view(stored, [prepare, train], running, seconds=1001), SETTINGS)
    assert early.status.phase == Phase.RUNNING
    late = make_view(stored, [prepare, train], running, seconds=1000 + 400 + grace_and_slack)
    assert decide(late, SETTINGS).status.phase == Phase.FAILED


def test_pod_that_is_gone_counts_until_its_last_progress() -> None:
    line = ProgressLine(seq=1, time=make_view(_training()).now.timestamp() + 150, stage="epoch", epoch=1)
    seen = make_view(
        _training(),
        [PREPARE, TRAIN],
        [PREPARED, start(POD)],
        seconds=260,
        progress={POD["metadata"]["uid"]: line},
    )
    stored = _store(_training(), seen, make_view(_training(), [], [], seconds=90_000))
    assert (_status(stored).attempt, _status(stored).active_seconds) == (2, 245)


def test_lost_node_counts_until_the_pod_should_have_been_gone() -> None:
    lost = start(POD)
    lost["metadata"] = lost["metadata"] | {"deletionTimestamp": at(305)}
    view = make_view(_training(), [PREPARE, TRAIN], [PREPARED, lost], seconds=5000)
    assert _status(_store(_training(), view)).active_seconds == 300


def test_pod_without_a_container_status_counts_from_the_stored_start() -> None:
    """An evicted pod may have lost it."""
    training = _store(_training(), make_view(_training(), [PREPARE, TRAIN], [PREPARED, start(POD)]))
    assert _status(training).attempt_start_time == at(5)
    evicted = schedule(POD) | {"status": {"phase": "Failed", "reason": "Evicted", "message": "memory"}}
    stored = _store(training, make_view(training, [PREPARE, TRAIN], [PREPARED, evicted], seconds=205))
    assert (_status(stored).active_seconds, _status(stored).attempt_start_time) == (200, None)


def test_prepare_counts_nothing() -> None:
    failed = end(make_pod(PREPARE), 11, seconds=500)
    assert _status(_store(_training(), make_view(_training(), [PREPARE], [failed]))).active_seconds is None


def test_end_of_the_run_counts_its_last_attempt() -> None:
    view = make_view(_training(), [PREPARE, TRAIN], [PREPARED, end(POD, 0, 305)], seconds=310)
    stored = _store(_training(), view, view)
    assert (stored["status"]["phase"], _status(stored).active_seconds) == ("Succeeded", 300)


def test_new_run_and_retry_begin_anew() -> None:
    failed = make_view(_training(), [PREPARE, TRAIN], [PREPARED, end(POD, 4, 305)], seconds=310)
    stored = _store(_training(), failed)
    assert _status(stored).active_seconds == 300
    higher = stored | {"spec": stored["spec"] | {"run": 2}}
    assert decide(make_view(higher, seconds=400), SETTINGS).status.active_seconds is None
    metadata = stored["metadata"] | {"annotations": {ANNOTATION_RETRY: "please"}}
    again = decide(make_view(stored | {"metadata": metadata}, seconds=400), SETTINGS).status
    assert (again.attempt, again.active_seconds) == (2, None)
