"""Which changes a person hears of, in which words, and that it is told once and costs nothing else."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest

from operator_objects import (
    SETTINGS,
    START,
    Body,
    end,
    make_job,
    make_pod,
    make_pods,
    make_result,
    make_training,
    make_view,
    schedule,
    start,
    unschedule,
)
from yolo_crds.meta import Stage
from yolo_kube.errors import KubeError
from yolo_operator.decision import decide
from yolo_operator.events import WAITING_MOST, Announcer, Change, build_event, find_change
from yolo_operator.kube import Kube
from yolo_operator.verdict import parse_status

PREPARE = make_job(make_training(), Stage.PREPARE)
PREPARED = end(make_pod(PREPARE), result=make_result(Stage.PREPARE, dataset={"hash": "abc"}), seconds=20)
TRAIN = make_job(make_training(), Stage.TRAIN, seconds=21)
POD = make_pod(TRAIN, seconds=22)
JOBS = [PREPARE, TRAIN]


def _step(
    training: Body, *pods: Body, jobs: list[Body] | None = None, **more: Any
) -> tuple[Body, Change | None]:
    """The training with the next status, and what there is to tell of it."""
    view = make_view(training, JOBS if jobs is None else jobs, [PREPARED, *pods], **more)
    decision = decide(view, SETTINGS)
    change = find_change(parse_status(view.training), decision.status, decision.verdict)
    return training | {"status": decision.status.to_wire()}, change


def _told(*steps: list[Body]) -> list[str]:
    """Reasons of what is told of a training whose pods are these, step by step, each seen twice."""
    current, told = make_training(), []
    for pods in steps:
        for _ in range(2):
            current, change = _step(current, *pods)
            told += [change.reason] if change else []
    return told


def test_a_good_run_is_told_in_two_events() -> None:
    steps = [[], [POD], [schedule(POD)], [start(POD)], [end(POD)]]
    assert _told(*steps) == ["Started", "Succeeded"]


def test_started_names_pod_and_node() -> None:
    training, _ = _step(make_training(), schedule(POD))
    _, change = _step(training, start(POD))
    assert change is not None
    assert change.message == "run 1, attempt 1 trains in pod cats-r1a1-train-x1 on node node-1"
    assert not change.warning


def test_restarting_names_reason_and_remedy() -> None:
    training, _ = _step(make_training(), start(POD))
    result = make_result(Stage.TRAIN, 4, reason="CudaOutOfMemory", message="CUDA out of memory")
    _, change = _step(training, end(POD, 4, result=result))
    assert change is not None
    assert (change.reason, change.warning) == ("Restarting", True)
    want = (
        "attempt 1 ended: CudaOutOfMemory: CUDA out of memory; attempt 2 follows with batch 8 instead of 16"
    )
    assert change.message == want


def test_failed_names_reason_message_and_hint() -> None:
    training, _ = _step(make_training(), start(POD))
    result = make_result(Stage.TRAIN, 3, reason="InvalidData", message="no labels", hint="add some")
    training, change = _step(training, end(POD, 3, result=result))
    assert change is not None
    assert (change.reason, change.warning) == ("Failed", True)
    assert change.message == "run 1 failed: InvalidData: no labels (add some; then raise spec.run)"
    assert _step(training, end(POD, 3, result=result))[1] is None


def test_waiting_is_told_once_though_its_numbers_change() -> None:
    more = unschedule(POD, "0/9 nodes are available: 9 Insufficient nvidia.com/gpu.")
    assert _told([unschedule(POD)], [more], [unschedule(POD)], [start(POD)]) == ["Unschedulable", "Started"]


def test_waiting_for_another_reason_is_told_and_the_first_one_has_its_name_already() -> None:
    names = []
    training = make_training()
    claim = unschedule(POD, 'persistentvolumeclaim "yolo-data" not found')
    for pod in (unschedule(POD), claim, unschedule(POD)):
        training, change = _step(training, pod)
        assert change is not None
        names.append(build_event(training, 1, change, START)["metadata"]["name"])
    assert names[0] == names[2] != names[1]


def test_a_wait_for_nodes_over_many_attempts_is_told_as_one() -> None:
    """Half of a training on several nodes takes its turns for hours: neither a restart nor news each time."""
    template = {"model": "m.yaml", "data": {"train": "a"}, "resources": {"nodes": 2}}
    training, names = make_training(template=template), []
    for attempt in range(1, 5):
        prepare = make_job(training, Stage.PREPARE, attempt)
        job = make_job(training, Stage.TRAIN, attempt, seconds=attempt * 1000)
        first, second = make_pods(job, seconds=attempt * 1000)
        pods = [schedule(first, seconds=attempt * 1000), unschedule(second)]
        for seconds in (10, 400):
            prepared = end(make_pod(prepare), result=make_result(Stage.PREPARE, attempt=attempt))
            view = make_view(training, [prepare, job], [prepared, *pods], seconds=attempt * 1000 + seconds)
            decision = decide(view, SETTINGS)
            if change := find_change(parse_status(view.training), decision.status, decision.verdict):
                names.append((change.reason, build_event(training, 1, change, START)["metadata"]["name"]))
            training = training | {"status": decision.status.to_wire()}
    assert training["status"]["attempt"] == 5
    reasons = [reason for reason, _ in sorted(set(names))]
    assert reasons == ["GangIncomplete", "Unschedulable", "Unschedulable"], names


def test_nothing_is_told_of_what_has_ended_or_of_an_earlier_version() -> None:
    """Whatever is stored counts as told: names that are cleared, a new operator, a status of an older one."""
    ended, _ = _step(_step(make_training(), start(POD))[0], end(POD))
    assert _step(ended, jobs=[])[1] is None
    assert _step(ended | {"metadata": ended["metadata"] | {"generation": 9}}, end(POD))[1] is None
    running, _ = _step(make_training(), start(POD))
    assert _step(running, start(POD), seconds=5000)[1] is None


def test_a_new_run_is_told_anew() -> None:
    names, stored = [], Body()
    for run in (1, 2):
        training = make_training(stop=True, run=run, status=stored)
        decision = decide(make_view(training), SETTINGS)
        change = find_change(parse_status(training), decision.status, decision.verdict)
        assert change is not None
        assert (change.reason, change.message) == ("StoppedByUser", f"run {run} was stopped")
        names.append(build_event(training, run, change, START)["metadata"]["name"])
        stored = decision.status.to_wire()
    assert len(set(names)) == 2


def test_a_refused_object_is_told_with_the_right_name() -> None:
    training = make_training(name="dogs", modelName="Cats 1")
    view = make_view(training)
    decision = decide(view, SETTINGS)
    change = find_change(parse_status(training), decision.status, decision.verdict)
    assert change is not None
    assert "NameMismatch" in change.message
    stored = training | {"status": decision.status.to_wire()}
    again = decide(make_view(stored), SETTINGS)
    assert find_change(parse_status(stored), again.status, again.verdict) is None


def test_build_event_belongs_to_the_object_and_tells_its_time() -> None:
    event = build_event(make_training(), 1, Change("Failed", "x" * 5000, (1,), warning=True), START)
    assert (event["type"], event["reason"], len(event["message"])) == ("Warning", "Failed", 1024)
    assert event["involvedObject"]["uid"] == make_training()["metadata"]["uid"]
    assert event["lastTimestamp"] == "2026-11-24T10:00:00Z"
    assert event["metadata"]["name"].startswith("cats.")


class _Refusing:
    """Refuses the first event, and takes all others."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.wrote = asyncio.Event()

    async def create_event(self, namespace: str, event: Any) -> None:
        self.written.append(event)
        if len(self.written) == 1:
            raise KubeError(403, "events is forbidden")
        self.wrote.set()


async def test_an_event_that_is_refused_is_gone_and_the_next_one_written() -> None:
    kube = _Refusing()
    announcer = Announcer(cast("Kube", kube))
    writing = asyncio.create_task(announcer.run())
    for second in range(2):
        change = Change("Started", "", (second,))
        announcer.tell(build_event(make_training(), 1, change, START + timedelta(seconds=second)))
    await kube.wrote.wait()
    assert len(kube.written) == 2
    writing.cancel()


@pytest.mark.parametrize("too_many", [1, 500])
async def test_events_that_nobody_takes_are_dropped(too_many: int) -> None:
    announcer = Announcer(cast("Kube", _Refusing()))
    for second in range(WAITING_MOST + too_many):
        announcer.tell(build_event(make_training(), 1, Change("Started", "", (second,)), START))
