"""Why a pod cannot start, or how it died: in the vocabulary of `Reason`, with a sentence for a person."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from yolo_crds.conditions import HINTS, LIKE_A_GPU_FAULT, Reason
from yolo_crds.meta import Stage
from yolo_crds.status import Failure
from yolo_crds.trainer import EXIT_REASONS, ExitCode, Result, parse_result

from .disruption import POD_REASONS, explain_disruption, explain_gone
from .evicted import explain_eviction
from .refused import explain_refusal
from .snapshot import EventView, JobView, PodView, Terminated, parse_time

MESSAGE_MAX = 1024
"""Longest message in characters: the whole object stays below 16 KiB."""
_SIGKILL = 128 + 9
_FORBIDDEN, _UNPROCESSABLE, _SERVER_ERROR = 403, 422, 500
_EXIT_CODES = frozenset(int(code) for code in EXIT_REASONS)

_ADMISSION = re.compile(
    r"UnexpectedAdmissionError|OutOf|Node(Affinity|Ports|Unschedulable)|Topology|TaintTol|SMTAlignment"
)
_REJECTED = "Pod was rejected"
"""How the kubelet begins its message about any pod that it does not admit (pkg/kubelet/kubelet.go)."""
_SHARED_GPUS = re.compile(r"maximum request size for shared resources is \d+")
"""What NVIDIA's device plugin answers to a pod that asks for several of GPUs that are time-sliced or under
MPS (`failRequestsGreaterThanOne`; k8s-device-plugin#321)."""
_IMAGE = re.compile(r"Image|Registry|SignatureValidation")
_MOUNT_EVENTS = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume"})
_START_EVENTS = frozenset({"FailedCreatePodSandBox", "FailedCreatePodContainer"})
# `terminated.reason` of a container whose process never ran.
_START_FAILURES = frozenset({"StartError", "ContainerCannotRun"})
_OUT_OF_SIGHT = "ContainerStatusUnknown"
"""What the kubelet says of a container that its runtime does not know any more, with an exit code of its own
(`convertToAPIContainerStatuses` in pkg/kubelet/kubelet_pods.go)."""
# Waiting reasons of a container on its normal way.
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
# Where an image cannot be mounted as a volume: containerd from 2.1 on names the fault, an earlier one tries
# to make a folder without a name, and a kubelet without the feature has no such volume.
_NOT_MOUNTED = re.compile(r'ImageVolumeMountFailed|failed to mkdir ""|cannot find volume')
_WEBHOOK = re.compile(r'failed calling webhook "([^"]+)"')
_INJECTED_HINT = (
    "whoever injects it must mend it, or leave training pods out: by a label or annotation, which "
    "trainer.podLabels and trainer.podAnnotations in the Helm values set"
)
# runc ("container init was OOM-killed (memory limit too low?)") and CRI-O ("… too low; should be at least").
_TOO_LITTLE_MEMORY = re.compile(r"memory limit\b.*\btoo low", re.IGNORECASE)
_TOO_LITTLE_HINT = (
    "no process fits into so little memory, and a number without a unit counts bytes: write such as 16Gi in "
)
_PREDECESSOR_SLOW = timedelta(seconds=60)
"""What sets up a network or fetches a secret is done long before."""
INSUFFICIENT = re.compile(r"Insufficient ([\w./-]*\w)")
"""Each resource that the scheduler misses somewhere, in its message; it names all that a node lacks."""


def failure(
    reason: Reason,
    message: str,
    *,
    node: str | None = None,
    attempt: int | None = None,
    hint: str | None = None,
    exit_code: int | None = None,
) -> Failure:
    """A failure with the reason's own hint unless a better one is given, the message cut to `MESSAGE_MAX`."""
    return Failure(
        reason=reason,
        message=message.strip()[:MESSAGE_MAX],
        hint=hint or HINTS.get(reason),
        exit_code=exit_code,
        node=node,
        attempt=attempt,
    )


def diagnose(job: JobView | None, pod: PodView | None, events: Iterable[EventView] = ()) -> Failure:
    """How an attempt's stage died, from its Job and pod, or the `events` of a pod that is gone."""
    if pod is None:
        return _diagnose_without_pod(job, events)
    told = _diagnose_pod(job, pod)
    if not pod.unhealthy or told.reason not in LIKE_A_GPU_FAULT:
        return told
    message = (
        f"{', '.join(pod.unhealthy)} was called unhealthy by the node's device plugin; the pod then ended so"
    )
    return _failure_of(pod, Reason.GPU_FAULT, f"{message}: {told.message}", exit_code=told.exit_code)


def _diagnose_pod(job: JobView | None, pod: PodView) -> Failure:
    result = parse_result(pod.terminated.message) if pod.terminated else None
    told = result is not None and result.reason not in {None, Reason.INTERRUPTED}
    rejected = pod.message.startswith(_REJECTED) and pod.reason not in POD_REASONS
    if rejected or _ADMISSION.match(pod.reason):
        shared = _SHARED_GPUS.search(pod.message)
        reason = Reason.GPUS_SHARED if shared else Reason.ADMISSION_REFUSED
        return _failure_of(pod, reason, f"{pod.reason}: {pod.message}")
    if pod.reason == "Evicted" and not told and (own := explain_eviction(pod.message)):
        return _failure_of(pod, own[0], pod.message, hint=own[1])
    if not told and (disruption := explain_disruption(pod)):
        reason, message, hint = disruption
        return _failure_of(pod, reason, message, hint=hint)
    if pod.terminated is not None:
        return _diagnose_exit(pod, pod.terminated, result)
    if pod.beside is not None and pod.phase == "Failed":
        return _failure_of(pod, Reason.CONTAINER_START_FAILED, pod.beside, hint=_INJECTED_HINT)
    if job is not None and job.failed and pod.gone_by is None:
        return _diagnose_without_pod(job)
    return _failure_of(pod, Reason.NODE_LOST, f"the pod does not end; node {pod.node} does not answer")


def diagnose_waiting(
    pod: PodView | None, events: Iterable[EventView] = (), stage: Stage = Stage.TRAIN, pods: int = 1
) -> Failure | None:
    """What keeps a stage's pod from starting, or one of several `pods`; None while all goes its way.

    `pod` is None when the Job controller could not create one. `events` are those of the pod or Job.
    The failure carries no attempt: this one has not failed, it waits.
    """
    found: tuple[Reason, str] | None
    if pod is None:
        return _refused_pod(events, stage, pods)
    if pod.finished or pod.started_at is not None:
        return None
    if pod.unscheduled is not None:
        found = _unscheduled_pod(pod.unscheduled)
    elif pod.beside is not None:
        return failure(Reason.CONTAINER_START_FAILED, pod.beside, hint=_INJECTED_HINT, node=pod.node)
    elif pod.waiting and pod.waiting not in _STARTING:
        found = _blocked_container(pod)
    else:
        found = _stuck_creation(events)
    return failure(*found, node=pod.node, hint=_start_hint(*found, stage)) if found else None


def diagnose_predecessor(pod: PodView | None, now: datetime) -> Failure | None:
    """That the trainer waits for an injected container that runs for long; None while none does."""
    if pod is None or pod.predecessor_since is None or pod.started_at is not None or pod.finished:
        return None
    if now < parse_time(pod.predecessor_since) + _PREDECESSOR_SLOW:
        return None
    message = (
        f"the container {pod.predecessor}, which somebody injected into the pod, runs since "
        f"{pod.predecessor_since} and does not let the trainer's start"
    )
    return failure(Reason.CONTAINER_START_FAILED, message, hint=_INJECTED_HINT, node=pod.node)


def diagnose_refusal(code: int, message: str) -> Failure | None:
    """Why the API server refused to create a Job (HTTP status `code`); None for a fault of its own."""
    if code >= _SERVER_ERROR and (webhook := _WEBHOOK.search(message)):
        told = f"no Job can be created, since the admission webhook {webhook[1]} does not answer: {message}"
        return failure(Reason.WEBHOOK_FAILED, told)
    if not 400 <= code < _SERVER_ERROR:
        return None
    if code == _FORBIDDEN:
        return _refused(message, Stage.TRAIN)
    return failure(Reason.INVALID_SPEC if code == _UNPROCESSABLE else Reason.INTERNAL_ERROR, message)


def _failure_of(pod: PodView, reason: Reason, message: str, **fields: Any) -> Failure:
    return failure(reason, message, node=pod.node, attempt=pod.attempt, **fields)


def _diagnose_without_pod(job: JobView | None, events: Iterable[EventView] = ()) -> Failure:
    attempt = job.attempt if job else None
    if job is not None and job.reason == "DeadlineExceeded":
        return failure(Reason.DEADLINE_EXCEEDED, job.message, attempt=attempt)
    if told := explain_gone(events):
        return failure(told[0], f"the pod is gone; an event tells why: {told[1]}", attempt=attempt)
    what = "the pod is gone" if job is not None else "the Job is gone"
    return failure(Reason.POD_DELETED, f"{what}, and nothing tells how it ended", attempt=attempt)


def _diagnose_exit(pod: PodView, end: Terminated, result: Result | None) -> Failure:
    """How the trainer's container ended, as the kernel, the trainer or else the exit code tells it."""
    code = end.exit_code
    if end.reason == "OOMKilled":
        message = "the pod used more memory than spec.template.resources.memory allows"
        return _failure_of(pod, Reason.OOM_KILLED, message, exit_code=code)
    if result is not None and result.reason is not None:
        told = {"exit_code": result.exit_code, "hint": result.hint}
        return _failure_of(pod, result.reason, result.message or f"exit code {code}", **told)
    if end.reason in _START_FAILURES:
        reason, message = Reason.CONTAINER_START_FAILED, end.message or end.reason
        return _failure_of(pod, reason, message, exit_code=code, hint=_start_hint(reason, message, pod.stage))
    if code in _EXIT_CODES:
        message = f"the trainer ended with exit code {code} and left no message"
        return _failure_of(pod, EXIT_REASONS[ExitCode(code)], message, exit_code=code)
    if end.reason == _OUT_OF_SIGHT and not _was_deleted(pod, end):
        message = (
            f"node {pod.node} has lost sight of the trainer's container, as after its restart: {end.message}"
        )
        return _failure_of(pod, Reason.NODE_LOST, message, exit_code=code)
    if code == _SIGKILL and _was_deleted(pod, end):
        message = "the pod was deleted, and killed (SIGKILL) before the trainer had ended by itself"
        return _failure_of(pod, Reason.POD_DELETED, message, exit_code=code)
    if code == _SIGKILL:
        message = "the trainer was killed (SIGKILL) before it could tell why"
        return _failure_of(pod, Reason.WORKER_KILLED, message, exit_code=code)
    message = f"the trainer ended with the unknown exit code {code} {end.message}"
    return _failure_of(pod, Reason.INTERNAL_ERROR, message, exit_code=code)


def _start_hint(reason: Reason, message: str, stage: Stage) -> str | None:
    """What to do about a container that does not start; None where the reason's own hint says it."""
    if reason != Reason.CONTAINER_START_FAILED or not _TOO_LITTLE_MEMORY.search(message):
        return None
    if stage == Stage.PREPARE:
        return f"{_TOO_LITTLE_HINT}trainer.prepare.memory of the Helm values"
    return f"{_TOO_LITTLE_HINT}spec.template.resources.memory, and raise spec.run"


def _was_deleted(pod: PodView, end: Terminated) -> bool:
    """Whether it ended because somebody deleted it, and was not deleted after it had ended."""
    return pod.deleted_at is not None and (
        not end.finished_at or parse_time(end.finished_at) >= pod.deleted_at
    )


def _unscheduled_pod(message: str) -> tuple[Reason, str]:
    if "persistentvolumeclaim" in message.lower():
        return Reason.VOLUME_FAILED, message
    missing = ", ".join(dict.fromkeys(INSUFFICIENT.findall(message)))
    return Reason.UNSCHEDULABLE, f"no node has enough {missing}: {message}" if missing else message


def _blocked_container(pod: PodView) -> tuple[Reason, str]:
    message = f"{pod.waiting}: {pod.waiting_message}"
    if pod.data_image and _NOT_MOUNTED.search(message):
        return Reason.DATA_IMAGE_NOT_MOUNTED, f"data.image {pod.data_image}: {message}"
    if _IMAGE.search(pod.waiting or ""):
        # The kubelet pulls image volumes first, and reports them as if they were the container's image.
        if pod.data_image and pod.image not in _named(message, pod.image, pod.data_image):
            return Reason.DATA_IMAGE_FAILED, f"data.image {pod.data_image}: {message}"
        return Reason.IMAGE_PULL_FAILED, f"image {pod.image}: {message}"
    if "subPath" in message or "volume" in message.lower():
        return Reason.VOLUME_FAILED, message
    return Reason.CONTAINER_START_FAILED, message


def _named(message: str, *images: str) -> set[str]:
    """Those of the images that a message names, though one's name may be a part of another's."""
    longest_first = "|".join(re.escape(image) for image in sorted(images, key=len, reverse=True))
    return set(re.findall(rf"({longest_first})(?![\w@/-]|[.:]\w)", message))


def _stuck_creation(events: Iterable[EventView]) -> tuple[Reason, str] | None:
    for event in events:
        if event.reason in _MOUNT_EVENTS:
            return Reason.VOLUME_FAILED, event.message
        if event.reason in _START_EVENTS:
            return Reason.CONTAINER_START_FAILED, event.message
    return None


def _refused_pod(events: Iterable[EventView], stage: Stage, pods: int) -> Failure | None:
    """By the newest event that tells of it."""
    for event in events:
        if event.reason == "FailedCreate":
            return _refused(event.message, stage, pods)
    return None


def _refused(message: str, stage: Stage, pods: int = 1) -> Failure:
    refusal = explain_refusal(message, stage, pods)
    return failure(refusal.reason, message, hint=refusal.hint)
