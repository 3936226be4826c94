"""Pods that a node refuses though the scheduler chose it: tried again, in a row that ends."""

from typing import Any

import pytest

from operator_objects import (
    SETTINGS,
    Body,
    end,
    make_job,
    make_pod,
    make_result,
    make_training,
    make_view,
    start,
)
from yolo_crds.conditions import Phase, Reason
from yolo_crds.meta import ANNOTATION_RETRY, Stage
from yolo_operator.decision import Decision, decide
from yolo_operator.rejected import REJECTED_MOST
from yolo_operator.verdict import State

NUMA = "Pod was rejected: Resources cannot be allocated with Topology locality"
SHARED = (
    "Pod was rejected: Allocate failed due to rpc error: code = Unknown desc = request for "
    "'nvidia.com/gpu: 2' too large: maximum request size for shared resources is 1, which is unexpected"
)


def _decide(training: Body, jobs: list[Body], pods: list[Body]) -> Decision:
    return decide(make_view(training, jobs, pods, seconds=10_000), SETTINGS)


def _attempt(training: Body, attempt: int, **status: Any) -> Decision:
    """An attempt whose data is ready, and whose train pod the node refuses."""
    prepare, train = (make_job(training, stage, attempt) for stage in (Stage.PREPARE, Stage.TRAIN))
    prepared = end(make_pod(prepare), result=make_result(Stage.PREPARE, attempt=attempt))
    return _decide(training, [prepare, train], [prepared, make_pod(train) | {"status": status}])


def _refuse(
    training: Body, attempt: int, reason: str = "TopologyAffinityError", message: str = NUMA
) -> Decision:
    return _attempt(training, attempt, phase="Failed", reason=reason, message=message)


def _with_status(training: Body, decision: Decision) -> Body:
    return training | {"status": decision.status.to_wire()}


def _refused_times(count: int) -> Body:
    training = make_training()
    for attempt in range(1, count + 1):
        decision = _refuse(training, attempt)
        assert decision.verdict.state == State.AGAIN
        training = _with_status(training, decision)
    return training


@pytest.mark.parametrize(
    "reason",
    [
        "UnexpectedAdmissionError",
        "OutOfnvidia.com/gpu",
        "SMTAlignmentError",
        "NodePorts",
        "OneOfANewerKubelet",
    ],
)
def test_a_refused_pod_is_tried_again_and_costs_no_restart(reason: str) -> None:
    status = _refuse(make_training(), 1, reason).status
    assert (status.attempt, status.restarts, status.admission_refusals) == (2, 0, 1)
    assert status.failure is not None
    assert status.failure.reason == Reason.ADMISSION_REFUSED


def test_a_node_under_pressure_has_not_refused_the_pod_for_itself() -> None:
    text = "Pod was rejected: The node had condition: [DiskPressure]."
    status = _refuse(make_training(), 1, "Evicted", text).status
    assert status.failure is not None
    assert (status.failure.reason, status.admission_refusals) == (Reason.EVICTED, None)


def test_a_row_of_refused_pods_ends_with_the_nodes_words() -> None:
    decision = _refuse(_refused_times(REJECTED_MOST - 1), REJECTED_MOST)
    assert decision.status.phase == Phase.FAILED
    failure = decision.status.failure
    assert failure is not None
    words = "10 pods in a row were refused by their node, the last one so"
    assert failure.message == f"{words}: TopologyAffinityError: {NUMA}"
    assert "topology" in str(failure.hint)
    assert "another attempt follows" not in str(failure.hint)


def test_a_pod_that_trains_ends_the_row_and_a_retry_begins_a_new_one() -> None:
    training = _refused_times(REJECTED_MOST - 1)
    prepare, train = (make_job(training, stage, REJECTED_MOST) for stage in (Stage.PREPARE, Stage.TRAIN))
    prepared = end(make_pod(prepare), result=make_result(Stage.PREPARE, attempt=REJECTED_MOST))
    running = _decide(training, [prepare, train], [prepared, start(make_pod(train))])
    assert running.status.admission_refusals is None

    failed = _with_status(training, _refuse(training, REJECTED_MOST))
    failed["metadata"] = failed["metadata"] | {"annotations": {ANNOTATION_RETRY: "1"}}
    again = _decide(failed, [], [])
    assert (again.status.attempt, again.status.admission_refusals) == (REJECTED_MOST + 1, None)


def test_prepare_that_runs_between_does_not_hide_the_row() -> None:
    training = _refused_times(3)
    prepare = make_job(training, Stage.PREPARE, 4)
    decision = _decide(training, [prepare], [start(make_pod(prepare))])
    assert decision.status.admission_refusals == 3


def test_gpus_that_are_handed_out_one_by_one_end_the_run_at_once() -> None:
    decision = _refuse(make_training(), 1, "UnexpectedAdmissionError", SHARED)
    assert decision.status.phase == Phase.FAILED
    assert decision.status.failure is not None
    assert decision.status.failure.reason == Reason.GPUS_SHARED
    assert "gpus to 1" in str(decision.status.failure.hint)
