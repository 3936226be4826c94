"""Containers that somebody injected into a training's pods: kept away, and outlived."""

from typing import Any

import pytest

from operator_objects import (
    SETTINGS,
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
)
from yolo_crds.conditions import Phase, Reason
from yolo_crds.meta import LABEL_EGRESS, Stage
from yolo_crds.trainer import Result
from yolo_crds.training import YoloTraining
from yolo_operator.decision import Decision, decide
from yolo_operator.injection import OPT_OUT_ANNOTATIONS, OPT_OUT_LABELS
from yolo_operator.jobs import build_prepare_job, build_train_job
from yolo_operator.plan import DeleteJob
from yolo_operator.verdict import State

PREPARE = make_job(make_training(), Stage.PREPARE)
TRAIN = make_job(make_training(), Stage.TRAIN, seconds=21)
PREPARE_RESULT = make_result(Stage.PREPARE, dataset={"hash": "abc"})
PREPARED = end(make_pod(PREPARE), result=PREPARE_RESULT, seconds=20)
PROXY_RUNS = {"name": "istio-proxy", "state": {"running": {"startedAt": at(4)}}}


def _beside(pod: Body, phase: str, *others: Body) -> Body:
    """The pod with further containers, and the phase that this means."""
    status = pod["status"]
    return pod | {
        "status": status | {"phase": phase, "containerStatuses": [*status["containerStatuses"], *others]}
    }


def _outlived(job: Body, code: int = 0, result: Result | None = None) -> Body:
    """The trainer's container has ended, the proxy has not."""
    return _beside(end(make_pod(job), code, result=result), "Running", PROXY_RUNS)


def _decide(training: Body, jobs: list[Body], pods: list[Body], **more: Any) -> Decision:
    return decide(make_view(training, jobs, pods, **more), SETTINGS)


def _stored(training: Body, jobs: list[Body], pods: list[Body], **more: Any) -> Body:
    return training | {"status": _decide(training, jobs, pods, **more).status.to_wire()}


def _deleted(decision: Decision) -> list[str]:
    return [action.name for action in decision.plan.actions if isinstance(action, DeleteJob)]


RUNNING = _stored(make_training(), [PREPARE, TRAIN], [PREPARED, start(make_pod(TRAIN))])


def test_pods_ask_to_be_left_alone_and_the_installer_has_the_last_word() -> None:
    training = YoloTraining.model_validate(make_training())
    for build in (build_prepare_job, build_train_job):
        metadata = build(training, 1, SETTINGS)["spec"]["template"]["metadata"]
        assert metadata["labels"].items() >= OPT_OUT_LABELS.items()
        assert metadata["annotations"].items() >= OPT_OUT_ANNOTATIONS.items()
        assert "sidecar.istio.io/inject" not in build(training, 1, SETTINGS)["metadata"]["labels"]
    labels = {"sidecar.istio.io/inject": "true", LABEL_EGRESS: "all", "team": "a"}
    settings = SETTINGS.model_copy(update={"pod_labels": labels, "pod_annotations": {"a": "b"}})
    metadata = build_train_job(training, 1, settings)["spec"]["template"]["metadata"]
    assert (metadata["labels"]["sidecar.istio.io/inject"], metadata["labels"]["team"]) == ("true", "a")
    assert metadata["labels"][LABEL_EGRESS] == "none", "by it a NetworkPolicy knows the pod"
    assert metadata["annotations"]["a"] == "b"
    settings = SETTINGS.model_copy(update={"refuse_sidecars": False})
    metadata = build_train_job(training, 1, settings)["spec"]["template"]["metadata"]
    assert not {*OPT_OUT_LABELS, *OPT_OUT_ANNOTATIONS} & {*metadata["labels"], *metadata["annotations"]}


def test_the_trainers_end_is_the_end_of_training() -> None:
    result = make_result(Stage.TRAIN, metrics={"metrics/mAP50-95(B)": 0.5})
    pods = [PREPARED, _outlived(TRAIN, result=result)]
    decision = _decide(RUNNING, [PREPARE, TRAIN], pods)
    assert decision.status.phase == Phase.SUCCEEDED
    settled = _stored(RUNNING, [PREPARE, TRAIN], pods)
    assert _deleted(_decide(settled, [PREPARE, TRAIN], pods)) == ["cats-r1a1-prepare", "cats-r1a1-train"]


def test_the_trainers_end_is_the_end_beside_a_container_that_never_started() -> None:
    waits = {"waiting": {"reason": "ImagePullBackOff", "message": "no tag"}}
    beside = {"name": "vault-agent", "state": waits}
    ended = end(make_pod(TRAIN), result=make_result(Stage.TRAIN))
    decision = _decide(RUNNING, [PREPARE, TRAIN], [PREPARED, _beside(ended, "Pending", beside)])
    assert decision.status.phase == Phase.SUCCEEDED


def test_the_trainers_end_is_the_end_of_prepare_whose_pod_goes_once_its_words_are_stored() -> None:
    pods = [_outlived(PREPARE, result=PREPARE_RESULT)]
    first = _decide(make_training(), [PREPARE], pods)
    assert (first.verdict.state, first.verdict.stage) == (State.WAITING, Stage.TRAIN)
    training = _stored(make_training(), [PREPARE], pods)
    assert _deleted(_decide(training, [PREPARE, TRAIN], pods)) == [], "the Job's name is not stored yet"
    training = _stored(training, [PREPARE, TRAIN], pods)
    assert _deleted(_decide(training, [PREPARE, TRAIN], pods)) == ["cats-r1a1-prepare"]
    without = _decide(training, [TRAIN], [start(make_pod(TRAIN))])
    assert without.status.dataset is not None
    assert (without.status.phase, without.status.dataset.hash) == (Phase.RUNNING, "abc")


def test_a_failed_attempts_pod_goes_before_the_next_one_begins() -> None:
    pods = [PREPARED, _outlived(TRAIN, 8)]
    decision = _decide(RUNNING, [PREPARE, TRAIN], pods)
    assert (decision.verdict.state, decision.status.attempt) == (State.AGAIN, 2)
    assert decision.verdict.failure is not None
    assert decision.verdict.failure.reason == Reason.WORKER_KILLED
    training = _stored(RUNNING, [PREPARE, TRAIN], pods)
    assert _deleted(_decide(training, [PREPARE, TRAIN], pods)) == ["cats-r1a1-train"]


def test_stop_does_not_wait_for_a_container_that_nobody_ends() -> None:
    training = RUNNING | {"spec": RUNNING["spec"] | {"stop": True}}
    decision = _decide(training, [PREPARE, TRAIN], [PREPARED, _outlived(TRAIN, 143)])
    assert decision.verdict.state == State.LEAVING
    assert "cats-r1a1-train" in _deleted(decision)


def test_a_queued_job_whose_trainer_ended_by_itself_is_not_waited_for() -> None:
    scheduling = {"scheduling": {"queueName": "gpus"}}
    training = make_training(template=make_training()["spec"]["template"] | scheduling)
    train = make_job(training, Stage.TRAIN)
    decision = _decide(training, [train], [_outlived(train, 143)])
    assert decision.verdict.state == State.AGAIN


def test_another_containers_failure_is_not_the_trainings() -> None:
    ended = {"name": "istio-proxy", "state": {"terminated": {"exitCode": 137, "reason": "Error"}}}
    pod = _beside(end(make_pod(TRAIN), result=make_result(Stage.TRAIN)), "Failed", ended)
    decision = _decide(RUNNING, [PREPARE, end_job(TRAIN, "Failed", 61)], [PREPARED, pod])
    assert decision.status.phase == Phase.SUCCEEDED


def test_a_pod_on_its_way_out_is_waited_for() -> None:
    pod = _outlived(TRAIN)
    pod["metadata"]["deletionTimestamp"] = at(90)
    decision = _decide(RUNNING, [PREPARE, TRAIN], [PREPARED, pod])
    assert decision.verdict.state == State.UNDER_WAY


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"waiting": {"reason": "ImagePullBackOff", "message": "no tag"}}, "ImagePullBackOff: no tag"),
        ({"terminated": {"exitCode": 1, "message": "iptables"}}, "it ended with exit code 1 iptables"),
    ],
)
def test_an_injected_container_that_keeps_the_trainer_from_starting_is_named(state: Body, words: str) -> None:
    pod = schedule(make_pod(TRAIN))
    pod["status"] |= {
        "initContainerStatuses": [
            {"name": "vault-agent-init", "state": {"terminated": {"exitCode": 0}}},
            {"name": "istio-init", "state": state},
        ],
        "containerStatuses": [{"name": "trainer", "state": {"waiting": {"reason": "PodInitializing"}}}],
    }
    told = [_decide(RUNNING, [PREPARE, TRAIN], [PREPARED, pod])]
    pod["status"]["phase"] = "Failed"
    told.append(_decide(RUNNING, [PREPARE, end_job(TRAIN, "Failed", 61)], [PREPARED, pod]))
    for decision in told:
        failure = decision.verdict.failure
        assert failure is not None
        assert failure.reason == Reason.CONTAINER_START_FAILED
        assert f"the container istio-init, which somebody injected into the pod, does not start: {words}" in (
            failure.message
        )
        assert "trainer.podAnnotations" in str(failure.hint)
    assert told[1].status.phase == Phase.FAILED


def _waits_for(name: str, state: Body, **spec: Any) -> Body:
    """A pod whose trainer waits for an injected container."""
    pod = schedule(make_pod(TRAIN))
    pod["spec"] = pod["spec"] | {"initContainers": [{"name": name, **spec}]}
    pod["status"] |= {
        "initContainerStatuses": [{"name": name, **state}],
        "containerStatuses": [{"name": "trainer", "state": {"waiting": {"reason": "PodInitializing"}}}],
    }
    return pod


RUNS = {"state": {"running": {"startedAt": at(30)}}}


@pytest.mark.parametrize(
    "pod",
    [
        _waits_for("vault-agent-init", RUNS),
        _waits_for("istio-proxy", {**RUNS, "started": False}, restartPolicy="Always"),
    ],
)
def test_an_injected_container_that_lets_the_trainer_wait_is_named_after_a_minute(pod: Body) -> None:
    told = [
        _decide(RUNNING, [PREPARE, TRAIN], [PREPARED, pod], seconds=seconds).verdict.failure
        for seconds in (80, 100)
    ]
    assert told[0] is None, "containers that set something up are no news"
    assert told[1] is not None
    assert told[1].reason == Reason.CONTAINER_START_FAILED
    name = pod["status"]["initContainerStatuses"][0]["name"]
    assert f"{name}, which somebody injected into the pod, runs since {at(30)}" in told[1].message
    late = make_training(lifecycle={"pendingDeadlineSeconds": 50})
    ended = _decide(late, [PREPARE, TRAIN], [PREPARED, pod], seconds=200).verdict.failure
    assert ended is not None
    assert ended.reason == Reason.PENDING_TOO_LONG
    assert name in ended.message


def test_a_sidecar_that_has_started_lets_the_trainers_image_be_pulled() -> None:
    pod = _waits_for("istio-proxy", {**RUNS, "started": True}, restartPolicy="Always")
    assert _decide(RUNNING, [PREPARE, TRAIN], [PREPARED, pod], seconds=100).verdict.failure is None
