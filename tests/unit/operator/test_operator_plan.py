"""What follows from what is there: states, actions, and when to look again."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from operator_objects import (
    SETTINGS,
    START,
    UID,
    Body,
    at,
    end,
    end_job,
    make_job,
    make_pod,
    make_result,
    make_training,
    make_view,
    schedule,
    start,
    with_state,
)
from yolo_crds.conditions import GO_ON, GOES_ON, HINTS, Phase, Reason
from yolo_crds.meta import ANNOTATION_RETRY, CONFIG_ENV, Stage
from yolo_crds.status import Best, Weight, Weights
from yolo_crds.trainer import TrainerConfig
from yolo_operator.decision import Decision, decide
from yolo_operator.plan import CreateJob, DeleteJob, DeleteTraining, wants_last_events
from yolo_operator.remedies import Overrides
from yolo_operator.snapshot import EventView, Snapshot
from yolo_operator.verdict import State

PREPARE = make_job(make_training(), Stage.PREPARE)
PREPARED = end(make_pod(PREPARE), result=make_result(Stage.PREPARE, dataset={"hash": "abc"}), seconds=20)
TRAIN = make_job(make_training(), Stage.TRAIN, seconds=21)
TRAIN_POD = make_pod(TRAIN, seconds=22)


def _decide(
    training: Body, jobs: list[Body] | None = None, pods: list[Body] | None = None, **more: Any
) -> Decision:
    return decide(make_view(training, jobs or [], pods or [], **more), SETTINGS)


def _with_status(training: Body, *views: Snapshot) -> Body:
    """The training with the status that was stored after these snapshots."""
    for view in views:
        view = replace(view, training=make_view(training).training)
        training = training | {"status": decide(view, SETTINGS).status.to_wire()}
    return training


def _created(decision: Decision) -> list[str]:
    return [a.manifest["metadata"]["name"] for a in decision.plan.actions if isinstance(a, CreateJob)]


def _deleted(decision: Decision) -> list[str]:
    return [a.name for a in decision.plan.actions if isinstance(a, DeleteJob)]


RUNNING = _with_status(
    make_training(), make_view(make_training(), [PREPARE, TRAIN], [PREPARED, start(TRAIN_POD)])
)


@pytest.mark.parametrize(
    ("jobs", "pods", "want_phase", "want_created"),
    [
        ([], [], Phase.PENDING, ["cats-r1a1-prepare"]),
        ([PREPARE], [], Phase.PREPARING, []),
        ([PREPARE], [make_pod(PREPARE)], Phase.PREPARING, []),
        ([PREPARE], [start(make_pod(PREPARE))], Phase.PREPARING, []),
        ([PREPARE], [PREPARED], Phase.QUEUED, ["cats-r1a1-train"]),
        ([end_job(PREPARE, "Complete", 20)], [], Phase.QUEUED, ["cats-r1a1-train"]),
        ([PREPARE, TRAIN], [PREPARED], Phase.QUEUED, []),
        ([PREPARE, TRAIN], [PREPARED, TRAIN_POD], Phase.QUEUED, []),
        ([PREPARE, TRAIN], [PREPARED, schedule(TRAIN_POD)], Phase.STARTING, []),
        ([PREPARE, TRAIN], [PREPARED, start(TRAIN_POD)], Phase.RUNNING, []),
        ([PREPARE, TRAIN], [PREPARED, end(TRAIN_POD)], Phase.SUCCEEDED, []),
        ([PREPARE, end_job(TRAIN, "Complete", 60)], [], Phase.SUCCEEDED, []),
    ],
)
def test_decide_follows_the_normal_way(
    jobs: list[Body], pods: list[Body], want_phase: Phase, want_created: list[str]
) -> None:
    decision = _decide(make_training(), jobs, pods)
    assert decision.status.phase == want_phase
    assert _created(decision) == want_created
    assert _deleted(decision) == []


@pytest.mark.parametrize("code", [0, 8])
def test_decide_waits_for_the_phase_of_a_pod_whose_container_has_ended(code: int) -> None:
    """The kubelet tells the container's end a moment before the pod's."""
    ending = with_state(
        TRAIN_POD, "Running", **end(TRAIN_POD, code)["status"]["containerStatuses"][0]["state"]
    )
    decision = _decide(RUNNING, [PREPARE, TRAIN], [PREPARED, schedule(ending)])
    assert decision.verdict.state == State.UNDER_WAY
    assert decision.plan.actions == ()


def test_plan_creates_nothing_while_a_pod_may_still_write() -> None:
    stray = start(make_pod(make_job(make_training(), Stage.TRAIN, attempt=7)))
    assert _created(_decide(make_training(), [], [stray])) == []


def test_plan_creates_beside_a_pod_that_is_lost_with_its_node() -> None:
    stray = start(make_pod(make_job(make_training(), Stage.TRAIN)))
    stray["metadata"]["deletionTimestamp"] = at(10)
    soon = _decide(make_training(), [], [stray], seconds=69)
    assert (_created(soon), soon.plan.wake) == ([], START + timedelta(seconds=70))
    assert _created(_decide(make_training(), [], [stray], seconds=70)) == ["cats-r1a1-prepare"]


def test_decide_retries_what_another_attempt_can_mend() -> None:
    failed = _decide(RUNNING, [PREPARE, TRAIN], [PREPARED, end(TRAIN_POD, 137, reason="OOMKilled")])
    assert failed.verdict.state == State.AGAIN
    assert failed.plan.actions == ()
    assert (failed.status.attempt, failed.status.restarts, failed.status.job_name) == (2, 1, None)
    assert failed.status.failure is not None
    assert failed.status.failure.reason == Reason.OOM_KILLED


def test_plan_waits_for_the_back_off_counted_from_the_end_of_the_pod() -> None:
    pods = [PREPARED, end(TRAIN_POD, 137, seconds=60, reason="OOMKilled")]
    training = _with_status(RUNNING, make_view(RUNNING, [PREPARE, TRAIN], pods, seconds=61))
    early = _decide(training, [PREPARE, TRAIN], pods, seconds=65)
    assert (_created(early), early.plan.wake) == ([], START + timedelta(seconds=70))
    assert early.status.phase == Phase.PENDING
    due = _decide(training, [PREPARE, TRAIN], pods, seconds=70)
    assert _created(due) == ["cats-r1a2-prepare"]
    assert _deleted(due) == []


def test_plan_doubles_the_back_off_up_to_five_minutes() -> None:
    delays = []
    for attempt in (2, 3, 4, 9, 30):
        last = make_job(make_training(), Stage.TRAIN, attempt=attempt - 1)
        pod = end(make_pod(last), 8, seconds=60)
        status = {
            "run": 1,
            "attempt": attempt,
            "failure": {"reason": "WorkerKilled", "message": "", "attempt": 1},
        }
        decision = _decide(make_training(status=status), [last], [pod], seconds=60)
        assert decision.plan.wake is not None
        delays.append((decision.plan.wake - START).total_seconds() - 60)
    assert delays == [10, 20, 40, 300, 300]


def test_plan_waits_shortly_after_an_attempt_that_ran_long() -> None:
    last = make_job(make_training(), Stage.TRAIN, attempt=5)
    pod = end(make_pod(last), 143, seconds=5 + 600)
    status = {"run": 1, "attempt": 6, "failure": {"reason": "Interrupted", "message": "", "attempt": 5}}
    decision = _decide(make_training(status=status), [last], [pod], seconds=605)
    assert decision.plan.wake == START + timedelta(seconds=615)


def test_decide_gives_up_after_max_restarts() -> None:
    training = make_training(lifecycle={"maxRestarts": 0})
    decision = _decide(training, [PREPARE, TRAIN], [PREPARED, end(TRAIN_POD, 7)])
    assert (decision.status.phase, decision.verdict.state) == (Phase.FAILED, State.FAILED)


def test_hint_says_who_sees_to_it_that_the_training_goes_on() -> None:
    hints = []
    for restarts in (0, 3):
        training = make_training(lifecycle={"maxRestarts": restarts})
        failure = _decide(training, [PREPARE, TRAIN], [PREPARED, end(TRAIN_POD, 7)]).status.failure
        assert failure is not None
        hints.append(failure.hint)
    assert hints == [f"{HINTS[Reason.HUNG]}; {GO_ON}", f"{HINTS[Reason.HUNG]}; {GOES_ON}"]


@pytest.mark.parametrize("code", [2, 3, 4, 5, 9])
def test_decide_does_not_retry_what_would_fail_again(code: int) -> None:
    decision = _decide(make_training(), [PREPARE, TRAIN], [PREPARED, end(TRAIN_POD, code)])
    assert decision.status.phase == Phase.FAILED


@pytest.mark.parametrize("code", [6, 7, 8, 10, 11, 12])
def test_decide_counts_what_another_attempt_can_mend(code: int) -> None:
    decision = _decide(make_training(), [PREPARE, TRAIN], [PREPARED, end(TRAIN_POD, code)])
    assert (decision.verdict.state, decision.status.attempt, decision.status.restarts) == (State.AGAIN, 2, 1)


def test_decide_does_not_count_what_the_training_is_not_to_blame_for() -> None:
    training = make_training(lifecycle={"maxRestarts": 0})
    decision = _decide(training, [PREPARE, TRAIN], [PREPARED, end(TRAIN_POD, 143)])
    assert (decision.verdict.state, decision.status.attempt, decision.status.restarts) == (State.AGAIN, 2, 0)


def test_decide_recognises_a_training_that_had_finished() -> None:
    finished = make_result(Stage.TRAIN, epochs_done=100, epochs=100)
    told = make_result(Stage.PREPARE, attempt=2, finished=finished)
    prepare = make_job(make_training(), Stage.PREPARE, attempt=2)
    decision = _decide(make_training(), [prepare], [end(make_pod(prepare), result=told)])
    assert decision.status.phase == Phase.SUCCEEDED
    assert decision.status.printed is not None
    assert decision.status.printed.epoch == "100/100"
    assert _created(decision) == []


def test_decide_recognises_it_by_the_train_job_where_the_message_of_prepare_is_lost() -> None:
    best = Best(epoch=60, fitness=0.7, metrics={"metrics/mAP50-95(B)": 0.7})
    weights = Weights(best=Weight(path="train/cats/weights/best.pt", size=1, sha256="f" * 64))
    finished = make_result(
        Stage.TRAIN, epochs_done=100, epochs=100, metrics=best.metrics, best=best, weights=weights
    )
    told = make_result(Stage.TRAIN, attempt=2, finished=finished, warnings=["looked twice"])
    prepare, train = (make_job(make_training(), stage, attempt=2) for stage in Stage)
    silent = end(make_pod(prepare))
    waiting = _decide(make_training(), [prepare], [silent])
    assert _created(waiting) == ["cats-r1a2-train"]
    status = _decide(make_training(), [prepare, train], [silent, end(make_pod(train), result=told)]).status
    assert (status.phase, status.best, status.weights) == (Phase.SUCCEEDED, best, weights)
    assert status.progress is not None
    assert (status.progress.epoch, status.progress.metrics) == (100, best.metrics)
    assert status.warnings == ["looked twice"]


def test_decide_recognises_a_training_that_had_failed() -> None:
    finished = make_result(Stage.TRAIN, 4, reason="Diverged", message="NaN")
    told = make_result(Stage.PREPARE, finished=finished)
    decision = _decide(make_training(), [PREPARE], [end(make_pod(PREPARE), result=told)])
    assert decision.status.phase == Phase.FAILED
    assert decision.status.failure is not None
    assert decision.status.failure.reason == Reason.DIVERGED


def test_plan_deletes_children_only_once_the_end_is_stored() -> None:
    jobs, pods = [PREPARE, TRAIN], [PREPARED, end(TRAIN_POD)]
    assert _deleted(_decide(RUNNING, jobs, pods)) == []
    stored = _with_status(RUNNING, make_view(RUNNING, jobs, pods))
    settled = _decide(stored, jobs, pods)
    assert settled.verdict.state == State.SETTLED
    assert _deleted(settled) == ["cats-r1a1-prepare", "cats-r1a1-train"]
    assert settled.status.to_wire() == stored["status"]


def test_training_that_an_earlier_operator_ended_gets_its_sentence_and_reason_once() -> None:
    finished = make_result(Stage.TRAIN, 4, reason="Diverged", message="NaN")
    told = make_result(Stage.PREPARE, finished=finished)
    jobs, pods = [PREPARE], [end(make_pod(PREPARE), result=told)]
    full = _with_status(make_training(), make_view(make_training(), jobs, pods))
    without = {key: value for key, value in full["status"].items() if key not in {"message", "printed"}}
    upgraded = _decide(full | {"status": without}, jobs, pods)
    assert upgraded.verdict.state == State.SETTLED
    assert upgraded.status.message == full["status"]["message"]
    assert upgraded.status.printed is not None
    assert upgraded.status.printed.reason == "Diverged"
    again = _decide(full | {"status": upgraded.status.to_wire()}, jobs, pods)
    assert again.status == upgraded.status


def test_stop_deletes_the_job_and_ends_when_the_pod_is_gone() -> None:
    training = RUNNING | {"spec": RUNNING["spec"] | {"stop": True}}
    leaving = _decide(training, [PREPARE, TRAIN], [PREPARED, start(TRAIN_POD)])
    assert _deleted(leaving) == ["cats-r1a1-train"]
    assert (leaving.status.phase, leaving.verdict.state) == (Phase.RUNNING, State.LEAVING)
    assert _decide(training, [], [start(TRAIN_POD)]).verdict.state == State.LEAVING
    gone = _decide(training, [], [end(TRAIN_POD, 143)])
    assert (gone.status.phase, gone.status.failure) == (Phase.TERMINATED, None)


def test_stop_does_not_undo_a_training_that_has_just_finished() -> None:
    training = RUNNING | {"spec": RUNNING["spec"] | {"stop": True}}
    assert _decide(training, [PREPARE, TRAIN], [PREPARED, end(TRAIN_POD)]).status.phase == Phase.SUCCEEDED


def test_stop_before_anything_started_creates_nothing() -> None:
    decision = _decide(make_training(stop=True))
    assert (decision.status.phase, decision.plan.actions) == (Phase.TERMINATED, ())


def test_suspend_goes_on_with_the_next_attempt() -> None:
    suspended = RUNNING | {"spec": RUNNING["spec"] | {"suspend": True}}
    jobs, pods = [PREPARE, TRAIN], [PREPARED, start(TRAIN_POD)]
    first = make_view(suspended, jobs, pods)
    assert decide(first, SETTINGS).status.failure is None
    stored = _with_status(suspended, first)
    leaving = _decide(stored, jobs, pods)
    assert _deleted(leaving) == ["cats-r1a1-train"]
    assert leaving.status.phase == Phase.RUNNING
    idle = _decide(stored, [], [end(TRAIN_POD, 143)])
    assert (idle.status.phase, idle.status.attempt) == (Phase.SUSPENDED, 2)
    stored = stored | {"status": idle.status.to_wire(), "spec": RUNNING["spec"]}
    resumed = _decide(stored)
    assert _created(resumed) == ["cats-r1a2-prepare"]


def test_higher_run_resets_the_status_and_removes_the_old_jobs() -> None:
    training = RUNNING | {"spec": RUNNING["spec"] | {"run": 2}}
    decision = _decide(training, [PREPARE, TRAIN], [PREPARED, start(TRAIN_POD)])
    assert _deleted(decision) == ["cats-r1a1-prepare", "cats-r1a1-train"]
    assert _created(decision) == []
    status = decision.status
    assert (status.run, status.attempt, status.start_time, status.dataset) == (2, 1, None, None)
    assert [(run.run, run.phase) for run in status.runs] == [(1, "Running")]
    assert _created(_decide(training | {"status": status.to_wire()})) == ["cats-r2a1-prepare"]


def test_runs_are_kept_to_ten() -> None:
    training = make_training()
    for run in range(1, 15):
        training = training | {"spec": training["spec"] | {"run": run}}
        training = _with_status(training, make_view(training))
    runs = training["status"]["runs"]
    assert [entry["run"] for entry in runs] == list(range(4, 14))


def test_retry_annotation_starts_another_attempt_once() -> None:
    jobs, pods = [PREPARE, TRAIN], [PREPARED, end(TRAIN_POD, 4)]
    failed = _with_status(RUNNING, make_view(RUNNING, jobs, pods))
    failed["metadata"] = failed["metadata"] | {"annotations": {ANNOTATION_RETRY: "again"}}
    retried = _decide(failed)
    assert _created(retried) == ["cats-r1a2-prepare"]
    assert (retried.status.attempt, retried.status.retry, retried.status.restarts) == (2, "again", 0)
    second = make_job(failed, Stage.PREPARE, attempt=2)
    stored = failed | {"status": retried.status.to_wire()}
    over = _with_status(stored, make_view(stored, [second], [end(make_pod(second), 3)]))
    assert over["status"]["phase"] == "Failed"
    assert _created(_decide(over)) == []


def test_lost_job_is_replaced_by_another_attempt() -> None:
    decision = _decide(RUNNING, [PREPARE], [PREPARED, start(TRAIN_POD)])
    assert decision.verdict.state == State.AGAIN
    assert decision.status.failure is not None
    assert decision.status.failure.reason == Reason.POD_DELETED
    assert (decision.status.attempt, decision.status.restarts) == (2, 0)


def test_pending_deadline_fails_with_what_it_waited_for() -> None:
    training = make_training(lifecycle={"pendingDeadlineSeconds": 60})
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "message": "0/1 nodes: Insufficient nvidia.com/gpu",
    }
    pod = TRAIN_POD | {"status": {"phase": "Pending", "conditions": [condition]}}
    waiting = _decide(training, [PREPARE, TRAIN], [PREPARED, pod], seconds=80)
    assert waiting.status.phase == Phase.QUEUED
    assert waiting.status.failure is not None
    assert waiting.status.failure.reason == Reason.UNSCHEDULABLE
    assert waiting.plan.wake == START + timedelta(seconds=81)
    late = _decide(training, [PREPARE, TRAIN], [PREPARED, pod], seconds=81)
    assert late.status.failure is not None
    assert late.status.failure.reason == Reason.PENDING_TOO_LONG
    assert "60 s: Unschedulable: no node has enough nvidia.com/gpu" in late.status.failure.message
    assert late.status.failure.hint is not None
    assert late.status.failure.hint.startswith(HINTS[Reason.UNSCHEDULABLE])
    assert "pendingDeadlineSeconds" in late.status.failure.hint
    assert late.status.phase == Phase.FAILED


def test_pending_deadline_tells_what_kept_a_pod_from_being_made() -> None:
    """The Job's events, which said it, are not read again at the end."""
    training = make_training(lifecycle={"pendingDeadlineSeconds": 60})
    refused = {"reason": "Forbidden", "message": 'RuntimeClass "x" not found', "hint": "correct it"}
    training["status"] = {"run": 1, "attempt": 1, "failure": refused}
    late = _decide(training, [PREPARE, TRAIN], [PREPARED], seconds=81).status.failure
    assert late is not None
    assert late.message == 'no pod started within 60 s: Forbidden: RuntimeClass "x" not found'
    assert (late.hint or "").startswith("correct it; ")


def test_active_deadline_is_kept_when_the_pod_does_not() -> None:
    training = make_training(lifecycle={"activeDeadlineSeconds": 100, "terminationGracePeriodSeconds": 30})
    objects: tuple[list[Body], list[Body]] = ([PREPARE, TRAIN], [PREPARED, start(TRAIN_POD)])
    assert _decide(training, *objects, seconds=194).plan.wake == START + timedelta(seconds=195)
    late = _decide(training, *objects, seconds=195)
    assert late.status.failure is not None
    assert late.status.failure.reason == Reason.DEADLINE_EXCEEDED


def test_an_objects_name_that_is_no_model_name_is_told_with_its_field_and_a_way_out() -> None:
    decision = _decide(make_training(name="a"))
    failure = decision.status.failure
    assert failure is not None
    assert failure.reason == Reason.NAME_MISMATCH
    assert failure.message == "metadata.name: a model name has 2 to 128 characters, this one has 1"
    assert failure.hint == "delete the object and create it under a name that fits"
    assert decision.plan.actions == ()


def test_ttl_deletes_the_training() -> None:
    training = make_training(lifecycle={"ttlSecondsAfterFinished": 50})
    stored = _with_status(training, make_view(training, [PREPARE, TRAIN], [PREPARED, end(TRAIN_POD)]))
    assert _decide(stored, seconds=109).plan.wake == START + timedelta(seconds=110)
    assert _decide(stored, seconds=110).plan.actions == (DeleteTraining(UID, "10"),)


def test_name_mismatch_is_final_and_names_the_right_one() -> None:
    decision = _decide(make_training(name="dogs", modelName="Cats!".replace("!", " 1")))
    assert decision.status.phase == Phase.FAILED
    assert decision.status.failure is not None
    assert decision.status.failure.reason == Reason.NAME_MISMATCH
    assert "cats-1-" in decision.status.failure.message
    assert decision.plan.actions == ()


def test_invalid_spec_names_the_field() -> None:
    training = make_training()
    training["spec"] = training["spec"] | {"lifecycle": {"maxRestarts": -1}}
    decision = _decide(training)
    assert decision.status.failure is not None
    assert decision.status.failure.reason == Reason.INVALID_SPEC
    assert "spec.lifecycle.maxRestarts" in decision.status.failure.message


def test_invalid_spec_that_was_corrected_goes_on() -> None:
    training = make_training()
    wrong = training | {"spec": training["spec"] | {"lifecycle": {"maxRestarts": -1}}}
    stored = _with_status(wrong, make_view(wrong))
    assert _created(_decide(training | {"status": stored["status"]})) == ["cats-r1a1-prepare"]


def test_stuck_job_is_told_through_its_events() -> None:
    early = _decide(make_training(), [PREPARE], seconds=5)
    assert early.plan.wake == START + timedelta(seconds=11)
    events = (EventView("FailedCreate", "exceeded quota: gpus"),)
    stuck = _decide(make_training(), [PREPARE], seconds=40, events=events)
    assert stuck.status.failure is not None
    assert stuck.status.failure.reason == Reason.QUOTA_EXCEEDED
    assert stuck.status.phase == Phase.PREPARING
    assert stuck.plan.wake == START + timedelta(seconds=70)


def _out_of_memory(attempt: int) -> Body:
    """A pod whose training ran out of GPU memory."""
    result = make_result(Stage.TRAIN, 4, attempt, reason="CudaOutOfMemory", message="CUDA out of memory")
    return end(make_pod(make_job(make_training(), Stage.TRAIN, attempt)), 4, result=result)


def _overrides(decision: Decision) -> Overrides:
    (action,) = decision.plan.actions
    assert isinstance(action, CreateJob)
    (container,) = action.manifest["spec"]["template"]["spec"]["containers"]
    config = next(e["value"] for e in container["env"] if e["name"] == CONFIG_ENV)
    return TrainerConfig.model_validate_json(config).overrides


def test_decide_stores_a_remedy_with_the_next_attempt_and_gives_it_to_all_later_ones() -> None:
    failed = _decide(RUNNING, [PREPARE, TRAIN], [PREPARED, _out_of_memory(1)])
    assert failed.verdict.state == State.AGAIN
    assert (failed.status.attempt, failed.status.restarts) == (2, 1)
    want = {"attempt": 2, "reason": "CudaOutOfMemory", "argument": "batch", "before": "16", "after": "8"}
    assert [remedy.to_wire() for remedy in failed.status.remedies] == [want]
    for attempt in (2, 3):
        status = failed.status.model_copy(update={"attempt": attempt}).to_wire()
        prepare = make_job(make_training(), Stage.PREPARE, attempt=attempt)
        due = _decide(make_training(status=status), [prepare], [end(make_pod(prepare))])
        assert _overrides(due) == {"batch": "8"}
        assert [remedy.to_wire() for remedy in due.status.remedies] == [want]


def test_decide_adds_remedies_until_no_restart_is_left() -> None:
    training, afters = make_training(lifecycle={"maxRestarts": 2}), []
    for attempt in (1, 2, 3):
        job = make_job(training, Stage.TRAIN, attempt)
        decision = _decide(training, [job], [_out_of_memory(attempt)])
        afters.append([remedy.after for remedy in decision.status.remedies])
        training = training | {"status": decision.status.to_wire()}
    assert afters == [["8"], ["8", "4"], ["8", "4"]]
    assert training["status"]["phase"] == "Failed"


def test_decide_has_no_remedy_for_prepare() -> None:
    decision = _decide(make_training(), [PREPARE], [end(make_pod(PREPARE), 137, reason="OOMKilled")])
    assert (decision.verdict.state, decision.status.remedies) == (State.AGAIN, [])


def test_retry_annotation_keeps_the_remedies_and_a_higher_run_drops_them() -> None:
    training = make_training(lifecycle={"maxRestarts": 1})
    for attempt in (1, 2):
        job = make_job(training, Stage.TRAIN, attempt)
        training = _with_status(training, make_view(training, [job], [_out_of_memory(attempt)]))
    assert training["status"]["phase"] == "Failed"
    retried = training | {"metadata": training["metadata"] | {"annotations": {ANNOTATION_RETRY: "again"}}}
    assert [remedy.after for remedy in _decide(retried).status.remedies] == ["8"]
    anew = training | {"spec": training["spec"] | {"run": 2}}
    assert _decide(anew).status.remedies == []


def test_decide_waits_for_the_pods_phase_when_its_container_has_just_ended() -> None:
    ending = end(TRAIN_POD, 3)
    ending["status"] = ending["status"] | {"phase": "Running"}
    decision = _decide(make_training(), [PREPARE, TRAIN], [PREPARED, ending])
    assert decision.verdict.state == State.UNDER_WAY


def test_unreadable_status_counts_as_none() -> None:
    decision = _decide(make_training(status={"phase": 3, "conditions": "none"}))
    assert _created(decision) == ["cats-r1a1-prepare"]


def test_jobs_of_another_owner_are_left_alone() -> None:
    other = PREPARE | {"metadata": PREPARE["metadata"] | {"ownerReferences": []}}
    decision = _decide(make_training(), [other])
    assert _created(decision) == ["cats-r1a1-prepare"]
    assert _deleted(decision) == []


@pytest.mark.parametrize(
    ("pod_name", "want"), [("cats-r1a1-train-x1", True), ("cats-r1a1-prepare-x1", False)]
)
def test_events_are_asked_for_of_the_newest_jobs_own_pod_alone(pod_name: str, want: bool) -> None:
    """The status may still name prepare's, where the operator was down since."""
    status = {"run": 1, "attempt": 1, "jobName": "cats-r1a1-train", "podName": pod_name}
    jobs = [PREPARE, end_job(TRAIN, "Failed", 60, "BackoffLimitExceeded")]
    verdict = _decide(make_training(status=status), jobs, [PREPARED]).verdict
    assert wants_last_events(verdict) == (pod_name if want else None)
