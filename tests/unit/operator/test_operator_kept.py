"""How long the last Job of a run that has ended is kept, and which one."""

from datetime import timedelta
from typing import Any

import pytest

from operator_objects import (
    SETTINGS,
    START,
    Body,
    at,
    end,
    end_job,
    make_job,
    make_pod,
    make_pods,
    make_training,
    make_view,
    start,
)
from yolo_crds.meta import Stage
from yolo_operator.decision import Decision, decide
from yolo_operator.kept import tell_logs
from yolo_operator.plan import DeleteJob

PREPARE = end_job(make_job(make_training(), Stage.PREPARE), "Complete", 20)
TRAIN = make_job(make_training(), Stage.TRAIN)
ENDED = end_job(TRAIN, "Failed", 61)
POD = make_pod(TRAIN)


def _settled(job: Body, **status: Any) -> Body:
    """A training whose run ended in second 60 with that Job."""
    finished = {
        "type": "Finished",
        "status": "True",
        "lastTransitionTime": at(60),
        "reason": "TrainingFailed",
    }
    told = {"run": 1, "attempt": 1, "completionTime": at(60), "startTime": at(5), "conditions": [finished]}
    return make_training(status=told | {"jobName": job["metadata"]["name"]} | status)


def _decide(job: Body, *pods: Body, seconds: float = 70, keep: int = 3600, **status: Any) -> Decision:
    settings = SETTINGS.model_copy(update={"keep_finished_job_seconds": keep})
    return decide(make_view(_settled(job, **status), [PREPARE, job], pods, seconds=seconds), settings)


def _deleted(decision: Decision) -> list[str]:
    return [action.name for action in decision.plan.actions if isinstance(action, DeleteJob)]


@pytest.mark.parametrize(
    ("seconds", "keep", "want"),
    [
        (70, 3600, False),
        (3659, 3600, False),
        (3660, 3600, True),
        (70, 0, True),
        (70, 10, True),
        (69, 10, False),
    ],
)
def test_the_last_job_alone_is_kept_and_for_so_long(seconds: float, keep: int, want: bool) -> None:
    decision = _decide(ENDED, end(POD, 4), seconds=seconds, keep=keep)
    assert _deleted(decision) == ["cats-r1a1-prepare", *(["cats-r1a1-train"] if want else [])]
    assert decision.plan.wake == (None if want else START + timedelta(seconds=60 + keep))


def test_a_prepare_that_failed_is_the_last_job() -> None:
    failed = end_job(PREPARE, "Failed", 60)
    decision = decide(make_view(_settled(failed), [failed], [end(make_pod(failed), 3)]), SETTINGS)
    assert (_deleted(decision), decision.plan.wake) == ([], START + timedelta(seconds=3660))


def test_a_job_whose_controller_has_not_seen_its_end_is_given_a_moment() -> None:
    decision = _decide(TRAIN, end(POD, 4), seconds=89)
    assert (_deleted(decision), decision.plan.wake) == (["cats-r1a1-prepare"], START + timedelta(seconds=90))
    assert "cats-r1a1-train" in _deleted(_decide(TRAIN, end(POD, 4), seconds=90))


def test_pods_that_hold_something_go_at_once() -> None:
    """A deadline ends the run while its pod trains; so does a deadline for its waiting."""
    for pod in (start(POD), POD):
        assert "cats-r1a1-train" in _deleted(_decide(TRAIN, pod))
    assert "cats-r1a1-train" in _deleted(_decide(TRAIN))


def test_a_job_that_an_injected_container_outlives_is_not_kept() -> None:
    lingering = end(POD)
    sidecar = {"name": "mesh", "state": {"running": {}}}
    containers = [*lingering["status"]["containerStatuses"], sidecar]
    lingering["status"] |= {"phase": "Running", "containerStatuses": containers}
    assert "cats-r1a1-train" in _deleted(_decide(TRAIN, lingering))


def test_other_pods_of_several_nodes_have_a_moment_to_end_and_then_the_log_is_kept() -> None:
    template = {"model": "m.yaml", "data": {"train": "a"}, "resources": {"nodes": 2}}
    job = make_job(make_training(template=template), Stage.TRAIN)
    first, second = make_pods(job)
    failed = end(first, 4)
    assert "cats-r1a1-train" not in _deleted(_decide(job, failed, start(second), seconds=89))
    assert "cats-r1a1-train" in _deleted(_decide(job, failed, start(second), seconds=90))
    assert "cats-r1a1-train" not in _deleted(_decide(end_job(job, "Failed", 62), failed, seconds=3000))


def test_a_run_that_was_stopped_names_no_job_and_keeps_none() -> None:
    decision = _decide(TRAIN, end(POD, 143), jobName=None)
    assert "cats-r1a1-train" in _deleted(decision)


def test_names_stay_until_job_or_pod_is_gone_or_about_to_be() -> None:
    name = POD["metadata"]["name"]
    there = _decide(ENDED, end(POD, 4), podName=name)
    assert (there.status.job_name, there.status.pod_name) == ("cats-r1a1-train", name)
    going = end(POD, 4)
    going["metadata"] = going["metadata"] | {"deletionTimestamp": at(90)}
    for pods in ([], [going]):
        gone = _decide(ENDED, *pods, podName=name)
        assert (gone.status.job_name, gone.status.pod_name) == ("cats-r1a1-train", None)
        assert gone.status.logs == tell_logs("cats", None, trained=True)


def test_between_two_attempts_the_pod_before_is_named_as_long_as_it_is_there() -> None:
    failure = {"reason": "OOMKilled", "message": "", "attempt": 1}
    name = POD["metadata"]["name"]
    status = {"run": 1, "attempt": 2, "podName": name, "nodeName": "node-1", "failure": failure}
    training = make_training(status=status)
    for pods, want in (([end(POD, 137, 95)], (name, "node-1")), ([], (None, None))):
        told = decide(make_view(training, [ENDED], pods), SETTINGS).status
        assert (told.phase, told.pod_name, told.node_name) == ("Pending", *want)


def test_a_status_without_the_ways_to_logs_is_not_written_for_their_sake() -> None:
    """That of an earlier version: ten thousand of them would be written at the update."""
    stored = _settled(ENDED, jobName=None)
    assert decide(make_view(stored, [], []), SETTINGS).status.logs is None


def test_prepare_leaves_no_log_file() -> None:
    assert tell_logs("cats", None, trained=False) is None
    assert "train_info" not in (tell_logs("cats", "cats-r1a1-prepare-x", trained=False) or "")
