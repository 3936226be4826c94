"""Jobs that somebody else suspends, Kueue above all: what is told, what does not count, what goes on.

The conditions are those that Kueue 0.19.2 wrote on Kubernetes 1.36 in each situation.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

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
    make_result,
    make_training,
    make_view,
    schedule,
    start,
)
from yolo_crds.conditions import HINTS, ConditionType, Phase, Reason
from yolo_crds.meta import Stage
from yolo_crds.status import Condition, Status
from yolo_crds.trainer import ProgressLine
from yolo_kube.errors import KubeError
from yolo_operator.admission import diagnose_suspended
from yolo_operator.decision import Decision, decide
from yolo_operator.kube import Kube
from yolo_operator.plan import DeleteJob
from yolo_operator.queue_reader import ABSENT_SECONDS, QueueReader
from yolo_operator.snapshot import JobView, Snapshot, view_job
from yolo_operator.store import Store
from yolo_operator.workload import Admission, view_workload

QUEUED: Body = {
    "template": {
        "model": "yolo11n.yaml",
        "data": {"train": "cats"},
        "epochs": 100,
        "scheduling": {"queueName": "gpus"},
    }
}
PREPARE = make_job(make_training(), Stage.PREPARE)
PREPARED = end(make_pod(PREPARE), result=make_result(Stage.PREPARE, dataset={"hash": "abc"}), seconds=20)
TRAIN = make_job(make_training(**QUEUED), Stage.TRAIN, seconds=21)
POD = make_pod(TRAIN, seconds=22)
LATER = START.replace(minute=5)
PREEMPTED = (
    "Preempted to accommodate a workload (UID: 1, JobUID: 2) due to prioritization in the ClusterQueue"
)
NO_QUOTA = (
    "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor a100, "
    "2 more needed"
)
TOO_MUCH = (
    "couldn't assign flavors to pod set main: insufficient quota for nvidia.com/gpu in flavor a100, "
    "previously considered podsets requests (0) + current podset request (5) > maximum capacity (2)"
)
OTHER_NODES = "couldn't assign flavors to pod set main: flavor a100 doesn't match node affinity"


def hold(job: Body, seconds: float) -> Body:
    """The Job as Kueue's webhook, or a person, leaves it."""
    condition = {
        "type": "Suspended",
        "status": "True",
        "reason": "JobSuspended",
        "lastTransitionTime": at(seconds),
    }
    return job | {"spec": job["spec"] | {"suspend": True}, "status": {"conditions": [condition]}}


def resume(job: Body, seconds: float) -> Body:
    """The Job admitted again."""
    condition = {"type": "Suspended", "status": "False", "lastTransitionTime": at(seconds)}
    status = {"conditions": [condition], "startTime": at(seconds)}
    return job | {"spec": job["spec"] | {"suspend": False}, "status": status}


def workload(
    conditions: Mapping[str, tuple[bool, str, str]],
    queue: str = "gpus",
    active: bool = True,
    requeue_at: str | None = None,
) -> Body:
    """A Workload as the API server sends it."""
    return {
        "metadata": {"name": "job-cats-r1a1-train-0f2e1"},
        "spec": {"queueName": queue, "active": active},
        "status": {
            "conditions": [
                {"type": type_, "status": str(true), "reason": reason, "message": message}
                for type_, (true, reason, message) in conditions.items()
            ],
            **({"requeueState": {"count": 1, "requeueAt": requeue_at}} if requeue_at else {}),
        },
    }


def pending(message: str) -> dict[str, tuple[bool, str, str]]:
    return {"QuotaReserved": (False, "Pending", message)}


def evicted(reason: str, message: str) -> dict[str, tuple[bool, str, str]]:
    return {"Evicted": (True, reason, message), "Admitted": (False, "NoReservation", "")}


def inadmissible(message: str) -> dict[str, tuple[bool, str, str]]:
    return {"QuotaReserved": (False, "Inadmissible", message)}


SITUATIONS: dict[str, tuple[Body, Reason, str]] = {
    "waits for quota": (workload(pending(NO_QUOTA)), Reason.WAITING_FOR_QUOTA, "queue gpus: couldn't assign"),
    "alike to one that waits already": (workload({}), Reason.WAITING_FOR_QUOTA, "waits in queue gpus"),
    "can never fit": (workload(pending(TOO_MUCH)), Reason.EXCEEDS_QUEUE, "maximum capacity (2)"),
    "one flavor too small, one in use": (
        workload(pending(f"{TOO_MUCH}, {NO_QUOTA}")),
        Reason.WAITING_FOR_QUOTA,
        "2 more needed",
    ),
    "other nodes": (workload(pending(OTHER_NODES)), Reason.NOT_ADMITTED, "doesn't match node affinity"),
    "no such resource": (
        workload(pending("resource example.com/foo unavailable in ClusterQueue")),
        Reason.NOT_ADMITTED,
        "example.com/foo",
    ),
    "preempts somebody": (
        workload(pending(f"{NO_QUOTA}. Pending the preemption of 1 workload(s)")),
        Reason.WAITING_FOR_QUOTA,
        "preemption of 1",
    ),
    "no LocalQueue": (
        workload(inadmissible("LocalQueue nope doesn't exist"), queue="nope"),
        Reason.QUEUE_MISSING,
        "LocalQueue nope doesn't exist",
    ),
    "no queue named": (
        workload(inadmissible("LocalQueue  doesn't exist"), queue=""),
        Reason.QUEUE_MISSING,
        "names no queue",
    ),
    "queue stopped": (
        workload(inadmissible("ClusterQueue gpus is inactive")),
        Reason.QUEUE_STOPPED,
        "ClusterQueue gpus is inactive",
    ),
    "queue stopped with those in it": (
        workload(evicted("ClusterQueueStopped", "The ClusterQueue is stopped")),
        Reason.QUEUE_STOPPED,
        "stopped",
    ),
    "preempted": (
        workload(evicted("Preempted", PREEMPTED) | pending(NO_QUOTA)),
        Reason.PREEMPTED_IN_QUEUE,
        "prioritization in the ClusterQueue",
    ),
    "just preempted": (
        workload(evicted("Preempted", PREEMPTED) | {"Admitted": (True, "Admitted", "")}),
        Reason.PREEMPTED_IN_QUEUE,
        "prioritization",
    ),
    "pods not ready in time": (
        workload(
            evicted("PodsReadyTimeout", "Exceeded the PodsReady timeout kt/job-x")
            | {"Requeued": (False, "PodsReadyTimeout", "")},
            requeue_at=at(900),
        ),
        Reason.PODS_NOT_READY,
        f"PodsReady timeout kt/job-x; tried again at {at(900)}",
    ),
    "given up": (
        workload(
            evicted("DeactivatedDueToRequeuingLimitExceeded", "The workload is deactivated"), active=False
        ),
        Reason.DEACTIVATED,
        "job-cats-r1a1-train-0f2e1 is out of its queue",
    ),
    "deactivated by an administrator": (
        workload(evicted("Deactivated", "The workload is deactivated"), active=False),
        Reason.DEACTIVATED,
        "The workload is deactivated",
    ),
    "waits again after it was preempted once": (
        workload(
            {"Evicted": (False, "QuotaReserved", "Previously: x"), "Requeued": (True, "Preempted", "")}
            | pending(NO_QUOTA)
        ),
        Reason.WAITING_FOR_QUOTA,
        "2 more needed",
    ),
    "admitted, not yet started": (
        workload(
            {
                "QuotaReserved": (True, "QuotaReserved", "Quota reserved in ClusterQueue gpus"),
                "Admitted": (True, "Admitted", ""),
            }
        ),
        Reason.QUEUED,
        "about to start",
    ),
    "admission checks": (
        workload({"QuotaReserved": (True, "QuotaReserved", "Quota reserved in ClusterQueue gpus")}),
        Reason.NOT_ADMITTED,
        "admission checks",
    ),
    "cannot be started": (
        workload({"Finished": (True, "FailedToStart", "conflicting node selector")}),
        Reason.NOT_ADMITTED,
        "conflicting node selector",
    ),
}


def _decide(training: Body, jobs: list[Body], pods: list[Body], **more: Any) -> Decision:
    return decide(make_view(training, jobs, pods, **more), SETTINGS)


def _store(training: Body, *views: Snapshot) -> Body:
    """The training with the status that is stored after these snapshots, one after the other."""
    for view in views:
        now = replace(view, training=make_view(training).training)
        training = training | {"status": decide(now, SETTINGS).status.to_wire()}
    return training


def _admissions(body: Body, place: int | None = None) -> dict[str, Admission]:
    return {TRAIN["metadata"]["uid"]: Admission(view_workload(body), place)}


def _condition(status: Status, type_: ConditionType) -> Condition:
    return next(c for c in status.conditions if c.type == type_)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_held_job_is_told_in_every_situation(situation: str) -> None:
    body, want_reason, want_words = SITUATIONS[situation]
    held = [PREPARE, hold(TRAIN, 25)]
    decision = _decide(make_training(**QUEUED), held, [PREPARED], admissions=_admissions(body), seconds=300)
    status = decision.status
    assert (status.phase, decision.plan.actions) == (Phase.QUEUED, ())
    assert status.failure is not None
    assert (status.failure.reason, status.failure.attempt) == (want_reason, None)
    assert want_words in status.failure.message
    assert status.failure.hint or want_reason == Reason.QUEUED
    admitted = _condition(status, ConditionType.ADMITTED)
    assert (admitted.status, admitted.reason, admitted.last_transition_time) == ("False", want_reason, at(25))
    assert want_words in admitted.message
    assert _condition(status, ConditionType.POD_READY).message == "its Job is not admitted"


def test_no_queue_named_hints_at_where_to_name_one() -> None:
    body, _, _ = SITUATIONS["no queue named"]
    job = view_job(hold(PREPARE, 1))
    assert job is not None
    found = diagnose_suspended(job, Admission(view_workload(body)), LATER)
    assert "prepareQueueName" in (found.hint or "")


@pytest.mark.parametrize(
    ("job", "admission", "want_reason", "want_words"),
    [
        (PREPARE, None, Reason.SUSPENDED_BY_OTHERS, "cats-r1a1-prepare is suspended by somebody else than"),
        (PREPARE, Admission(), Reason.SUSPENDED_BY_OTHERS, "by somebody else"),
        (TRAIN, None, Reason.SUSPENDED_BY_OTHERS, "(its queue is gpus)"),
        (TRAIN, Admission(), Reason.NOT_ADMITTED, "no Workload"),
    ],
)
def test_a_held_job_without_a_workload(
    job: Body, admission: Admission | None, want_reason: Reason, want_words: str
) -> None:
    seen = view_job(hold(job, 25))
    assert seen is not None
    found = diagnose_suspended(seen, admission, LATER)
    assert found.reason == want_reason
    assert want_words in found.message


@pytest.mark.parametrize(
    ("managers", "want"),
    [
        ([("yolo-operator", 1), ("kubectl-patch", 20)], ": by the client kubectl-patch"),
        ([("yolo-operator", 1)], ": by an admission webhook as it was created (Kueue's, with"),
        ([], ""),
    ],
)
def test_a_suspended_job_is_told_with_since_when_and_by_whom(
    managers: list[tuple[str, int]], want: str
) -> None:
    """What sets a field last owns it: the API server's managed fields, as it writes them."""
    job = hold(PREPARE, 25)
    owned: dict[str, dict[str, dict[str, str]]] = {"f:spec": {"f:suspend": {}}}
    told = [{"manager": name, "time": at(seconds), "fieldsV1": owned} for name, seconds in managers]
    other = {"manager": "kube-controller-manager", "time": at(30), "fieldsV1": {"f:status": {}}}
    job = job | {"metadata": job["metadata"] | {"managedFields": [*told, other]}}
    seen = view_job(job)
    assert seen is not None
    message = diagnose_suspended(seen, None, LATER).message
    words = f"cats-r1a1-prepare is suspended by somebody else than this operator since {at(25)}{want}"
    assert words in message
    assert message.endswith(words) or want.endswith("with")


def test_a_held_prepare_job_is_queued_and_shows_since_when() -> None:
    status = _decide(make_training(), [hold(PREPARE, 3)], []).status
    assert (status.phase, status.failure and status.failure.hint) == (
        Phase.QUEUED,
        HINTS[Reason.SUSPENDED_BY_OTHERS],
    )
    assert status.queue is not None
    assert (status.queue.name, status.queue.since, status.queue.place) == (None, at(3), None)
    assert status.waiting is not None
    assert status.waiting.to_wire() == {"since": at(3), "holders": []}


def test_the_place_is_shown_and_goes_when_the_queue_lets_it() -> None:
    body = workload(pending(NO_QUOTA))
    view = make_view(
        make_training(**QUEUED), [PREPARE, hold(TRAIN, 25)], [PREPARED], admissions=_admissions(body, 3)
    )
    held = _store(make_training(**QUEUED), view)
    assert held["status"]["queue"] == {"name": "gpus", "since": at(25), "place": 3}
    assert held["status"]["printed"] == {"place": "place 3", "reason": "WaitingForQuota"}
    status = _decide(held, [PREPARE, resume(TRAIN, 90)], [PREPARED, schedule(POD)]).status
    assert (status.phase, status.queue, status.failure) == (Phase.STARTING, None, None)
    assert status.waiting is None
    assert _condition(status, ConditionType.ADMITTED).status == "True"


def test_no_deadline_counts_while_the_job_is_held() -> None:
    training = make_training(**QUEUED, lifecycle={"pendingDeadlineSeconds": 20, "activeDeadlineSeconds": 10})
    for pods in ([PREPARED], [PREPARED, start(POD)]):
        decision = _decide(training, [PREPARE, hold(TRAIN, 25)], pods, seconds=80_000)
        assert (decision.status.phase, decision.plan.wake) == (Phase.QUEUED, None)


def test_the_pending_deadline_counts_anew_from_the_admission_and_spares_the_victims_grace() -> None:
    training = make_training(**QUEUED, lifecycle={"pendingDeadlineSeconds": 20})
    jobs = [PREPARE, resume(TRAIN, 1000)]
    for pods in ([PREPARED], [PREPARED, POD]):
        assert _decide(training, jobs, pods, seconds=1079).status.phase == Phase.QUEUED
        late = _decide(training, jobs, pods, seconds=1080).status
        assert late.failure is not None
        assert (late.phase, late.failure.reason) == (Phase.FAILED, Reason.PENDING_TOO_LONG)
    # Let in, and its controller has not noticed.
    just = hold(TRAIN, 25) | {"spec": TRAIN["spec"]}
    assert _decide(training, [PREPARE, just], [PREPARED], seconds=9000).status.phase == Phase.QUEUED


def _trained(seconds: float = 100) -> Body:
    training = make_training(
        **QUEUED, lifecycle={"pendingDeadlineSeconds": 30, "activeDeadlineSeconds": 1000}
    )
    line = ProgressLine(
        seq=1, time=START.timestamp() + seconds, stage="epoch", epoch=7, epochs=100, eta_seconds=240
    )
    return _store(
        training,
        make_view(
            training,
            [PREPARE, resume(TRAIN, 24)],
            [PREPARED, start(POD, 30)],
            progress={POD["metadata"]["uid"]: line},
            seconds=seconds,
        ),
    )


TAKEN_BACK = {
    "the pod is gone": ([], hold(TRAIN, 110)),
    "the pod has failed": ([end(POD, 143, 112)], hold(TRAIN, 110)),
    "the pod was killed": ([end(POD, 137, 170)], hold(TRAIN, 110)),
    "failed and let in again at once": (
        [{**end(POD, 137, 112), "metadata": POD["metadata"] | {"deletionTimestamp": at(170)}}],
        resume(TRAIN, 113),
    ),
    "interrupted, and nobody has suspended the Job": ([end(POD, 143, 112)], resume(TRAIN, 24)),
    "evicted": (
        [
            end(POD, 137, 112)
            | {
                "status": end(POD, 137, 112)["status"]
                | {
                    "conditions": [
                        {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
                    ]
                }
            }
        ],
        resume(TRAIN, 24),
    ),
}


@pytest.mark.parametrize("how", TAKEN_BACK)
def test_a_pod_that_is_taken_back_ends_no_attempt(how: str) -> None:
    pods, job = TAKEN_BACK[how]
    decision = _decide(_trained(), [PREPARE, job], [PREPARED, *pods], seconds=5000)
    status = decision.status
    assert (status.phase, status.attempt, status.restarts) == (Phase.QUEUED, 1, 0)
    assert decision.plan.actions == ()
    assert status.printed is not None
    assert (status.printed.epoch, status.printed.eta) == ("7/100", None)
    again = make_pod(TRAIN, seconds=5002)
    again["metadata"] |= {"name": "again", "uid": "again"}
    later = _decide(
        _store(_trained(), make_view(_trained(), [PREPARE, job], [PREPARED, *pods], seconds=5000)),
        [PREPARE, resume(TRAIN, 5001)],
        [PREPARED, start(again, 5005)],
        seconds=5010,
    )
    assert (later.status.phase, later.status.attempt) == (Phase.RUNNING, 1)


@pytest.mark.parametrize(
    ("pod", "job", "want"),
    [
        (end(POD, 137, 112, reason="OOMKilled"), resume(TRAIN, 24), Reason.OOM_KILLED),
        (end(POD, 143, 112), end_job(TRAIN, "Failed", 113), Reason.INTERRUPTED),
    ],
)
def test_a_queued_attempt_that_fails_by_itself_is_followed_by_another(
    pod: Body, job: Body, want: Reason
) -> None:
    status = _decide(_trained(), [PREPARE, job], [PREPARED, pod], seconds=120).status
    assert status.failure is not None
    assert (status.attempt, status.failure.reason) == (2, want)


def test_training_time_before_and_after_a_preemption_is_counted_once() -> None:
    held = make_view(_trained(), [PREPARE, hold(TRAIN, 130)], [PREPARED], seconds=140)
    once = _store(_trained(), held, replace(held, now=LATER))
    assert once["status"]["activeSeconds"] == 100
    assert "attemptStartTime" not in once["status"]
    again = make_pod(TRAIN, seconds=302)
    again["metadata"] |= {"name": "again", "uid": "again"}
    running = _decide(once, [PREPARE, resume(TRAIN, 301)], [PREPARED, start(again, 310)], seconds=320)
    # 900 s are left, 60 s the grace period and the slack each.
    assert running.plan.wake is not None
    assert (running.plan.wake - START).total_seconds() == 310 + 900 + 120
    end_of_it = with_end(again, 310, 410)
    assert (
        _decide(
            once, [PREPARE, end_job(TRAIN, "Failed", 411)], [PREPARED, end_of_it], seconds=420
        ).status.active_seconds
        == 200
    )


def _let_in_again(started: float, job_seconds: float = 301) -> tuple[Body, Body]:
    """The Job admitted anew, and its second pod."""
    again = make_pod(TRAIN, seconds=job_seconds + 1)
    again["metadata"] |= {"name": "again", "uid": "again"}
    return resume(TRAIN, job_seconds), start(again, started)


def test_training_time_before_a_preemption_counts_though_the_operator_was_down_meanwhile() -> None:
    wished = _trained()
    wished["spec"]["suspend"] = True
    held = make_view(wished, [PREPARE, hold(TRAIN, 130)], [PREPARED], seconds=140)
    assert _store(wished, held)["status"]["activeSeconds"] == 100
    again, pod = _let_in_again(310)
    running = make_view(wished, [PREPARE, again], [PREPARED, pod], seconds=320)
    assert _store(wished, running)["status"]["activeSeconds"] == 70 + 10, "until the last progress, and anew"


@pytest.mark.parametrize("code", [8, 0])
def test_training_time_before_a_preemption_counts_though_the_second_pod_has_ended(code: int) -> None:
    job, pod = _let_in_again(310)
    ended = with_end(pod, 310, 410, code)
    status = _decide(_trained(), [PREPARE, job], [PREPARED, ended], seconds=420).status
    assert status.active_seconds == 70 + 100


def test_no_waiting_for_the_second_pod_counts_as_training() -> None:
    begun = _trained(30)
    begun["status"].pop("progress")
    begun["spec"]["suspend"] = True
    job, pod = _let_in_again(310, job_seconds=24)
    waiting = make_pod(TRAIN, seconds=112)
    waiting["metadata"] |= pod["metadata"]
    view = make_view(begun, [PREPARE, job], [PREPARED, waiting], seconds=5000)
    assert "activeSeconds" not in _store(begun, view)["status"]


def with_end(pod: Body, started: float, finished: float, code: int = 8) -> Body:
    """The pod ended, by default with a fault of its own."""
    ended = end(pod, code, finished)
    ended["status"]["containerStatuses"][0]["state"]["terminated"]["startedAt"] = at(started)
    return ended


def test_pod_ready_is_false_since_the_job_was_suspended() -> None:
    status = _decide(_trained(), [PREPARE, hold(TRAIN, 110)], [PREPARED], seconds=140).status
    assert _condition(status, ConditionType.POD_READY).last_transition_time == at(110)
    gone = _decide(_trained(), [PREPARE, TRAIN], [PREPARED], seconds=140).status
    assert _condition(gone, ConditionType.POD_READY).last_transition_time == at(140)


@pytest.mark.parametrize("wish", [{"stop": True}, {"suspend": True}])
def test_the_users_own_stop_and_suspend_delete_a_held_job(wish: Body) -> None:
    training = make_training(**QUEUED, **wish)
    views = [make_view(training, [hold(PREPARE, 2)], [], seconds=s) for s in (10, 20, 30)]
    deleted = set()
    for view in views:
        now = replace(view, training=make_view(training).training)
        decision = decide(now, SETTINGS)
        deleted |= {a.name for a in decision.plan.actions if isinstance(a, DeleteJob)}
        training = training | {"status": decision.status.to_wire()}
    assert deleted == {"cats-r1a1-prepare"}


class FakeKueue:
    """Answers the two reads, or refuses them; counts them."""

    def __init__(self, code: int = 200, places: list[str] | None = None, only: str | None = None) -> None:
        self.code, self.places, self.only, self.reads = code, places, only, 0

    async def list_workloads(self, namespace: str, job_uid: str) -> list[Body]:
        self.reads += 1
        if self.code != 200 and self.only in (None, namespace):
            raise KubeError(self.code, "no")
        return [workload(pending(NO_QUOTA))]

    async def list_pending(self, namespace: str, queue: str) -> list[Body]:
        if self.places is None:
            raise KubeError(503, "no visibility")
        return [
            {"metadata": {"ownerReferences": [{"uid": uid}]}, "positionInClusterQueue": place}
            for place, uid in enumerate(self.places)
        ]


async def _read(kueue: FakeKueue, times: int = 1) -> tuple[Admission | None, float]:
    store = Store()
    store.put_training(make_view(make_training()).training)  # type: ignore[arg-type]
    job = view_job(hold(TRAIN, 1))
    assert job is not None
    store.put_job(("lab", "cats"), job)
    reader = QueueReader(cast("Kube", kueue), store)
    for _ in range(times):
        again = await reader.read("lab", job)
    view = store.snapshot(("lab", "cats"), START)
    assert view is not None
    return view.admissions.get(job.uid), again


@pytest.mark.parametrize("places", [None, ["other", TRAIN["metadata"]["uid"]]])
async def test_queue_reader_reads_workload_and_place_once_a_turn(places: list[str] | None) -> None:
    kueue = FakeKueue(places=places)
    admission, again = await _read(kueue, times=3)
    assert admission is not None
    assert admission.workload is not None
    assert (admission.workload.queue, admission.place) == ("gpus", None if places is None else 2)
    assert (kueue.reads, 0 < again <= 1) == (1, True)


@pytest.mark.parametrize("code", [403, 404])
async def test_queue_reader_does_not_ask_again_where_there_is_no_kueue(code: int) -> None:
    kueue = FakeKueue(code)
    admission, again = await _read(kueue, times=3)
    assert (admission, kueue.reads) == (None, 1)
    assert again > ABSENT_SECONDS - 1


async def test_queue_reader_takes_an_error_softly() -> None:
    admission, again = await _read(FakeKueue(503))
    assert admission is None
    assert again <= 1


class Held:
    """Held Jobs, read by a reader whose clock the test sets."""

    def __init__(self, kueue: FakeKueue) -> None:
        self.store, self.now = Store(), 0.0
        self.reader = QueueReader(cast("Kube", kueue), self.store, clock=lambda: self.now)

    async def read(self, namespace: str, uid: str) -> Admission | None:
        job = view_job(hold(TRAIN, 1))
        assert job is not None
        job = replace(job, uid=uid)
        await self.reader.read(namespace, job)
        return self.admission(job)

    def admission(self, job: JobView) -> Admission | None:
        view = make_view(make_training())
        return self.store.with_news(replace(view, jobs=(job,))).admissions.get(job.uid)


async def test_queue_reader_asks_other_namespaces_than_the_one_that_it_may_not_read() -> None:
    kueue = FakeKueue(403, only="closed")
    held = Held(kueue)
    assert await held.read("closed", "a") is None
    assert await held.read("open", "b") is not None
    assert await held.read("closed", "c") is None
    assert kueue.reads == 2, "the closed one is not asked again at once"


async def test_queue_reader_forgets_what_it_read_once_kueue_is_gone() -> None:
    kueue = FakeKueue()
    held = Held(kueue)
    assert await held.read("lab", "a") is not None
    kueue.code, held.now = 404, 20.0
    assert await held.read("lab", "b") is None
    assert await held.read("lab", "a") is None
    assert kueue.reads == 2, "where there are no Workloads, there are none in any namespace"


async def test_queue_reader_forgets_jobs_that_were_deleted_while_they_were_read_and_their_queues() -> None:
    held = Held(FakeKueue(places=[]))
    for number in range(50):
        held.now = number * 100.0
        assert await held.read(f"lab-{number}", f"job-{number}") is not None
    job = view_job(hold(TRAIN, 1))
    assert job is not None
    known = [n for n in range(50) if held.admission(replace(job, uid=f"job-{n}"))]
    assert known == [49]
    assert list(vars(held.reader)["_places"]) == [("lab-49", "gpus")]
