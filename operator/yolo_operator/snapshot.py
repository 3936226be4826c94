"""Slim, immutable projections of the objects that a decision needs; bodies are not kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from yolo_crds import meta
from yolo_crds.meta import Stage
from yolo_crds.status import Failure
from yolo_crds.trainer import ProgressLine

from .ask import Ask, view_ask
from .containers import (
    data_image_of,
    find_obstruction,
    find_predecessor,
    find_trainer,
    others_run,
    phase_of,
    unhealthy_devices,
    unscheduled_message,
)
from .nodes import Surroundings
from .workload import Admission

Wire = Mapping[str, Any]
"""An object as the API server sends it."""

LOST_AFTER = timedelta(seconds=60)
"""A pod that is still there so long after it should have been gone sits on a node that does not answer."""


_INDEX_LABEL = "batch.kubernetes.io/job-completion-index"


def parse_time(text: str) -> datetime:
    """An RFC 3339 time of the API server. Raises ValueError for anything else."""
    return datetime.fromisoformat(text)


def print_time(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds, as the API server writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class JobView:
    """What decisions need of a Job."""

    name: str
    uid: str
    owner_uid: str | None
    run: int
    attempt: int
    stage: Stage
    created: str
    resource_version: str = field(default="", compare=False)
    deleting: bool = False
    complete: bool = False
    failed: bool = False
    reason: str = ""
    """Of the Failed condition."""
    message: str = ""
    started_at: str | None = None
    """Since when its controller makes pods; anew each time that it is resumed, None while it is suspended."""
    finished_at: str | None = None
    queue: str | None = None
    """The LocalQueue that it is labelled with."""
    suspended: bool = False
    """`spec.suspend`. The operator never sets it: its own suspending deletes the Job."""
    suspended_at: str | None = None
    suspended_by: str | None = None
    """The client that set `spec.suspend`, by the API server's name for it; this operator's own where it was
    a webhook, while the Job was created."""
    interruptible: bool = False
    """Others start and stop it: it is labelled for a queue, or is or was suspended."""
    ignores_interruptions: bool = False
    """It has the pod failure policy of a queued Job."""
    avoids: tuple[str, ...] = ()
    """Nodes that its pods keep away from."""
    nodes: int = 1
    """How many pods train together."""

    @property
    def finished(self) -> bool:
        return self.complete or self.failed


@dataclass(frozen=True)
class Terminated:
    """How the trainer's container ended."""

    exit_code: int
    reason: str = ""
    message: str = ""
    started_at: str | None = None
    finished_at: str | None = None


@dataclass(frozen=True)
class PodView:
    """What decisions need of a pod."""

    name: str
    uid: str
    job_uid: str | None
    run: int
    attempt: int
    stage: Stage
    created: str
    index: int = 0
    """Its place among the pods of its Job. Pod 0 speaks for all: it alone tells progress and the result."""
    resource_version: str = field(default="", compare=False)
    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    node: str | None = None
    image: str = ""
    data_image: str = ""
    """The image volume with the data set, if the pod has one."""
    gone_by: str | None = None
    """The deletionTimestamp: when a deleted pod's grace period ends."""
    deleted_at: datetime | None = None
    """When somebody deleted it: the grace period before that."""
    scheduled_at: str | None = None
    """Since when it has a node."""
    unscheduled: str | None = None
    """The scheduler's message while no node was found."""
    disruption: str | None = None
    """Reason of the DisruptionTarget condition."""
    disruption_message: str = ""
    waiting: str | None = None
    """Why the trainer's container does not run yet."""
    waiting_message: str = ""
    started_at: str | None = None
    """Since when the trainer's container runs."""
    terminated: Terminated | None = None
    lingers: bool = False
    """Only containers that somebody injected still run: the trainer's has ended, and its end is the pod's."""
    beside: str | None = None
    """What keeps a container that somebody injected from letting the trainer's start."""
    predecessor: str | None = None
    """Name of a container that somebody injected, which runs before the trainer's may start."""
    predecessor_since: str | None = None
    unhealthy: tuple[str, ...] = ()
    """Its devices that the kubelet calls unhealthy, by their ids; it tells so of a pod that runs."""
    ask: Ask = field(default_factory=Ask)
    """What it asks of its node."""

    @property
    def finished(self) -> bool:
        return self.phase in {"Succeeded", "Failed"}

    @property
    def waits_for_node(self) -> bool:
        """Whether the scheduler has looked for a node and found none."""
        return self.unscheduled is not None and self.node is None and not self.finished

    @property
    def running(self) -> bool:
        return self.started_at is not None and not self.finished

    @property
    def finished_at(self) -> str | None:
        return self.terminated.finished_at if self.terminated else None

    def lost_at(self) -> datetime | None:
        """When this pod counts as lost with its node, unless it ends before; None if nobody deleted it."""
        if self.gone_by is None or self.finished:
            return None
        return parse_time(self.gone_by) + LOST_AFTER

    def lost(self, now: datetime) -> bool:
        lost_at = self.lost_at()
        return lost_at is not None and now >= lost_at


@dataclass(frozen=True)
class EventView:
    """What decisions need of a Kubernetes Event."""

    reason: str
    message: str


@dataclass(frozen=True)
class Snapshot:
    """Everything that one decision is made from, at one moment."""

    training: Wire
    """The YoloTraining without managed fields."""
    jobs: tuple[JobView, ...]
    pods: tuple[PodView, ...]
    now: datetime
    progress: Mapping[str, ProgressLine] = field(default_factory=dict)
    """Newest progress line by the pod's uid."""
    events: tuple[EventView, ...] = ()
    """Events of the Job or pod that does not start; read only for one that is stuck."""
    gone_events: tuple[EventView, ...] = ()
    """Events of the pod that the status names, read only where it is gone and nothing tells how it ended."""
    admissions: Mapping[str, Admission] = field(default_factory=dict)
    """What was last read of Kueue about suspended Jobs, by the Job's uid."""
    surroundings: Surroundings = field(default_factory=Surroundings)
    """What was last read of the nodes; holders and others that wait only for a training without a node."""
    refusal: Failure | None = None
    """Why the API server refused the Job that should have been created."""


def _conditions(body: Wire) -> dict[str, Wire]:
    return {c["type"]: c for c in body.get("status", {}).get("conditions") or () if c["status"] == "True"}


def _controller(body: Wire) -> str | None:
    owners = body["metadata"].get("ownerReferences") or ()
    return next((str(o["uid"]) for o in owners if o.get("controller")), None)


def training_name(body: Wire) -> str | None:
    """Name of the training that a Job or pod belongs to."""
    name = body["metadata"].get("labels", {}).get(meta.LABEL_TRAINING)
    return None if name is None else str(name)


def view_training(body: Wire) -> dict[str, Any]:
    """The YoloTraining without what only takes memory."""
    metadata = {k: v for k, v in body["metadata"].items() if k != "managedFields"}
    return {"metadata": metadata, "spec": body.get("spec", {}), "status": body.get("status") or {}}


def view_job(body: Wire) -> JobView | None:
    """The Job's projection; None when its labels are not ours."""
    try:
        run, attempt, stage = meta.parse_labels(body["metadata"].get("labels", {}))
    except (KeyError, ValueError):
        return None
    metadata, conditions = body["metadata"], _conditions(body)
    failed = conditions.get("Failed", {})
    end = conditions.get("Complete") or failed
    spec, status = body.get("spec", {}), body.get("status", {})
    queue = metadata["labels"].get(meta.LABEL_QUEUE)
    ever_suspended = any(c["type"] == "Suspended" for c in status.get("conditions") or ())
    return JobView(
        name=metadata["name"],
        uid=metadata["uid"],
        owner_uid=_controller(body),
        run=run,
        attempt=attempt,
        stage=stage,
        created=metadata["creationTimestamp"],
        resource_version=metadata["resourceVersion"],
        deleting="deletionTimestamp" in metadata,
        complete="Complete" in conditions,
        failed=bool(failed),
        reason=failed.get("reason", ""),
        message=failed.get("message", ""),
        started_at=status.get("startTime"),
        finished_at=end.get("lastTransitionTime"),
        queue=queue,
        suspended=bool(spec.get("suspend")),
        suspended_at=conditions.get("Suspended", {}).get("lastTransitionTime"),
        suspended_by=_suspender(metadata) if spec.get("suspend") else None,
        interruptible=queue is not None or bool(spec.get("suspend")) or ever_suspended,
        ignores_interruptions="podFailurePolicy" in spec,
        avoids=tuple(_avoided(spec.get("template", {}).get("spec", {}))),
        nodes=spec.get("completions") or 1,
    )


def _suspender(metadata: Wire) -> str | None:
    """By the managed fields, which tell for each field the client that set it last."""
    told = [
        (entry.get("time", ""), str(entry.get("manager", "")))
        for entry in metadata.get("managedFields") or ()
        if "f:suspend" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return max(told)[1] or None if told else None


def _avoided(pod: Wire) -> Iterable[str]:
    """Names of the nodes that a pod of ours is kept from, as `jobs` writes them."""
    affinity = (pod.get("affinity") or {}).get("nodeAffinity") or {}
    wanted = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in wanted.get("nodeSelectorTerms") or ():
        for one in term.get("matchFields") or ():
            if one["operator"] == "NotIn":
                yield from one["values"]


def view_pod(body: Wire) -> PodView | None:
    """The pod's projection; None when its labels are not ours."""
    try:
        run, attempt, stage = meta.parse_labels(body["metadata"].get("labels", {}))
    except (KeyError, ValueError):
        return None
    metadata, status, conditions = body["metadata"], body.get("status", {}), _conditions(body)
    disruption = conditions.get("DisruptionTarget", {})
    state = find_trainer(status.get("containerStatuses")).get("state", {})
    waiting, terminated = state.get("waiting", {}), state.get("terminated")
    lingers = terminated is not None and "deletionTimestamp" not in metadata and others_run(status)
    ask = view_ask(body.get("spec", {}))
    predecessor = find_predecessor(body.get("spec", {}), status)
    return PodView(
        name=metadata["name"],
        uid=metadata["uid"],
        job_uid=_controller(body),
        run=run,
        attempt=attempt,
        stage=stage,
        created=metadata["creationTimestamp"],
        index=_index(metadata["labels"]),
        resource_version=metadata["resourceVersion"],
        phase=phase_of(status, terminated, lingers=lingers),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        node=body.get("spec", {}).get("nodeName"),
        image=find_trainer(body.get("spec", {}).get("containers")).get("image", ""),
        data_image=data_image_of(body.get("spec", {}).get("volumes")),
        gone_by=metadata.get("deletionTimestamp"),
        deleted_at=_deleted_at(metadata),
        scheduled_at=conditions.get("PodScheduled", {}).get("lastTransitionTime"),
        unscheduled=unscheduled_message(status),
        disruption=disruption.get("reason"),
        disruption_message=disruption.get("message", ""),
        waiting=waiting.get("reason"),
        waiting_message=waiting.get("message", ""),
        started_at=(state.get("running") or terminated or {}).get("startedAt"),
        terminated=terminated and _view_terminated(terminated),
        lingers=lingers,
        beside=find_obstruction(status),
        predecessor=predecessor.get("name"),
        predecessor_since=predecessor.get("state", {}).get("running", {}).get("startedAt"),
        unhealthy=tuple(unhealthy_devices(find_trainer(status.get("containerStatuses")), ask.device)),
        ask=ask,
    )


def _deleted_at(metadata: Wire) -> datetime | None:
    if (gone_by := metadata.get("deletionTimestamp")) is None:
        return None
    return parse_time(gone_by) - timedelta(seconds=int(metadata.get("deletionGracePeriodSeconds") or 0))


def _index(labels: Wire) -> int:
    """Of a pod of an Indexed Job; 0 for the pod of any other."""
    text = str(labels.get(_INDEX_LABEL, ""))
    return int(text) if text.isdecimal() else 0


def _view_terminated(state: Wire) -> Terminated:
    return Terminated(
        exit_code=int(state["exitCode"]),
        reason=state.get("reason", ""),
        message=state.get("message", ""),
        started_at=state.get("startedAt"),
        finished_at=state.get("finishedAt"),
    )
