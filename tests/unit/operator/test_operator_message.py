"""The one sentence of the status, in situations that the phases alone do not tell."""

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
    schedule,
    start,
)
from yolo_crds.meta import ANNOTATION_WARNINGS, Stage
from yolo_crds.status import Status
from yolo_crds.trainer import ProgressLine
from yolo_operator.decision import decide
from yolo_operator.message import MESSAGE_MOST

PREPARE = make_job(make_training(), Stage.PREPARE)
PREPARED = end(make_pod(PREPARE), seconds=20, result=make_result(Stage.PREPARE, dataset={"hash": "abc"}))
TRAIN = make_job(make_training(), Stage.TRAIN, seconds=21)
POD = make_pod(TRAIN, seconds=22)
RUNNING = start(POD, 30)
LINE = ProgressLine(seq=1, time=1_795_514_500.0, stage="epoch", epoch=3, epochs=100, eta_seconds=720)


def _status(training: Body, *pods: Body, jobs: Any = (PREPARE, TRAIN), **more: Any) -> Status:
    return decide(make_view(training, jobs, [PREPARED, *pods], **more), SETTINGS).status


def _again(reason: str = "OOMKilled", **fields: Any) -> Body:
    """A training whose first attempt ended, and that goes on in the second one."""
    why = {"reason": reason, "message": "the first one ended", "attempt": 1}
    return make_training(status={"run": 1, "attempt": 2, "restarts": 1, "failure": why, **fields})


def test_message_of_the_data_check_follows_its_pod() -> None:
    waits, comes = make_pod(PREPARE), schedule(make_pod(PREPARE), "cpu-1")
    told = [
        decide(make_view(make_training(), [PREPARE], [pod]), SETTINGS).status.message
        for pod in (waits, comes, start(waits))
    ]
    assert told == [
        "the check of its data waits for a node",
        "the check of its data starts on cpu-1: the image and the volumes come",
        "its data is checked on node-1, before a GPU is asked for",
    ]


def test_message_before_the_first_epoch() -> None:
    assert _status(make_training(), RUNNING).message == "trains on node-1: before the first epoch"


def test_message_of_a_later_attempt_says_what_ended_the_one_before_and_what_is_changed() -> None:
    remedy = {
        "attempt": 2,
        "reason": "OOMKilled",
        "argument": "workers",
        "before": "8",
        "after": "1",
    }
    training = _again(remedies=[remedy])
    job = make_job(training, Stage.TRAIN, 2, seconds=40)
    pod = start(make_pod(job, seconds=41), 50)
    view = make_view(training, [job], [pod], progress={pod["metadata"]["uid"]: LINE})
    status = decide(view, SETTINGS).status
    assert status.message == (
        "trains on node-1: epoch 3/100, 12m left; attempt 1 ended as OOMKilled, now workers 1 instead of 8"
    )
    assert status.printed is not None
    assert status.printed.reason == "after OOMKilled"


def test_message_of_a_pod_that_is_asked_to_end() -> None:
    status = _status(make_training(stop=True), RUNNING, progress={RUNNING["metadata"]["uid"]: LINE})
    assert status.message == "asked to end at epoch 3/100: the pod saves its state and leaves"


def test_message_of_a_training_that_is_suspended_under_way() -> None:
    status = _status(make_training(suspend=True), RUNNING)
    assert (status.attempt, status.message) == (2, "asked to end: the pod saves its state and leaves")


def test_message_of_a_success_names_the_best_weights() -> None:
    weights = {"best": {"path": "train/cats/weights/best.pt", "size": 5, "sha256": "ab"}}
    metrics = {"metrics/mAP50-95(B)": 0.5}
    result = make_result(Stage.TRAIN, epochs_done=100, epochs=100, metrics=metrics, weights=weights)
    assert _status(make_training(), end(POD, result=result, seconds=90)).message == (
        "trained 100/100 epochs, mAP50-95 0.50; "
        "the best weights are train/cats/weights/best.pt on the run volume"
    )


def test_message_of_a_run_that_had_nothing_to_train_is_that() -> None:
    told = "nothing to train: 2 epochs are done, 2 were asked for; raise template.epochs"
    result = make_result(Stage.TRAIN, epochs_done=2, epochs=2, warnings=[told])
    message = _status(make_training(), end(POD, result=result, seconds=90)).message
    assert message == f"{told}; 1 warning, see status.warnings"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({}, "; ended early: no better epoch within template.patience"),
        ({"time": 1.5}, "; ended early: no better epoch within template.patience or template.time is over"),
        ({"time": 1.5, "patience": 0}, "; ended early: template.time is over"),
        ({"patience": 0}, ""),
    ],
)
def test_message_of_a_success_before_the_last_epoch_says_what_ended_it(limits: Body, words: str) -> None:
    training = make_training()
    training["spec"]["template"].update(limits)
    result = make_result(Stage.TRAIN, epochs_done=40, epochs=100)
    assert _status(training, end(POD, result=result, seconds=90)).message == f"trained 40/100 epochs{words}"


@pytest.mark.parametrize(("count", "words"), [(1, "1 warning"), (3, "3 warnings")])
def test_message_counts_the_warnings(count: int, words: str) -> None:
    training = make_training()
    told = "[" + ", ".join(f'"warning {i}"' for i in range(count)) + "]"
    training["metadata"]["annotations"] = {ANNOTATION_WARNINGS: told}
    message = _status(training, RUNNING).message
    assert message == f"trains on node-1: before the first epoch; {words}, see status.warnings"


@pytest.mark.parametrize(
    ("why", "told"),
    [
        ("no argument 'x'; did you mean 'y'?", "no argument 'x'; did you mean 'y'? What helps: "),
        ("it ended.", "it ended. What helps: "),
        ("it ended", "it ended. What helps: "),
    ],
)
def test_message_of_a_failure_ends_with_one_mark_before_the_advice(why: str, told: str) -> None:
    failed = make_result(Stage.PREPARE, 3, reason="InvalidData", message=why, hint="mend it")
    pod = end(make_pod(PREPARE), 3, seconds=20, result=failed)
    message = decide(make_view(make_training(), [PREPARE], [pod]), SETTINGS).status.message
    assert message is not None
    assert message.startswith(told)


def test_message_is_bounded() -> None:
    failed = make_result(Stage.PREPARE, 3, reason="InvalidData", message="x" * 3000, hint="mend it")
    pod = end(make_pod(PREPARE), 3, seconds=20, result=failed)
    status = decide(make_view(make_training(), [PREPARE], [pod]), SETTINGS).status
    assert status.message is not None
    assert len(status.message) <= MESSAGE_MOST
    assert status.message.endswith("x … What helps: mend it; then raise spec.run")


def _told(status: Status) -> dict[str, tuple[str, str]]:
    assert all(condition.message for condition in status.conditions)
    return {condition.type: (condition.status, condition.message) for condition in status.conditions}


def test_conditions_out_of_the_ordinary_stay_as_false_while_the_run_goes_on() -> None:
    """For those who wait for `Suspended=False`; before they were true, or after the run, they say nothing."""
    suspended = decide(make_view(make_training(suspend=True)), SETTINGS).status
    assert _told(suspended)["Suspended"][0] == "True"
    goes_on = _told(decide(make_view(make_training(status=suspended.to_wire())), SETTINGS).status)
    assert goes_on["Suspended"] == ("False", "no longer suspended")
    assert not goes_on.keys() & {"Stalled", "Failed"}
    stopped = _told(decide(make_view(make_training(stop=True, status=suspended.to_wire())), SETTINGS).status)
    assert "Suspended" not in stopped
    assert stopped["DataReady"] == ("False", "the run ended before its data was checked")
    next_run = make_training(run=2, status=suspended.to_wire())
    assert "Suspended" not in _told(decide(make_view(next_run), SETTINGS).status)


def test_conditions_say_once_why_the_pod_does_not_run() -> None:
    """The longest words there are; those that wait for it do not repeat them."""
    no_gpu = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    pod = POD | {"status": {"phase": "Pending", "conditions": [no_gpu]}}
    status = _status(make_training(), pod)
    assert status.failure is not None
    told = _told(status)
    assert told["PodReady"] == ("False", status.failure.message)
    assert told["Progressing"] == ("False", "its pod does not run")
    assert told["Admitted"] == ("True", "no queue holds it")
