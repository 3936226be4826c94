"""The status: what it says, that it stays the same, and the patch that stores it."""

import json
from datetime import timedelta
from typing import Any

import pytest

from operator_objects import (
    SETTINGS,
    at,
    end,
    make_job,
    make_pod,
    make_result,
    make_training,
    make_view,
    sicken,
    start,
    unschedule,
)
from yolo_crds.conditions import ConditionType, Phase, Reason
from yolo_crds.meta import ANNOTATION_WARNINGS, Stage
from yolo_crds.status import Dataset, Failure, Status
from yolo_crds.trainer import ProgressLine
from yolo_crds.training import YoloTraining
from yolo_operator.decision import decide
from yolo_operator.patch import SEEN_EVERY, merge_patch, status_patch
from yolo_operator.printed import print_eta, print_metric, print_reason
from yolo_operator.snapshot import parse_time, print_time
from yolo_operator.status import STATUS_MAX_BYTES, fit

PREPARE = make_job(make_training(), Stage.PREPARE)
PREPARED = end(make_pod(PREPARE), seconds=20, result=make_result(Stage.PREPARE, dataset={"hash": "abc"}))
TRAIN = make_job(make_training(), Stage.TRAIN, seconds=21)
POD = make_pod(TRAIN, seconds=22)
LINE = ProgressLine(
    seq=7,
    time=1_795_514_500.0,
    stage="epoch",
    epoch=45,
    epochs=100,
    percent=44.5,
    eta_seconds=720,
    images_per_second=80.0,
    metrics={"metrics/mAP50-95(B)": 0.614, "metrics/mAP50(B)": None},
)


def _conditions(status: Status) -> dict[str, tuple[str, str, str]]:
    return {c.type: (c.status, c.reason, c.last_transition_time) for c in status.conditions}


def test_observe_shows_the_progress_of_the_running_pod() -> None:
    pod = start(POD, 30)
    view = make_view(
        make_training(), [PREPARE, TRAIN], [PREPARED, pod], progress={pod["metadata"]["uid"]: LINE}
    )
    status = decide(view, SETTINGS).status
    assert status.progress is not None
    assert (status.progress.epoch, status.progress.percent) == (45, 44.5)
    assert status.progress.metrics == {"metrics/mAP50-95(B)": 0.614}
    assert status.printed is not None
    assert status.printed.to_wire() == {"epoch": "45/100", "metric": "mAP50-95 0.61", "eta": "12m"}
    assert status.start_time == at(30)
    assert (status.job_name, status.pod_name, status.node_name) == (
        "cats-r1a1-train",
        "cats-r1a1-train-x1",
        "node-1",
    )


def test_observe_still_says_who_took_the_place_while_the_next_attempt_waits() -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    victim = end(POD, 143)
    victim["status"]["conditions"] = [condition | {"message": "to accommodate a higher priority pod"}]
    training = make_training()
    over = decide(make_view(training, [PREPARE, TRAIN], [PREPARED, victim]), SETTINGS).status
    assert over.last_failure == over.failure

    prepare, train = (make_job(training, stage, attempt=2) for stage in Stage)
    pods = [end(make_pod(prepare), result=make_result(Stage.PREPARE)), unschedule(make_pod(train))]
    stored = training | {"status": over.to_wire()}
    waits = decide(make_view(stored, [prepare, train], pods), SETTINGS).status
    assert waits.failure is not None
    assert waits.last_failure is not None
    assert (waits.failure.reason, waits.failure.attempt) == (Reason.UNSCHEDULABLE, None)
    assert (waits.last_failure.reason, waits.last_failure.attempt) == (Reason.PREEMPTED, 1)
    assert waits.restarts == 0

    raised = make_training(run=2) | {"status": waits.to_wire()}
    assert decide(make_view(raised), SETTINGS).status.last_failure is None


def test_observe_is_a_fixed_point() -> None:
    pod = start(POD, 30)
    training = make_training()
    first = decide(make_view(training, [PREPARE, TRAIN], [PREPARED, pod]), SETTINGS).status
    stored = training | {"status": first.to_wire() | {"seenAt": at(4990)}}
    again = decide(make_view(stored, [PREPARE, TRAIN], [PREPARED, pod], seconds=5000), SETTINGS).status
    assert again == first.model_copy(update={"seen_at": at(4990)})
    assert status_patch(stored["status"], again, parse_time(at(5000))) == {}


def test_status_patch_stores_the_time_when_it_writes_and_else_when_it_is_old() -> None:
    """So that a person sees that the operator is gone; a training that is settled is never written again."""
    objects: dict[str, Any] = {"jobs": [PREPARE, TRAIN], "pods": [PREPARED, start(POD, 30)]}
    running = decide(make_view(make_training(), **objects), SETTINGS).status
    old = parse_time(at(100)) + SEEN_EVERY
    first = status_patch({}, running, parse_time(at(100)))
    assert first["seenAt"] == at(100)
    again = decide(make_view(make_training(status=first), **objects), SETTINGS).status
    assert status_patch(first, again, old - timedelta(seconds=1)) == {}
    assert status_patch(first, again, old) == {"seenAt": print_time(old)}
    ahead = first | {"seenAt": at(5000)}
    seen = again.model_copy(update={"seen_at": at(5000)})
    assert status_patch(ahead, seen, parse_time(at(200))) == {}

    done = [PREPARED, end(POD, result=make_result(Stage.TRAIN), seconds=90)]
    ended = decide(make_view(make_training(status=first), [PREPARE, TRAIN], done), SETTINGS).status
    patch = status_patch(first, ended, parse_time(at(120)))
    assert (ended.phase, patch["seenAt"]) == ("Succeeded", None)
    assert status_patch(ended.to_wire(), ended, old) == {}


def test_observe_of_a_suspended_training_has_no_time_that_would_be_written_anew() -> None:
    suspended = decide(make_view(make_training(suspend=True)), SETTINGS).status
    assert (suspended.phase, suspended.seen_at) == ("Suspended", None)
    assert status_patch(suspended.to_wire(), suspended, parse_time(at(9999))) == {}


def test_status_patch_does_not_write_for_the_empty_lists_of_an_older_version() -> None:
    done = [PREPARED, end(POD, result=make_result(Stage.TRAIN), seconds=90)]
    ended = decide(make_view(make_training(), [PREPARE, TRAIN], done), SETTINGS).status
    older = ended.to_wire() | {"warnings": [], "remedies": [], "avoidedNodes": [], "runs": []}
    assert not ended.to_wire().keys() & {"warnings", "remedies", "avoidedNodes", "runs"}
    assert status_patch(older, ended, parse_time(at(9999))) == {}


def test_observe_keeps_the_progress_over_a_restart_of_the_operator() -> None:
    pod = start(POD, 30)
    objects: dict[str, Any] = {"jobs": [PREPARE, TRAIN], "pods": [PREPARED, pod]}
    told = decide(
        make_view(make_training(), **objects, progress={pod["metadata"]["uid"]: LINE}), SETTINGS
    ).status
    stored = make_training(status=told.to_wire())
    assert decide(make_view(stored, **objects), SETTINGS).status == told


def test_observe_tells_all_conditions() -> None:
    status = decide(make_view(make_training(), [PREPARE, TRAIN], [PREPARED, start(POD, 30)]), SETTINGS).status
    assert _conditions(status) == {
        ConditionType.RECONCILING: ("True", Reason.TRAINING, at(30)),
        ConditionType.DATA_READY: ("True", Reason.DATA_PREPARED, at(30)),
        ConditionType.ADMITTED: ("True", Reason.ADMITTED, at(30)),
        ConditionType.POD_READY: ("True", Reason.TRAINING, at(30)),
        ConditionType.PROGRESSING: ("True", Reason.TRAINING, at(30)),
        ConditionType.COMPLETE: ("False", Reason.TRAINING, at(30)),
        ConditionType.FINISHED: ("False", Reason.TRAINING, at(30)),
    }


def test_observe_reconciles_a_suspended_training_until_its_pods_are_gone() -> None:
    suspended = make_training(suspend=True)
    told = [decide(make_view(suspended, [], pods), SETTINGS).status for pods in ([start(POD, 30)], [])]
    want = ("True", Reason.SUSPENDED_BY_USER), ("False", Reason.SUSPENDED_BY_USER)
    assert tuple(_conditions(status)[ConditionType.RECONCILING][:2] for status in told) == want
    assert _conditions(told[1])[ConditionType.SUSPENDED][0] == "True"


def test_observe_changes_a_transition_time_only_with_the_status() -> None:
    objects: tuple[Any, Any] = ([PREPARE, TRAIN], [PREPARED, start(POD, 30)])
    running = make_training(status=decide(make_view(make_training(), *objects), SETTINGS).status.to_wire())
    failed = decide(
        make_view(running, [PREPARE, TRAIN], [PREPARED, end(POD, 4, seconds=60)]), SETTINGS
    ).status
    conditions = _conditions(failed)
    assert conditions[ConditionType.DATA_READY] == ("True", Reason.DATA_PREPARED, at(30))
    assert conditions[ConditionType.COMPLETE] == ("False", Reason.TRAINING_FAILED, at(30))
    assert conditions[ConditionType.STALLED] == ("True", Reason.TRAINING_FAILED, at(60))
    assert conditions[ConditionType.RECONCILING] == ("False", Reason.TRAINING_FAILED, at(60))
    assert failed.completion_time == at(60)


def test_observe_shows_what_blocks_a_pod_and_keeps_the_phase() -> None:
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu"
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    pod = POD | {"status": {"phase": "Pending", "conditions": [condition]}}
    status = decide(make_view(make_training(), [PREPARE, TRAIN], [PREPARED, pod]), SETTINGS).status
    assert status.phase == "Queued"
    assert _conditions(status)[ConditionType.POD_READY][:2] == ("False", Reason.UNSCHEDULABLE)
    assert status.failure is not None
    assert (status.failure.reason, status.failure.attempt) == (Reason.UNSCHEDULABLE, None)
    training = make_training(status=status.to_wire())
    later = decide(make_view(training, [PREPARE, TRAIN], [PREPARED, start(POD)]), SETTINGS).status
    assert later.failure is None


def test_observe_gathers_warnings_once() -> None:
    training = make_training()
    training["metadata"]["annotations"] = {ANNOTATION_WARNINGS: json.dumps(["obj is ignored"])}
    result = make_result(Stage.PREPARE, warnings=["3 images skipped"])
    pods = [end(make_pod(PREPARE), result=result)]
    status = decide(make_view(training, [PREPARE], pods), SETTINGS).status
    again = decide(make_view(training | {"status": status.to_wire()}, [PREPARE], pods), SETTINGS).status
    assert again.warnings == ["obj is ignored", "3 images skipped"]


def test_observe_warns_of_a_gpu_that_fails_under_a_running_pod() -> None:
    pod = sicken(start(POD, 30), "GPU-a")
    line = LINE.model_copy(update={"warning": "GPU GPU-a: Xid 109 (a context switch took too long)"})
    lines = {pod["metadata"]["uid"]: line}
    view = make_view(make_training(), [PREPARE, TRAIN], [PREPARED, pod], progress=lines)
    status = decide(view, SETTINGS).status
    assert status.warnings == [
        "GPU GPU-a: Xid 109 (a context switch took too long)",
        "GPU-a of node node-1 is unhealthy, says its device plugin; the training goes on while it can",
    ]
    assert status.phase == "Running"


@pytest.mark.parametrize("text", ["no json", "3", '{"a": 1}'])
def test_observe_ignores_a_warnings_annotation_that_is_no_list(text: str) -> None:
    training = make_training()
    training["metadata"]["annotations"] = {ANNOTATION_WARNINGS: text}
    assert decide(make_view(training), SETTINGS).status.warnings == []


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1, "b": 2}, {"a": 1}, {"b": None}),
        ({"m": {"x": 1, "y": 2}}, {"m": {"x": 1, "z": 3}}, {"m": {"y": None, "z": 3}}),
        ({"m": {"x": 1}}, {}, {"m": None}),
        ({"l": [1, 2]}, {"l": [1]}, {"l": [1]}),
    ],
)
def test_merge_patch_is_the_difference(old: Any, new: Any, want: Any) -> None:
    assert merge_patch(old, new) == want


def test_status_patch_is_empty_when_only_the_time_of_the_progress_differs() -> None:
    now = parse_time(at(9))
    stored = {"restarts": 0, "progress": {"epoch": 1, "metrics": {}, "updatedAt": at(1)}, "seenAt": at(1)}
    stored |= {"warnings": [], "remedies": [], "avoidedNodes": [], "runs": [], "conditions": []}
    status = Status.model_validate(stored | {"progress": {"epoch": 1, "updatedAt": at(2)}})
    assert status_patch(stored, status, now) == {}
    further = Status.model_validate(stored | {"progress": {"epoch": 2, "updatedAt": at(2)}})
    want = {"progress": {"epoch": 2, "updatedAt": at(2)}, "seenAt": at(9)}
    assert status_patch(stored, further, now) == want


def test_fit_keeps_the_commonest_classes_within_the_bound() -> None:
    classes = {f"class {i} {'x' * 100}": i for i in range(1000)}
    status = fit(Status(dataset=Dataset(hash="a", classes=classes), warnings=["w" * 256] * 20))
    assert len(json.dumps(status.to_wire())) <= STATUS_MAX_BYTES
    assert status.dataset is not None
    assert max(status.dataset.classes.values()) == 999


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        (0, "0s"),
        (45, "45s"),
        (60, "1m"),
        (725, "12m"),
        (3599, "1h00m"),
        (7500, "2h05m"),
        (360_000, "100h00m"),
    ],
)
def test_print_eta(seconds: int, want: str) -> None:
    assert print_eta(seconds) == want


BOXES = {"metrics/mAP50-95(B)": 0.614}


@pytest.mark.parametrize(
    ("model", "metrics", "want"),
    [
        ("yolo11n.pt", {"metrics/mAP50-95(B)": 0.614}, "mAP50-95 0.61"),
        ("yolo11n-cls.pt", {"metrics/accuracy_top1": 0.9}, "accuracy_top1 0.90"),
        ("yolo11n.pt", {"metrics/mAP50-95(B)": None}, None),
        ("yolo11n.pt", {}, None),
        ("yolo11n-seg.pt", BOXES | {"metrics/mAP50-95(M)": 0.5}, "mask mAP50-95 0.50"),
        ("yolo11n-pose.pt", BOXES | {"metrics/mAP50-95(P)": 0.5}, "pose mAP50-95 0.50"),
        ("yolo11n-obb.pt", BOXES, "obb mAP50-95 0.61"),
        ("my/plants.pt", BOXES | {"metrics/mAP50-95(M)": 0.5}, "mask mAP50-95 0.50"),
        ("my/people.pt", BOXES | {"metrics/mAP50-95(P)": 0.5}, "pose mAP50-95 0.50"),
        ("my/plants.pt", BOXES | {"metrics/mAP50-95(M)": None}, None),
        ("my/kinds.pt", {"metrics/accuracy_top1": 0.9, "metrics/accuracy_top5": 1.0}, "accuracy_top1 0.90"),
        ("my/depths.pt", {"metrics/delta1": 0.8}, "delta1 0.80"),
        ("my/streets.pt", {"metrics/mIoU": 0.7}, "mIoU 0.70"),
    ],
)
def test_print_metric_takes_the_headline_of_the_task(
    model: str, metrics: dict[str, float | None], want: str | None
) -> None:
    training = YoloTraining.model_validate(make_training(template={"model": model, "data": {"train": "a"}}))
    assert print_metric(training, metrics) == want


OOM = Failure(reason=Reason.OOM_KILLED, message="m", attempt=1)


@pytest.mark.parametrize(
    ("phase", "failure", "warnings", "want"),
    [
        (Phase.SUCCEEDED, None, [], None),
        (Phase.SUCCEEDED, None, ["a"], "1 warning"),
        (Phase.RUNNING, None, ["a", "b"], "2 warnings"),
        (Phase.FAILED, OOM, [], "OOMKilled"),
        (Phase.FAILED, OOM, ["a", "b"], "OOMKilled !2"),
        (Phase.RUNNING, OOM, [], "after OOMKilled"),
        (Phase.QUEUED, Failure(reason=Reason.UNSCHEDULABLE, message="m"), ["a"], "Unschedulable !1"),
    ],
)
def test_print_reason(phase: Phase, failure: Failure | None, warnings: list[str], want: str | None) -> None:
    assert print_reason(phase, failure, warnings) == want
