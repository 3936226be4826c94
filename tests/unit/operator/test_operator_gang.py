"""Several pods that train as one: who speaks for them, who ended them, all or nothing."""

from dataclasses import replace
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
    make_result,
    make_training,
    make_view,
    schedule,
    start,
    unschedule,
)
from yolo_crds.conditions import Phase, Reason
from yolo_crds.meta import LABEL_TRAINING, Stage
from yolo_crds.trainer import ProgressLine, Result
from yolo_crds.training import YoloTraining
from yolo_operator.ask import view_ask
from yolo_operator.decision import Decision, decide
from yolo_operator.gang_timeout import RETRY_FIRST, RETRY_MOST, retry_delay
from yolo_operator.jobs import build_train_job
from yolo_operator.nodes import Node
from yolo_operator.plan import CreateJob, DeleteJob
from yolo_operator.snapshot import EventView, view_pod
from yolo_operator.store import Store

TEMPLATE: Body = {
    "model": "yolo11n.yaml",
    "data": {"train": "cats"},
    "epochs": 100,
    "resources": {"gpus": 1, "nodes": 2},
}
TRAINING = make_training(template=TEMPLATE)
PREPARE = make_job(TRAINING, Stage.PREPARE)
PREPARED = end(make_pod(PREPARE), result=make_result(Stage.PREPARE, dataset={"hash": "abc"}), seconds=20)
TRAIN = make_job(TRAINING, Stage.TRAIN, seconds=21)
FIRST, SECOND = make_pods(TRAIN, seconds=22)
FAILED_JOB = end_job(TRAIN, "Failed", 61)
HALF = [schedule(FIRST, "node-1", seconds=23), unschedule(SECOND)]
SAVED = make_result(Stage.TRAIN, 143, reason=Reason.INTERRUPTED, message="asked to end")
LOST_PEER = make_result(Stage.TRAIN, 13, reason=Reason.PEER_LOST, message="the connection to pod 1 was lost")
HUNG = make_result(Stage.TRAIN, 7, reason=Reason.HUNG, message="no sign of progress for 600 s")
GPU_FAULT = make_result(Stage.TRAIN, 10, reason=Reason.GPU_FAULT, message="Xid 79; the training then hung")
NO_MEMORY = make_result(Stage.TRAIN, 4, reason=Reason.CUDA_OUT_OF_MEMORY, message="CUDA out of memory")


def _decide(pods: list[Body], train: Body = TRAIN, training: Body = TRAINING, **more: Any) -> Decision:
    return decide(make_view(training, [PREPARE, train], [PREPARED, *pods], **more), SETTINGS)


def _after(pods: list[Body], training: Body = TRAINING, train: Body = TRAIN, **more: Any) -> Body:
    """The training with the status that these pods mean."""
    return training | {"status": _decide(pods, train, training, **more).status.to_wire()}


def _died(pod: Body, result: Result, seconds: float = 60) -> Body:
    return end(pod, result.exit_code, seconds, result)


def _ran(pod: Body, since: float, until: float, result: Result) -> Body:
    """The pod that trained from then until then, and failed."""
    died = _died(pod, result, until)
    died["status"]["containerStatuses"][0]["state"]["terminated"]["startedAt"] = at(since)
    return died


def _deleted(pod: Body, seconds: float) -> Body:
    return pod | {"metadata": pod["metadata"] | {"deletionTimestamp": at(seconds)}}


@pytest.mark.parametrize(
    ("pods", "want_phase", "want_message"),
    [
        ([], Phase.QUEUED, "0 of 2 pods have a node"),
        ([FIRST], Phase.QUEUED, "0 of 2 pods have a node"),
        ([FIRST, SECOND], Phase.QUEUED, "0 of 2 pods have a node"),
        (HALF, Phase.QUEUED, "1 of 2 pods has a node; no node has enough nvidia.com/gpu"),
        ([start(FIRST), unschedule(SECOND)], Phase.QUEUED, "1 of 2 pods has a node; no node has enough"),
        ([schedule(FIRST), schedule(SECOND)], Phase.STARTING, "0 of 2 pods run"),
        ([start(FIRST), schedule(SECOND)], Phase.STARTING, "1 of 2 pods run"),
        ([start(FIRST), start(SECOND)], Phase.RUNNING, "2 of 2 pods run"),
    ],
)
def test_phase_is_that_of_the_pod_that_is_least_far(
    pods: list[Body], want_phase: Phase, want_message: str
) -> None:
    status = _decide(pods).status
    assert status.phase == want_phase
    ready = next(c for c in status.conditions if c.type == "PodReady")
    assert ready.status == ("True" if want_phase == Phase.RUNNING else "False")
    assert ready.message.startswith(want_message), ready.message


def test_a_part_of_the_pods_waits_for_its_nodes_in_numbers() -> None:
    """The one that has a node counts as holding what it holds, and is not waited for."""
    store = _known(HALF, "node-1")
    status = decide(
        store.with_news(make_view(TRAINING, [PREPARE, TRAIN], [PREPARED, *HALF])), SETTINGS
    ).status
    assert status.failure is not None
    assert status.failure.message == (
        "1 of 2 pods has a node; waits since 10:00 UTC for 1 GPU on one node: node-1 has 0 of 1 GPU free "
        "(another pod of it holds 1). When it starts is not known: the other pods there tell no end"
    )


def test_all_pods_wait_until_there_is_room_for_all_by_the_first_pods_eta() -> None:
    """Another gang holds both nodes; of its pods the first alone tells an ETA."""
    other = make_training("dogs", template=TEMPLATE)
    job = make_job(other, Stage.TRAIN)
    first, second = make_pods(job)
    none = [unschedule(FIRST), unschedule(SECOND)]
    store = _known(
        [*none, schedule(start(first), "node-1"), schedule(start(second), "node-2")], "node-1", "node-2"
    )
    line = ProgressLine(
        seq=1, time=(START + timedelta(seconds=100)).timestamp(), stage="epoch", eta_seconds=1500
    )
    store.put_progress(first["metadata"]["uid"], line)
    status = decide(
        store.with_news(make_view(TRAINING, [PREPARE, TRAIN], [PREPARED, *none])), SETTINGS
    ).status
    assert status.waiting is not None
    assert status.waiting.asked == "2 times 1 GPU, each on one node"
    assert status.waiting.forecast is not None
    assert status.waiting.forecast.starts_at == at(27 * 60)
    assert status.waiting.forecast.basis == "when dogs ends, by its own ETA"


def test_who_is_suspended_between_two_tries_does_not_wait_meanwhile() -> None:
    """Else `pendingDeadlineSeconds` was over when it was resumed, before it had another try."""
    given_up = TRAINING | {
        "status": _decide(HALF, training=_after(HALF, seconds=30), seconds=323).status.to_wire()
    }
    assert given_up["status"]["waitingSince"]
    suspended = given_up | {"spec": given_up["spec"] | {"suspend": True}}
    status = decide(make_view(suspended, seconds=330), SETTINGS).status
    assert (status.phase, status.waiting_since) == (Phase.SUSPENDED, None)


def test_two_that_began_to_wait_in_one_second_are_not_both_the_first() -> None:
    """Neither are two that were given up before: the pods of now tell who is first, for both the same."""
    other = make_training("dogs", template=TEMPLATE)
    theirs, job = make_job(other, Stage.PREPARE), make_job(other, Stage.TRAIN, seconds=21)
    pods = [unschedule(pod) for pod in (FIRST, SECOND)]
    others = [unschedule(pod) for pod in make_pods(job, seconds=22)]
    store = _known([*pods, *others], "node-1", "node-2")
    places = []
    for since in (None, at(1)):
        mine = TRAINING | {"status": {"run": 1, "attempt": 1} | ({"waitingSince": since} if since else {})}
        its = other | {"status": {"run": 1, "attempt": 1} | ({"waitingSince": since} if since else {})}
        prepared = end(make_pod(theirs), result=make_result(Stage.PREPARE), seconds=20)
        views = (
            make_view(mine, [PREPARE, TRAIN], [PREPARED, *pods]),
            make_view(its, [theirs, job], [prepared, *others]),
        )
        told = [decide(store.with_news(view), SETTINGS).status.waiting for view in views]
        places.append([one.place for one in told if one])
    assert [sorted(filter(None, both)) for both in places] == [[1, 2], [1, 2]]


def test_pods_that_must_be_in_one_rack_say_so_by_their_affinity() -> None:
    template = TEMPLATE | {"scheduling": {"requiredTopology": "topology.kubernetes.io/rack"}}
    job = build_train_job(YoloTraining.model_validate(make_training(template=template)), 1, SETTINGS)
    assert view_ask(job["spec"]["template"]["spec"]).together == "topology.kubernetes.io/rack"


def _known(pods: list[Body], *nodes: str) -> Store:
    """What the operator knows: nodes with a GPU each, and these pods."""
    store, room = Store(), {"nvidia.com/gpu": 1000, "cpu": 64_000, "memory": 1 << 50, "pods": 110_000}
    store.put_nodes(tuple(Node(name, allocatable=room) for name in nodes))
    store.put_others({})
    for pod in pods:
        found = view_pod(pod)
        assert found is not None
        store.put_pod(("lab", pod["metadata"]["labels"][LABEL_TRAINING]), found)
    return store


def test_quota_for_a_part_of_the_pods_is_told() -> None:
    events = (EventView("FailedCreate", 'pods "x" is forbidden: exceeded quota: gpus'),)
    status = _decide([start(FIRST)], events=events).status
    assert (status.phase, status.failure and status.failure.reason) == (Phase.QUEUED, Reason.QUOTA_EXCEEDED)


def test_progress_and_training_time_are_those_of_the_first_pod() -> None:
    lines = {
        pod["metadata"]["uid"]: ProgressLine(seq=1, time=50.0, stage="epoch", epoch=epoch, epochs=100)
        for pod, epoch in ((FIRST, 7), (SECOND, 99))
    }
    running = [start(FIRST, 30), start(SECOND, 31)]
    stored = _after(running, progress=lines, seconds=50)
    assert (stored["status"]["progress"]["epoch"], stored["status"]["podName"]) == (
        7,
        FIRST["metadata"]["name"],
    )
    assert stored["status"]["attemptStartTime"] == at(30)
    failed = [_ran(FIRST, 30, 90, LOST_PEER), _ran(SECOND, 31, 90, NO_MEMORY)]
    status = _decide(failed, training=stored, progress=lines).status
    assert status.active_seconds == 59, "once, not for each pod"
    assert status.progress is not None
    assert status.progress.epoch == 7
    # The first was deleted and is gone.
    left = _decide([_ran(SECOND, 31, 90, LOST_PEER)], FAILED_JOB, stored, progress=lines).status
    assert (left.attempt, left.active_seconds) == (2, 59)


@pytest.mark.parametrize(
    "second",
    [start(SECOND), end(SECOND, result=make_result(Stage.TRAIN)), _died(SECOND, LOST_PEER)],
    ids=["runs", "ended", "lost"],
)
def test_training_has_succeeded_when_the_first_pod_has(second: Body) -> None:
    done = end(FIRST, result=make_result(Stage.TRAIN, epochs_done=100, epochs=100))
    status = _decide([done, second]).status
    assert (status.phase, status.progress and status.progress.epoch) == (Phase.SUCCEEDED, 100)
    # Of the second pod alone it is not told.
    assert _decide([start(FIRST), end(SECOND, result=make_result(Stage.TRAIN))]).status.phase == Phase.RUNNING


@pytest.mark.parametrize(
    ("first", "second", "want"),
    [
        (_died(FIRST, LOST_PEER, 60), _died(SECOND, NO_MEMORY, 61), (Reason.CUDA_OUT_OF_MEMORY, 1)),
        (_died(FIRST, NO_MEMORY, 61), _died(SECOND, LOST_PEER, 60), (Reason.CUDA_OUT_OF_MEMORY, 0)),
        (_died(FIRST, SAVED, 60), end(SECOND, 137, 61, reason="OOMKilled"), (Reason.OOM_KILLED, 1)),
        (_died(FIRST, LOST_PEER, 61), _died(SECOND, SAVED, 60), (Reason.INTERRUPTED, 1)),
        (_died(FIRST, LOST_PEER, 60), _died(SECOND, SAVED, 61), (Reason.PEER_LOST, 0)),
        (_died(FIRST, LOST_PEER), _died(SECOND, LOST_PEER), (Reason.PEER_LOST, 0)),
        (start(FIRST), _died(SECOND, NO_MEMORY), (Reason.CUDA_OUT_OF_MEMORY, 1)),
        (_died(FIRST, HUNG, 60), _died(SECOND, GPU_FAULT, 66), (Reason.GPU_FAULT, 1)),
        (_died(FIRST, HUNG, 66), _died(SECOND, LOST_PEER, 60), (Reason.HUNG, 0)),
        (_died(FIRST, NO_MEMORY, 60), end(SECOND, 137, 61, reason="OOMKilled"), (NO_MEMORY.reason, 0)),
        (end(FIRST, 13), end(SECOND, 10), (Reason.GPU_FAULT, 1)),
    ],
)
def test_failure_is_that_of_the_pod_with_a_cause_of_its_own(
    first: Body, second: Body, want: tuple[Reason, int]
) -> None:
    decision = _decide([first, second], FAILED_JOB)
    assert decision.verdict.failure is not None
    pod = decision.verdict.pod
    assert pod is not None
    assert (decision.verdict.failure.reason, pod.index) == want
    status = decision.status
    assert (status.phase, status.attempt) == (Phase.PENDING, 2)
    counted = want[0] not in {Reason.PEER_LOST, Reason.INTERRUPTED}
    assert status.restarts == int(counted)


def test_a_first_pod_that_hung_waits_for_the_word_of_the_one_whose_gpu_failed() -> None:
    """Else the node of that GPU is not avoided, and the next attempt hangs on it as well."""
    stored = _after([start(FIRST), start(SECOND)])
    seen = _decide([_died(FIRST, HUNG), schedule(start(SECOND), "node-2")], training=stored)
    assert (seen.status.phase, seen.status.attempt) == (Phase.RUNNING, 1)
    second = schedule(_died(SECOND, GPU_FAULT, 66), "node-2")
    told = _decide([_died(FIRST, HUNG), second], training=stored).status
    assert [node.name for node in told.avoided_nodes] == ["node-2"]


def test_a_lost_peer_waits_for_the_words_of_the_others() -> None:
    """Who only says that the other is gone may be seen before the one that tells why."""
    stored = _after([start(FIRST), start(SECOND)])
    seen = _decide([_died(FIRST, LOST_PEER), start(SECOND)], training=stored)
    assert (seen.status.phase, seen.status.attempt) == (Phase.RUNNING, 1)
    (ready,) = [c.message for c in seen.status.conditions if c.type == "PodReady"]
    assert ready == "1 of 2 pods failed for want of another, whose own words are waited for"
    told = _decide([_died(FIRST, LOST_PEER), _died(SECOND, NO_MEMORY, 61)], training=stored).status
    assert told.failure is not None
    assert told.failure.reason == Reason.CUDA_OUT_OF_MEMORY
    assert [remedy.argument for remedy in told.remedies] == ["batch"]


def test_a_remedy_keeps_the_batch_one_that_all_gpus_share() -> None:
    template = TEMPLATE | {"batch": 18, "resources": {"gpus": 3, "nodes": 2}}
    training = make_training(template=template)
    job = make_job(training, Stage.TRAIN, seconds=21)
    first, second = make_pods(job, seconds=22)
    status = _decide([start(first), _died(second, NO_MEMORY)], job, training).status
    assert [(remedy.before, remedy.after) for remedy in status.remedies] == [("18", "6")]


def test_a_node_that_is_lost_ends_all_and_is_waited_for_so_long_and_no_longer() -> None:
    """Its pod never ends; the peers' connection breaks, or hangs."""
    stored = _after([start(FIRST), start(SECOND)])
    for other in (start(FIRST), _died(FIRST, LOST_PEER, 90)):
        pods = [other, _deleted(start(SECOND), 100)]
        waiting = _decide(pods, training=stored, seconds=159)
        assert (waiting.status.phase, waiting.status.attempt) == (Phase.RUNNING, 1)
        assert waiting.plan.wake == make_view(TRAINING, seconds=160).now
        over = _decide(pods, training=stored, seconds=160)
        assert over.verdict.failure is not None
        assert (over.verdict.failure.reason, over.status.restarts) == (Reason.NODE_LOST, 0)
        later = stored | {"status": over.status.to_wire()}
        deleting = decide(make_view(later, [PREPARE, TRAIN], [PREPARED, *pods], 161), SETTINGS)
        deleted = [a.name for a in deleting.plan.actions if isinstance(a, DeleteJob)]
        assert (TRAIN["metadata"]["name"] in deleted) == (other["status"]["phase"] == "Running")
        freed = [PREPARED, *pods[1:]]
        early, due = (decide(make_view(later, [PREPARE], freed, at_), SETTINGS) for at_ in (169, 170))
        assert early.plan.actions == (), "the back-off is of the loss, not of the data check before it"
        made = [a.manifest["metadata"]["name"] for a in due.plan.actions if isinstance(a, CreateJob)]
        assert made == ["cats-r1a2-prepare"]


def test_the_next_attempt_waits_until_all_pods_are_gone() -> None:
    stored = _after([start(FIRST), _died(SECOND, NO_MEMORY)])
    leaving = [_deleted(start(FIRST), 130)]
    waits = decide(make_view(stored, [], leaving, seconds=110), SETTINGS)
    assert waits.plan.actions == ()
    gone = decide(make_view(stored, [], [], seconds=110), SETTINGS)
    assert [type(action) for action in gone.plan.actions] == [CreateJob]


@pytest.mark.parametrize("change", [{"stop": True}, {"suspend": True}], ids=["stop", "suspend"])
def test_stop_and_suspend_end_all_pods_though_one_has_ended(change: dict[str, bool]) -> None:
    training = _after([start(FIRST), start(SECOND)], make_training(template=TEMPLATE))
    training = training | {"spec": training["spec"] | change}
    pods = [start(FIRST), end(SECOND, result=make_result(Stage.TRAIN))]
    if "suspend" in change:
        training = _after(pods, training)
    deleted = [a.name for a in _decide(pods, training=training).plan.actions if isinstance(a, DeleteJob)]
    assert TRAIN["metadata"]["name"] in deleted


def test_pods_that_are_given_up_for_one_that_a_quota_refuses_say_so() -> None:
    quota = "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"
    event = EventView("FailedCreate", f'Error creating: pods "cats-1" is forbidden: {quota}')
    one = [schedule(FIRST, "node-1", seconds=23)]
    waits = _after(one, seconds=60, events=(event,))
    assert waits["status"]["failure"]["reason"] == Reason.EXCEEDS_QUOTA
    over = _decide(one, training=waits, seconds=330).status
    assert over.failure is not None
    assert over.failure.reason == Reason.GANG_INCOMPLETE
    assert f"until the next attempt: {event.message}" in over.failure.message
    assert "pods 2 times 1 of 1" in str(over.failure.hint)


def test_a_part_of_the_pods_is_given_up_after_the_time_out() -> None:
    stored = _after(HALF, seconds=30)
    waits = _decide(HALF, training=stored, seconds=322)
    assert (waits.status.phase, waits.status.attempt, waits.plan.actions) == (Phase.QUEUED, 1, ())
    assert waits.plan.wake == make_view(TRAINING, seconds=323).now
    over = _decide(HALF, training=stored, seconds=323).status
    assert (over.phase, over.attempt, over.restarts) == (Phase.PENDING, 2, 0)
    assert over.failure is not None
    assert over.failure.reason == Reason.GANG_INCOMPLETE
    assert over.failure.message.startswith("only 1 of 2 pods has a node after 300 s; what was held is free")
    assert "Insufficient nvidia.com/gpu" in over.failure.message
    assert over.active_seconds is None

    given_up = stored | {"status": over.to_wire()}
    deleting = _decide(HALF, training=given_up, seconds=323)
    assert [a.name for a in deleting.plan.actions if isinstance(a, DeleteJob)] == ["cats-r1a1-train"]
    delay = retry_delay(TRAINING["metadata"]["uid"], 2)
    before = decide(make_view(given_up, seconds=323 + delay.total_seconds() - 1), SETTINGS)
    assert before.plan.actions == ()
    progressing = {c.type: c for c in before.status.conditions}["Reconciling"]
    assert (before.status.phase, progressing.reason) == (Phase.PENDING, Reason.GANG_INCOMPLETE)
    assert "1 of 2 pods has a node" in progressing.message
    wake = before.plan.wake
    assert wake is not None
    due = decide(replace(make_view(given_up), now=wake), SETTINGS).plan.actions
    assert [type(action) for action in due] == [CreateJob]


def test_the_pending_deadline_counts_all_attempts_that_gave_way() -> None:
    training = make_training(template=TEMPLATE, lifecycle={"pendingDeadlineSeconds": 600})
    given_up = _after(HALF, training, seconds=400)
    assert given_up["status"]["waitingSince"] == at(21)
    job = make_job(training, Stage.TRAIN, attempt=2, seconds=500)
    pods = [unschedule(pod) for pod in make_pods(job, seconds=501)]
    prepare = make_job(training, Stage.PREPARE, attempt=2, seconds=450)
    prepared = end(make_pod(prepare), result=make_result(Stage.PREPARE, attempt=2), seconds=470)
    views = [
        make_view(given_up, [prepare, job], [prepared, *pods], seconds=seconds) for seconds in (620, 621)
    ]
    waits, late = (decide(view, SETTINGS).status for view in views)
    assert (waits.phase, waits.waiting_since) == (Phase.QUEUED, at(21))
    assert (late.phase, late.failure and late.failure.reason) == (Phase.FAILED, Reason.PENDING_TOO_LONG)
    running = make_view(given_up, [prepare, job], [prepared, *map(start, pods)], seconds=620)
    assert decide(running, SETTINGS).status.waiting_since is None


def test_a_pod_that_was_replaced_alone_has_its_own_time_to_find_a_node() -> None:
    """As after `kubectl delete --force`: its peer is about to say that it has lost it."""
    _, again = make_pods(TRAIN, seconds=1000)
    pods = [start(schedule(FIRST, seconds=23)), unschedule(again)]
    pods[0]["status"]["conditions"] = schedule(FIRST, seconds=23)["status"]["conditions"]
    assert _decide(pods, seconds=1299).status.attempt == 1
    assert _decide(pods, seconds=1300).status.attempt == 2


@pytest.mark.parametrize(
    ("pods", "change"),
    [
        ([FIRST, SECOND], {}),
        ([unschedule(FIRST), unschedule(SECOND)], {}),
        ([schedule(FIRST, seconds=23), schedule(SECOND, seconds=300)], {}),
        (HALF, {"labels": {"kueue.x-k8s.io/queue-name": "gpus"}}),
    ],
    ids=["none", "none has room", "all have a node", "queue"],
)
def test_who_holds_nothing_for_nothing_waits_on(pods: list[Body], change: dict[str, Any]) -> None:
    metadata = TRAIN["metadata"]
    labels = metadata["labels"] | change.get("labels", {})
    job = TRAIN | {"metadata": metadata | {"labels": labels}, "status": {"startTime": at(22)}}
    decision = _decide(pods, job, seconds=80_000)
    assert decision.status.attempt == 1
    assert decision.plan.actions == ()


def test_a_gang_that_keeps_from_nodes_may_go_there_before_it_gives_up() -> None:
    stored = _after(HALF, seconds=30)
    node = {"name": "node-2", "since": at(0)}
    training = stored | {"status": stored["status"] | {"avoidedNodes": [node]}}
    job = make_job(TRAINING, Stage.TRAIN, seconds=21)
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["node-2"]}]}]
    job["spec"]["template"]["spec"]["affinity"] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    }
    assert _decide(HALF, job, training, seconds=400).status.attempt == 1
    status = _decide(HALF, job, training, seconds=622).status
    assert status.failure is not None
    assert (status.failure.reason, status.avoided_nodes) == (Reason.UNSCHEDULABLE, [])


def test_retry_delay_is_the_same_at_each_look_and_grows_apart() -> None:
    delays = {attempt: [retry_delay(f"uid-{i}", attempt) for i in range(200)] for attempt in (2, 4, 20)}
    assert delays[2] == [retry_delay(f"uid-{i}", 2) for i in range(200)]
    for attempt, middle in ((2, RETRY_FIRST), (4, RETRY_FIRST * 4), (20, RETRY_MOST)):
        assert min(delays[attempt]) >= middle / 2
        assert max(delays[attempt]) < middle * 1.5
        assert max(delays[attempt]) - min(delays[attempt]) > middle * 0.9


def test_training_time_counts_once_where_a_queue_let_one_pod_be_replaced_alone() -> None:
    template = TEMPLATE | {"scheduling": {"queueName": "gpus"}}
    training = make_training(template=template)
    job = make_job(training, Stage.TRAIN, seconds=21) | {"status": {"startTime": at(22)}}
    first, second = make_pods(job, seconds=22)
    trains = _after([start(first, 30), start(second, 31)], training, job, seconds=50)
    drained = _ran(second, 31, 60, SAVED)
    (_, again) = make_pods(job, seconds=61)
    again["metadata"] |= {"name": f"{again['metadata']['name']}-again", "uid": "again"}
    stored = _after([start(first, 30), drained, again], trains, job, seconds=62)
    assert (stored["status"]["phase"], stored["status"].get("activeSeconds")) == (Phase.QUEUED, None)
    failed = job | {"status": end_job(job, "Failed", 71)["status"]}
    status = _decide([_ran(first, 30, 70, LOST_PEER), drained], failed, stored, seconds=72).status
    assert (status.attempt, status.active_seconds) == (2, 29)
