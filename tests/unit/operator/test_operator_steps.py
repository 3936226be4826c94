"""The order in which a reconcile looks, stores and acts: a row a step."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from operator_objects import SETTINGS, START, end, make_job, make_pod, make_training, make_view, start
from yolo_crds.meta import Stage
from yolo_operator.decision import Decision, decide
from yolo_operator.patch import status_patch
from yolo_operator.snapshot import Snapshot, print_time
from yolo_operator.steps import Pass, Step, next_step

PREPARE, TRAIN = (make_job(make_training(), stage) for stage in Stage)
PREPARED = end(make_pod(PREPARE), seconds=5)
SHARED_BATCH = {"model": "m.yaml", "data": {"train": "a"}, "batch": -1}


def _stored(view: Snapshot) -> Snapshot:
    """With the status that this snapshot leads to, so that nothing of it is news."""
    status = decide(view, SETTINGS).status.to_wire() | {"seenAt": print_time(view.now)}
    return replace(view, training={**view.training, "status": status})


def _view(*objects: Any, seconds: float = 10, **training: Any) -> Snapshot:
    jobs = [body for body in objects if "template" in body.get("spec", {})]
    pods = [body for body in objects if body not in jobs]
    return make_view(make_training(**training), jobs, pods, seconds=seconds)


def _unscheduled() -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu"}
    return make_pod(TRAIN) | {"status": {"phase": "Pending", "conditions": [condition]}}


def _held() -> dict[str, Any]:
    return TRAIN | {"spec": TRAIN["spec"] | {"suspend": True}}


ROWS: list[tuple[str, Snapshot, set[Step], Step]] = [
    ("a new training wants a Job", _view(), set(), Step.READ_LIVE),
    ("which is made on what is live", _view(), {Step.READ_LIVE}, Step.ACT),
    ("and told of", _view(PREPARE), {Step.READ_LIVE, Step.ACT}, Step.STORE),
    ("then it waits", _stored(_view(PREPARE)), {Step.READ_LIVE, Step.ACT}, Step.WAIT),
    ("nothing is read for what is stored", _stored(_view(PREPARE)), set(), Step.WAIT),
    ("an end weighs", _view(PREPARE, end(make_pod(PREPARE), 3)), set(), Step.READ_LIVE),
    (
        "the last words are read",
        _view(PREPARE, end(make_pod(PREPARE), 3)),
        {Step.READ_LIVE},
        Step.READ_LAST_WORDS,
    ),
    (
        "and the end is stored before anything else",
        _view(PREPARE, end(make_pod(PREPARE), 3)),
        {Step.READ_LIVE, Step.READ_LAST_WORDS},
        Step.STORE_FIRST,
    ),
    (
        "a batch by memory asks how GPUs are shared",
        _view(PREPARE, PREPARED, template=SHARED_BATCH),
        {Step.READ_LIVE, Step.READ_LAST_WORDS},
        Step.READ_SHARE,
    ),
    (
        "a Job without a pod for long has events",
        _stored(_view(PREPARE, seconds=60)),
        set(),
        Step.READ_EVENTS,
    ),
    ("what a queue holds is asked there", _stored(_view(PREPARE, PREPARED, _held())), set(), Step.READ_QUEUE),
    (
        "what waits for a node is told what there is",
        _stored(_view(PREPARE, PREPARED, TRAIN, _unscheduled())),
        set(),
        Step.READ_NODES,
    ),
    ("what goes on is told", _view(PREPARE, start(make_pod(PREPARE))), set(), Step.STORE),
]


@pytest.mark.parametrize(("view", "done", "want"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_next_step(view: Snapshot, done: set[Step], want: Step) -> None:
    so_far = Pass(view, frozenset(done))
    assert next_step(so_far, decide(view, SETTINGS), view.now) is want


def test_every_step_but_one_has_its_row() -> None:
    """The events of a pod that is gone are asked for by `test_operator_reconcile`."""
    assert set(Step) - {want for *_, want in ROWS} == {Step.READ_LAST_EVENTS}


def test_what_was_done_is_not_done_again_but_after_a_stored_status() -> None:
    so_far = Pass(_view()).after(Step.READ_LIVE).after(Step.ACT)
    assert so_far.done == {Step.READ_LIVE, Step.ACT}
    assert so_far.after(Step.STORE).done == {Step.READ_LIVE}
    assert so_far.after(Step.STORE_FIRST).done == {Step.READ_LIVE}


def test_pass_comes_to_its_end() -> None:
    """Whatever is stored is what was decided, so that it is no news the next time."""
    for seconds in range(0, 100, 7):
        view = _view(PREPARE, start(make_pod(PREPARE)), seconds=seconds)
        decision: Decision = decide(view, SETTINGS)
        assert status_patch(view.training["status"], decision.status, view.now)
        stored = _stored(view)
        later = view.now + timedelta(seconds=1)
        assert status_patch(stored.training["status"], decide(stored, SETTINGS).status, later) == {}
    assert view.now >= START
