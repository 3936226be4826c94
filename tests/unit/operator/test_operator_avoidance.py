"""Nodes with a GPU fault: kept away from, through what happens in between, and not for ever."""

from typing import Any

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
)
from yolo_crds.conditions import Reason
from yolo_crds.meta import LABEL_QUEUE, Stage
from yolo_operator.avoidance import AVOIDED_FOR, PATIENCE
from yolo_operator.decision import Decision, decide
from yolo_operator.plan import CreateJob
from yolo_operator.verdict import State

DAY = AVOIDED_FOR.total_seconds()
GPU_FAULT, INTERRUPTED = 10, 143
TAKEN = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, "
    "1 node(s) didn't match Pod's node affinity/selector.",
}


def _failed(training: Body, attempt: int, code: int, seconds: float, node: str = "node-1") -> Body:
    """The training after an attempt that ended on a node, as it is stored."""
    job = make_job(training, Stage.TRAIN, attempt)
    pod = end(make_pod(job), code, seconds)
    pod["spec"]["nodeName"] = node
    decision = decide(make_view(training, [job], [pod], seconds=seconds + 1), SETTINGS)
    return training | {"status": decision.status.to_wire()}


def _next_job(training: Body, attempt: int, seconds: float) -> Decision:
    """What follows once that attempt's prepare has ended."""
    prepare = make_job(training, Stage.PREPARE, attempt, seconds)
    prepared = end(make_pod(prepare, seconds), seconds=seconds, result=make_result(Stage.PREPARE))
    return decide(make_view(training, [prepare], [prepared], seconds=seconds + 1), SETTINGS)


def _stored_job(decision: Decision, training: Body, attempt: int, seconds: float) -> Body:
    """The Job which is about to be made, as stored."""
    (made,) = (action.manifest for action in decision.plan.actions if isinstance(action, CreateJob))
    return make_job(training, Stage.TRAIN, attempt, seconds) | {"spec": made["spec"]}


def _avoided(decision: Decision) -> list[str]:
    """The nodes that the Job which is about to be made keeps away from."""
    (job,) = (action.manifest for action in decision.plan.actions if isinstance(action, CreateJob))
    affinity = job["spec"]["template"]["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms: list[Any] = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get(
        "nodeSelectorTerms", []
    )
    return [value for term in terms for field in term["matchFields"] for value in field["values"]]


def test_node_of_a_gpu_fault_is_avoided_whatever_happens_in_between() -> None:
    training = _failed(make_training(), 1, GPU_FAULT, 60)
    training = _failed(training, 2, INTERRUPTED, 200, node="node-2")
    assert _avoided(_next_job(training, 3, 300)) == ["node-1"]

    training = _failed(training, 3, GPU_FAULT, 400, node="node-3")
    assert _avoided(_next_job(training, 4, 500)) == ["node-1", "node-3"]


def test_new_run_avoids_it_still() -> None:
    training = _failed(make_training(lifecycle={"maxRestarts": 0}), 1, GPU_FAULT, 60)
    assert training["status"]["phase"] == "Failed"
    training["spec"]["run"] = 2
    assert _avoided(_next_job(training, 1, 300)) == ["node-1"]


def test_node_is_forgotten_after_a_day() -> None:
    training = _failed(make_training(), 1, GPU_FAULT, 60)
    assert _avoided(_next_job(training, 2, 60 + DAY - 2)) == ["node-1"]
    decision = _next_job(training, 2, 60 + DAY)
    assert _avoided(decision) == []
    assert decision.status.avoided_nodes == []


def test_pod_that_finds_no_other_node_may_go_back_after_a_while() -> None:
    training = _failed(make_training(), 1, GPU_FAULT, 60)
    job = _stored_job(_next_job(training, 2, 99), training, 2, 100)
    pod = make_pod(job, 100, conditions=[TAKEN])
    ends = 100 + PATIENCE.total_seconds()

    waits = decide(make_view(training, [job], [pod], seconds=ends - 1), SETTINGS)
    assert waits.verdict.state == State.UNDER_WAY
    assert waits.plan.wake is not None
    assert waits.plan.wake.timestamp() == make_view(training, seconds=ends).now.timestamp()

    again = decide(make_view(training, [job], [pod], seconds=ends), SETTINGS)
    assert again.verdict.state == State.AGAIN
    assert again.status.restarts == 1, "the fault alone is counted"
    assert again.status.failure is not None
    assert again.status.failure.reason == Reason.UNSCHEDULABLE
    assert "node-1" in again.status.failure.message
    training = training | {"status": again.status.to_wire()}
    assert _avoided(_next_job(training, 3, ends + 60)) == []


def test_pod_that_may_go_back_to_an_avoided_node_has_waited_all_the_same() -> None:
    """Else its `pendingDeadlineSeconds` began anew, and it was the last of those that wait."""
    training = _failed(make_training(lifecycle={"pendingDeadlineSeconds": 900}), 1, GPU_FAULT, 60)
    job = _stored_job(_next_job(training, 2, 99), training, 2, 100)
    pod = make_pod(job, 100, conditions=[TAKEN])
    ends = 100 + PATIENCE.total_seconds()
    again = decide(make_view(training, [job], [pod], seconds=ends), SETTINGS)
    assert again.status.waiting_since == at(100)
    training = training | {"status": again.status.to_wire()}
    job = _stored_job(_next_job(training, 3, ends + 20), training, 3, ends + 30)
    pod = make_pod(job, ends + 30, conditions=[TAKEN])
    for seconds, want in ((999, State.UNDER_WAY), (1000, State.FAILED)):
        assert decide(make_view(training, [job], [pod], seconds=seconds), SETTINGS).verdict.state == want


def test_job_that_a_queue_held_for_longer_than_the_node_is_avoided_has_patience_too() -> None:
    training = _failed(make_training(), 1, GPU_FAULT, 60)
    job = _stored_job(_next_job(training, 2, 99), training, 2, 100)
    held = decide(make_view(training, [job | {"status": {}}], [], seconds=2 * DAY), SETTINGS)
    training = training | {"status": held.status.to_wire()}
    assert held.status.avoided_nodes == []
    pod = make_pod(job, 2 * DAY, conditions=[TAKEN])

    ends = 2 * DAY + PATIENCE.total_seconds()
    waits = decide(make_view(training, [job], [pod], seconds=ends - 1), SETTINGS)
    assert waits.verdict.state == State.UNDER_WAY
    again = decide(make_view(training, [job], [pod], seconds=ends), SETTINGS)
    assert again.verdict.state == State.AGAIN
    assert again.status.failure is not None
    assert "node-1" in again.status.failure.message


def test_patience_of_a_queued_job_begins_when_the_pod_that_gave_it_its_place_has_had_time_to_leave() -> None:
    training = _failed(make_training(lifecycle={"terminationGracePeriodSeconds": 900}), 1, GPU_FAULT, 60)
    job = _stored_job(_next_job(training, 2, 99), training, 2, 100)
    queued = job | {
        "metadata": job["metadata"] | {"labels": job["metadata"]["labels"] | {LABEL_QUEUE: "gpus"}}
    }
    pod = make_pod(job, 100, conditions=[TAKEN])
    ends = 100 + PATIENCE.total_seconds()

    assert decide(make_view(training, [job], [pod], seconds=ends), SETTINGS).verdict.state == State.AGAIN
    for seconds, want in ((ends + 899, State.UNDER_WAY), (ends + 900, State.AGAIN)):
        view = make_view(training, [queued], [pod], seconds=seconds)
        assert decide(view, SETTINGS).verdict.state == want


def test_avoided_node_outlives_a_refused_object() -> None:
    training = _failed(make_training(lifecycle={"maxRestarts": 0}), 1, GPU_FAULT, 60)
    template = training["spec"]["template"]
    wrong = training | {"spec": training["spec"] | {"run": 2, "template": template | {"epochs": 0}}}
    refused = decide(make_view(wrong, seconds=100), SETTINGS)
    assert refused.verdict.state == State.REFUSED
    wrong["status"] = refused.status.to_wire()
    mended = wrong | {"spec": wrong["spec"] | {"template": template}}
    assert _avoided(_next_job(mended, 1, 200)) == ["node-1"]


def test_pod_that_waits_without_an_avoided_node_waits_on() -> None:
    training = make_training()
    job = make_job(training, Stage.TRAIN)
    view = make_view(training, [job], [make_pod(job, conditions=[TAKEN])], seconds=DAY)
    assert decide(view, SETTINGS).verdict.state == State.UNDER_WAY


def test_status_says_since_when_a_node_is_avoided() -> None:
    status = _failed(make_training(), 1, GPU_FAULT, 60)["status"]
    assert status["avoidedNodes"] == [{"name": "node-1", "since": at(60)}]
