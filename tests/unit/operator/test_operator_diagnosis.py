"""Every way that a pod cannot start or dies, and the reason that a person is told."""

from datetime import UTC, datetime
from typing import Any

import pytest

from operator_objects import (
    Body,
    at,
    end,
    end_job,
    make_job,
    make_pod,
    make_result,
    make_training,
    schedule,
    sicken,
    start,
    with_state,
)
from yolo_crds.conditions import HINTS, Reason
from yolo_crds.meta import Stage
from yolo_operator.diagnosis import MESSAGE_MAX, diagnose, diagnose_refusal, diagnose_waiting
from yolo_operator.snapshot import EventView, view_job, view_pod, view_training
from yolo_operator.store import Store
from yolo_operator.verdict import NOT_COUNTED

JOB = make_job(make_training(), Stage.TRAIN)
POD = make_pod(JOB)
OOM_RESULT = make_result(
    Stage.TRAIN, 4, reason="CudaOutOfMemory", message="CUDA out of memory", hint="batch 8"
)


def _failed(reason: str, message: str = "", **more: Any) -> Body:
    return schedule(POD) | {"status": {"phase": "Failed", "reason": reason, "message": message, **more}}


def _disrupted(pod: Body, reason: str) -> Body:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": f"by {reason}"}
    return pod | {"status": pod["status"] | {"conditions": [condition]}}


def _deleted(pod: Body, by: int, grace: int) -> Body:
    """A pod whose grace period ends at second `by`."""
    told = {"deletionTimestamp": at(by), "deletionGracePeriodSeconds": grace}
    return pod | {"metadata": pod["metadata"] | told}


DEATHS: dict[str, tuple[Body | None, Reason, str]] = {
    "OOMKilled": (end(POD, 137, reason="OOMKilled"), Reason.OOM_KILLED, "memory"),
    "told by the trainer": (end(POD, 4, result=OOM_RESULT), Reason.CUDA_OUT_OF_MEMORY, "CUDA"),
    "exit 2": (end(POD, 2), Reason.INVALID_ARGUMENTS, "exit code 2"),
    "exit 3": (end(POD, 3), Reason.INVALID_DATA, "exit code 3"),
    "exit 4": (end(POD, 4), Reason.TRAINING_FAILED, "exit code 4"),
    "exit 5": (end(POD, 5), Reason.NO_ACCELERATOR, "exit code 5"),
    "exit 6": (end(POD, 6), Reason.DISK_FULL, "exit code 6"),
    "exit 7": (end(POD, 7), Reason.HUNG, "exit code 7"),
    "exit 8": (end(POD, 8), Reason.WORKER_KILLED, "exit code 8"),
    "exit 9": (end(POD, 9), Reason.FENCED, "exit code 9"),
    "exit 10": (end(POD, 10), Reason.GPU_FAULT, "exit code 10"),
    "exit 12": (end(POD, 12), Reason.VOLUME_UNAVAILABLE, "exit code 12"),
    "exit 143": (end(POD, 143), Reason.INTERRUPTED, "exit code 143"),
    "SIGKILL": (end(POD, 137), Reason.WORKER_KILLED, "SIGKILL"),
    "deleted by force": (_deleted(end(POD, 137, 61), by=60, grace=0), Reason.POD_DELETED, "SIGKILL"),
    "deleted, and killed after its grace": (
        _deleted(end(POD, 137, 91), by=90, grace=30),
        Reason.POD_DELETED,
        "SIGKILL",
    ),
    "killed, and deleted afterwards": (
        _deleted(end(POD, 137, 60), by=91, grace=30),
        Reason.WORKER_KILLED,
        "SIGKILL",
    ),
    "no memory left while it was deleted": (
        _deleted(end(POD, 137, 61, reason="OOMKilled"), by=60, grace=0),
        Reason.OOM_KILLED,
        "memory",
    ),
    "exit 1": (end(POD, 1, message="Traceback: boom"), Reason.INTERNAL_ERROR, "boom"),
    "no such program": (
        end(POD, 128, reason="StartError", message="exec: no such file"),
        Reason.CONTAINER_START_FAILED,
        "no such file",
    ),
    "a container that its restarted node does not know": (
        end(POD, 137, reason="ContainerStatusUnknown", message="The container could not be located"),
        Reason.NODE_LOST,
        "could not be located",
    ),
    "the same while it was deleted": (
        _deleted(end(POD, 137, 61, reason="ContainerStatusUnknown"), by=60, grace=0),
        Reason.POD_DELETED,
        "deleted",
    ),
    "evicted by the kubelet": (_failed("Evicted", "low on resource: memory"), Reason.EVICTED, "memory"),
    "evicted by the kubelet, which marks the pod": (
        _disrupted(_failed("Evicted", "low on resource: memory"), "TerminationByKubelet"),
        Reason.EVICTED,
        "low on resource",
    ),
    "a static pod wants its place": (
        _disrupted(_failed("Preempting", "to admit critical pod"), "TerminationByKubelet"),
        Reason.PREEMPTED,
        "critical pod",
    ),
    "its node shuts down in order": (
        _disrupted(_failed("Terminated", "imminent node shutdown"), "TerminationByKubelet"),
        Reason.NODE_LOST,
        "shutdown",
    ),
    "evicted by the API": (_disrupted(end(POD, 143), "EvictionByEvictionAPI"), Reason.EVICTED, "by Evic"),
    "preempted, and killed after its grace": (
        _disrupted(_deleted(end(POD, 137, 91), by=90, grace=30), "PreemptionByScheduler"),
        Reason.PREEMPTED,
        "by Preem",
    ),
    "preempted before it ran": (
        _disrupted(_failed(""), "PreemptionByScheduler"),
        Reason.PREEMPTED,
        "by Preem",
    ),
    "preempted": (_disrupted(end(POD, 143), "PreemptionByScheduler"), Reason.PREEMPTED, "by Preem"),
    "a taint by a person": (
        _disrupted(end(POD, 143), "DeletionByTaintManager"),
        Reason.EVICTED,
        "by Deletion",
    ),
    "a taint since the node is silent": (
        _disrupted(_deleted(start(POD), by=90, grace=30), "DeletionByTaintManager"),
        Reason.NODE_LOST,
        "by Deletion",
    ),
    "pod gc": (_disrupted(_failed(""), "DeletionByPodGC"), Reason.NODE_LOST, "by DeletionByPodGC"),
    "device taint": (
        _disrupted(end(POD, 143), "DeletionByDeviceTaintManager"),
        Reason.GPU_FAULT,
        "by DeletionByDevice",
    ),
    "failed by itself while it was preempted": (
        _disrupted(end(POD, 4, result=OOM_RESULT), "PreemptionByScheduler"),
        Reason.CUDA_OUT_OF_MEMORY,
        "CUDA",
    ),
    "device plugin": (
        _failed("UnexpectedAdmissionError", "Allocate failed"),
        Reason.ADMISSION_REFUSED,
        "Allocate failed",
    ),
    "no CPU after all": (
        _failed("OutOfcpu", "Node didn't have enough"),
        Reason.ADMISSION_REFUSED,
        "OutOfcpu",
    ),
    "two of GPUs that are handed out one by one": (
        _failed(
            "UnexpectedAdmissionError",
            "Pod was rejected: Allocate failed due to rpc error: code = Unknown desc = request for "
            "'nvidia.com/gpu: 2' too large: maximum request size for shared resources is 1, "
            "which is unexpected",
        ),
        Reason.GPUS_SHARED,
        "maximum request size for shared resources is 1",
    ),
    "no GPU after all": (_failed("OutOfnvidia.com/gpu", "none"), Reason.ADMISSION_REFUSED, "OutOfnvidia"),
    "node shut down": (_failed("Terminated", "imminent node shutdown"), Reason.NODE_LOST, "shutdown"),
    "node lost": (
        start(POD) | {"metadata": POD["metadata"] | {"deletionTimestamp": "2026-11-24T10:00:00Z"}},
        Reason.NODE_LOST,
        "node-1",
    ),
    "pod deleted": (None, Reason.POD_DELETED, "gone"),
}


@pytest.mark.parametrize(
    ("reason", "message", "want"),
    [
        ("Preempted", "Preempted by pod 1f on node a", Reason.PREEMPTED),
        ("Evicted", "The node was low on resource: memory.", Reason.EVICTED),
        ("TaintManagerEviction", "Marking for deletion Pod lab/cats", Reason.NODE_LOST),
        ("TaintManagerEviction", "Cancelling deletion of Pod lab/cats", Reason.POD_DELETED),
        ("Killing", "Stopping container trainer", Reason.POD_DELETED),
    ],
)
def test_diagnose_hears_of_a_pod_that_is_gone_from_its_events(
    reason: str, message: str, want: Reason
) -> None:
    events = [EventView("Pulled", "image"), EventView(reason, message)]
    found = diagnose(view_job(end_job(JOB, "Failed", 70, "BackoffLimitExceeded")), None, events)
    assert (found.reason, found.attempt) == (want, 1)
    assert (message in found.message) == (want != Reason.POD_DELETED)


def test_diagnose_says_of_a_drain_what_it_is() -> None:
    """The reason's own hint is that of a node that ran short of something."""
    drained = diagnose(view_job(JOB), view_pod(_disrupted(end(POD, 143), "EvictionByEvictionAPI")))
    short = diagnose(view_job(JOB), view_pod(_failed("Evicted", "low on resource: memory")))
    assert "drained" in (drained.hint or "")
    assert "ran short" in (short.hint or "")


@pytest.mark.parametrize("case", DEATHS)
def test_diagnose_names_the_reason(case: str) -> None:
    body, want_reason, want_words = DEATHS[case]
    job = end_job(JOB, "Failed", 70, "BackoffLimitExceeded") if body is None else JOB
    found = diagnose(view_job(job), view_pod(body) if body else None)
    assert found.reason == want_reason
    assert want_words in found.message
    assert found.hint
    assert found.attempt == 1
    assert found.node == ("node-1" if body else None)


def test_diagnose_takes_the_trainers_own_hint_and_exit_code() -> None:
    found = diagnose(view_job(JOB), view_pod(end(POD, 4, result=OOM_RESULT)))
    assert (found.hint, found.exit_code) == ("batch 8", 4)


@pytest.mark.parametrize(
    ("code", "want", "words"),
    [
        (
            4,
            Reason.GPU_FAULT,
            "GPU-a was called unhealthy by the node's device plugin; the pod then ended so: the",
        ),
        (6, Reason.DISK_FULL, "the trainer ended with exit code 6"),
    ],
)
def test_diagnose_blames_a_device_that_was_unhealthy(code: int, want: Reason, words: str) -> None:
    found = diagnose(view_job(JOB), view_pod(sicken(end(POD, code), "GPU-a")))
    assert (found.reason, found.node, found.exit_code) == (want, "node-1", code)
    assert found.message.startswith(words)


def test_a_device_that_is_no_gpu_is_not_blamed() -> None:
    pod = view_pod(sicken(end(POD, 4), "mlx5_0", resource="rdma/hca"))
    assert pod is not None
    assert pod.unhealthy == ()


def test_a_device_that_was_unhealthy_while_the_pod_ran_is_remembered_at_its_end() -> None:
    store, key = Store(), ("lab", "cats")
    store.put_training(view_training(make_training()))

    def seen(body: Body) -> tuple[str, ...]:
        pod = view_pod(body)
        assert pod is not None
        store.put_pod(key, pod)
        view = store.snapshot(key, datetime.now(UTC))
        assert view is not None
        return view.pods[0].unhealthy

    assert seen(sicken(start(POD), "GPU-a")) == ("GPU-a",)
    assert seen(start(POD)) == (), "it is well again"
    assert seen(sicken(start(POD), "GPU-a")) == ("GPU-a",)
    assert seen(end(POD, 4)) == ("GPU-a",), "the kubelet tells it of running pods alone"


def test_diagnose_job_deadline() -> None:
    job = end_job(JOB, "Failed", 70, "DeadlineExceeded", "Job was active longer than specified deadline")
    assert diagnose(view_job(job), None).reason == Reason.DEADLINE_EXCEEDED


def test_diagnose_without_job_and_pod() -> None:
    assert diagnose(None, None).reason == Reason.POD_DELETED


def _unscheduled(message: str) -> Body:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return POD | {"status": {"phase": "Pending", "conditions": [condition]}}


def _waiting(reason: str, message: str = "") -> Body:
    return with_state(schedule(POD), "Pending", waiting={"reason": reason, "message": message})


DATA_IMAGE = "registry.example.org/sets/trainer:1"
ON_IMAGE = POD | {
    "spec": POD["spec"] | {"volumes": [{"name": "dataset", "image": {"reference": DATA_IMAGE}}]},
}


def _waiting_for_image(reason: str, message: str) -> Body:
    return with_state(schedule(ON_IMAGE), "Pending", waiting={"reason": reason, "message": message})


FULL = "0/3 nodes are available: 1 Insufficient cpu, 3 Insufficient nvidia.com/gpu."
BLOCKS: dict[str, tuple[Body | None, list[EventView], Reason | None, str]] = {
    "no GPU free": (
        _unscheduled(FULL),
        [],
        Reason.UNSCHEDULABLE,
        "no node has enough cpu, nvidia.com/gpu: 0/3",
    ),
    "no claim": (
        _unscheduled('persistentvolumeclaim "yolo-data" not found'),
        [],
        Reason.VOLUME_FAILED,
        "yolo-data",
    ),
    "back-off": (
        _waiting("ImagePullBackOff", "no such tag"),
        [],
        Reason.IMAGE_PULL_FAILED,
        "image trainer:1",
    ),
    "pull": (_waiting("ErrImagePull", "403"), [], Reason.IMAGE_PULL_FAILED, "403"),
    "name": (_waiting("InvalidImageName", "bad"), [], Reason.IMAGE_PULL_FAILED, "bad"),
    "never": (_waiting("ErrImageNeverPull"), [], Reason.IMAGE_PULL_FAILED, "image trainer:1"),
    # The first as kubelet 1.36 with containerd 2.2 told it, the rest as their sources have it.
    "data image": (
        _waiting_for_image(
            "ErrImagePull",
            f'rpc error: code = NotFound desc = failed to pull and unpack image "{DATA_IMAGE}": failed to '
            f'resolve reference "{DATA_IMAGE}": {DATA_IMAGE}: not found',
        ),
        [],
        Reason.DATA_IMAGE_FAILED,
        f"data.image {DATA_IMAGE}: ErrImagePull: rpc error",
    ),
    "data image, back-off": (
        _waiting_for_image("ImagePullBackOff", 'Back-off pulling image "trainer:1.2"'),
        [],
        Reason.DATA_IMAGE_FAILED,
        "data.image",
    ),
    "trainer image of a pod with a data image": (
        _waiting_for_image("ImagePullBackOff", 'Back-off pulling image "trainer:1": not found'),
        [],
        Reason.IMAGE_PULL_FAILED,
        "image trainer:1",
    ),
    "data image, mount": (
        _waiting_for_image("CreateContainerError", "ImageVolumeMountFailed: failed to unpack image volume"),
        [],
        Reason.DATA_IMAGE_NOT_MOUNTED,
        f"data.image {DATA_IMAGE}",
    ),
    "runtime without image volumes": (
        _waiting_for_image(
            "CreateContainerError",
            'failed to generate spec: failed to mkdir "": mkdir : no such file or directory',
        ),
        [],
        Reason.DATA_IMAGE_NOT_MOUNTED,
        "failed to mkdir",
    ),
    "kubelet without image volumes": (
        _waiting_for_image(
            "CreateContainerConfigError",
            'cannot find volume "dataset" to mount into container "trainer"',
        ),
        [],
        Reason.DATA_IMAGE_NOT_MOUNTED,
        "cannot find volume",
    ),
    "config": (
        _waiting("CreateContainerConfigError", "runAsNonRoot and image will run as root"),
        [],
        Reason.CONTAINER_START_FAILED,
        "root",
    ),
    "run": (_waiting("RunContainerError", "no runtime"), [], Reason.CONTAINER_START_FAILED, "no runtime"),
    "sub path": (
        _waiting("CreateContainerConfigError", "failed to prepare subPath for volumeMount"),
        [],
        Reason.VOLUME_FAILED,
        "subPath",
    ),
    "mount": (
        _waiting("ContainerCreating"),
        [EventView("Scheduled", "ok"), EventView("FailedMount", "nfs: timed out")],
        Reason.VOLUME_FAILED,
        "nfs",
    ),
    "sandbox": (
        _waiting("ContainerCreating"),
        [EventView("FailedCreatePodSandBox", "no CNI")],
        Reason.CONTAINER_START_FAILED,
        "no CNI",
    ),
    "on its way": (_waiting("ContainerCreating"), [EventView("Pulling", "")], None, ""),
    "running": (start(POD), [], None, ""),
    "quota": (
        None,
        [EventView("FailedCreate", 'pods "x" is forbidden: exceeded quota: gpus')],
        Reason.QUOTA_EXCEEDED,
        "gpus",
    ),
    "pod security": (
        None,
        [EventView("FailedCreate", 'pods "x" is forbidden: violates PodSecurity')],
        Reason.FORBIDDEN,
        "PodSecurity",
    ),
    "no pod yet": (None, [], None, ""),
}


@pytest.mark.parametrize("case", BLOCKS)
def test_diagnose_waiting_names_the_reason(case: str) -> None:
    body, events, want_reason, want_words = BLOCKS[case]
    found = diagnose_waiting(view_pod(body) if body else None, events)
    if want_reason is None:
        assert found is None
        return
    assert found is not None
    assert found.reason == want_reason
    assert want_words in found.message
    assert found.hint == HINTS[want_reason]
    assert found.attempt is None


@pytest.mark.parametrize(
    ("code", "message", "want"),
    [
        (403, "exceeded quota: jobs", Reason.QUOTA_EXCEEDED),
        (403, "jobs.batch is forbidden: User cannot create", Reason.FORBIDDEN),
        (422, "spec.template.spec.nodeSelector: Invalid value", Reason.INVALID_SPEC),
        (400, "the body is no Job", Reason.INTERNAL_ERROR),
    ],
)
def test_diagnose_refusal_names_the_reason(code: int, message: str, want: Reason) -> None:
    found = diagnose_refusal(code, message)
    assert found is not None
    assert found.reason == want


def test_diagnose_refusal_tells_a_webhook_that_is_down_from_other_faults_of_the_server() -> None:
    text = 'Internal error occurred: failed calling webhook "mjob.kb.io": failed to call webhook: Post "https://k"'
    found = diagnose_refusal(500, text)
    assert found is not None
    assert found.reason == Reason.WEBHOOK_FAILED
    assert "the admission webhook mjob.kb.io does not answer" in found.message
    for code, message in ((500, "etcdserver: request timed out"), (503, "unavailable"), (0, text)):
        assert diagnose_refusal(code, message) is None


def test_failure_message_is_cut() -> None:
    found = diagnose_refusal(403, "x" * 5000)
    assert found is not None
    assert len(found.message) == MESSAGE_MAX


@pytest.mark.parametrize(
    ("stage", "where"),
    [(Stage.TRAIN, "spec.template.resources.memory"), (Stage.PREPARE, "trainer.prepare.memory")],
)
def test_a_memory_of_some_bytes_is_told_as_such(stage: Stage, where: str) -> None:
    """`memory: 16` is sixteen bytes."""
    told = "runc create failed: container init was OOM-killed (memory limit too low?)"
    job = make_job(make_training(), stage)
    creating = view_pod(
        with_state(schedule(make_pod(job)), "Pending", waiting={"reason": "ContainerCreating"})
    )
    waits = diagnose_waiting(creating, [EventView("FailedCreatePodSandBox", told)], stage)
    ended = diagnose(view_job(job), view_pod(end(make_pod(job), 128, reason="StartError", message=told)))
    for failure in (waits, ended):
        assert failure is not None
        assert failure.reason == Reason.CONTAINER_START_FAILED
        assert "16Gi" in str(failure.hint)
        assert where in str(failure.hint)


OWN_LIMITS = {
    'Usage of EmptyDir volume "shm" exceeds the limit "8Gi". ': (
        Reason.SHARED_MEMORY_EXHAUSTED,
        "resources.sharedMemory",
    ),
    'Usage of EmptyDir volume "cache" exceeds the limit "20". ': (Reason.DISK_FULL, "resources.cacheStorage"),
    'Usage of EmptyDir volume "istio-data" exceeds the limit "1Mi". ': (Reason.DISK_FULL, "istio-data"),
    'Container trainer exceeded its local ephemeral storage limit "1Gi". ': (Reason.DISK_FULL, "LimitRange"),
    "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ": (
        Reason.DISK_FULL,
        "LimitRange",
    ),
}


@pytest.mark.parametrize("message", OWN_LIMITS)
def test_a_pod_that_passes_its_own_limit_is_not_evicted_for_ever(message: str) -> None:
    want, cure = OWN_LIMITS[message]
    found = diagnose(view_job(JOB), view_pod(_failed("Evicted", message)))
    assert (found.reason, found.message) == (want, message.strip())
    assert cure in str(found.hint)
    assert found.reason not in NOT_COUNTED
