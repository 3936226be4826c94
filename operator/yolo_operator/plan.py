"""What has to be created and deleted: a pure function of the verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from yolo_crds.conditions import Reason
from yolo_crds.meta import Stage
from yolo_crds.training import YoloTraining

from .ask import view_ask
from .avoidance import still_avoided
from .jobs import Manifest, build_prepare_job, build_train_job
from .kept import kept_until
from .nodes import Node, as_when_well, find_obstacle
from .peers import build_peer_objects
from .remedies import build_overrides
from .settings import Settings
from .sharing import smallest_share
from .snapshot import JobView, Snapshot, parse_time
from .verdict import State, Verdict

NO_POD_AFTER = timedelta(seconds=10)
"""A Job without a pod after so long is looked at through its events: usually it has one within a second."""
STUCK_AFTER = timedelta(seconds=30)
"""The same for a pod that has a node and does not start."""
LOOK_AGAIN = timedelta(seconds=30)


@dataclass(frozen=True)
class CreateJob:
    """Create a Job under its deterministic name."""

    manifest: Manifest
    beside: tuple[Manifest, ...] = ()
    """What its pods need and what must be there before them; it may be there already."""


@dataclass(frozen=True)
class DeleteJob:
    """Delete the Job with this uid, and its pods in the background."""

    name: str
    uid: str


@dataclass(frozen=True)
class DeleteTraining:
    """Delete the training whose time to live after its end is over, if nobody has changed it since."""

    uid: str
    version: str


Action = CreateJob | DeleteJob | DeleteTraining


@dataclass(frozen=True)
class Plan:
    """What to do now, and when to look again though nothing may have happened."""

    actions: tuple[Action, ...] = ()
    wake: datetime | None = None


def plan(view: Snapshot, verdict: Verdict, settings: Settings) -> Plan:
    """The actions that bring the objects where the verdict wants them.

    A terminal verdict that is not stored yet deletes nothing: its evidence is in the pods.
    """
    training = verdict.training
    if training is None or verdict.state == State.REFUSED:
        return Plan()
    if verdict.state == State.SETTLED:
        return _plan_settled(view, training, verdict, settings)
    actions: list[Action] = [
        DeleteJob(job.name, job.uid) for job in view.jobs if _superfluous(job, view, verdict)
    ]
    wakes = list(verdict.wakes)
    if verdict.state == State.WAITING and _clear(view, verdict):
        beside = build_peer_objects(training, settings) if verdict.stage == Stage.TRAIN else ()
        actions.append(CreateJob(_build(training, verdict, settings, view), beside))
    if stuck_at := wants_events(verdict):
        wakes.append(max(stuck_at, view.now + LOOK_AGAIN) if stuck_at <= view.now else stuck_at)
    return Plan(tuple(actions), min((at for at in wakes if at > view.now), default=None))


def _plan_settled(view: Snapshot, training: YoloTraining, verdict: Verdict, settings: Settings) -> Plan:
    """The last Job goes when nobody will look into its pod's log any more, all others go at once."""
    actions: list[Action] = []
    wakes = list(verdict.wakes)
    for job in view.jobs:
        if job.deleting or job.owner_uid != training.uid:
            continue
        until = kept_until(job, view, verdict.before, settings.keep_finished_job_seconds)
        if until is not None and view.now < until:
            wakes.append(until)
        else:
            actions.append(DeleteJob(job.name, job.uid))
    if any(view.now >= at for at in verdict.wakes):
        actions.append(DeleteTraining(training.uid, str(view.training["metadata"]["resourceVersion"])))
    return Plan(tuple(actions), min((at for at in wakes if at > view.now), default=None))


def wants_events(verdict: Verdict) -> datetime | None:
    """From when on the events of the newest Job or pod are needed to say what it waits for."""
    job, pod = verdict.job, verdict.pod
    if verdict.state != State.UNDER_WAY or job is None or job.finished or job.suspended:
        return None
    if pod is None:
        return parse_time(job.started_at or job.created) + NO_POD_AFTER
    creating = pod.started_at is None and not pod.finished and pod.node is not None
    return parse_time(pod.created) + STUCK_AFTER if creating else None


def wants_last_events(verdict: Verdict) -> str | None:
    """Name of the pod that is gone without a word: an event may tell who wanted its place."""
    job, pod_name = verdict.job, verdict.before.pod_name
    unsaid = verdict.failure is not None and verdict.failure.reason == Reason.POD_DELETED
    if not unsaid or job is None or verdict.pod is not None or pod_name is None:
        return None
    return pod_name if pod_name.startswith(f"{job.name}-") else None


def wants_share(verdict: Verdict) -> bool:
    """Whether the next Job trains with a batch that is a part of its GPU's memory, which others may share."""
    due = verdict.state == State.WAITING and verdict.stage == Stage.TRAIN and verdict.training is not None
    if not due or verdict.training is None:
        return False
    template = verdict.training.spec.template
    return template.batch < 1 and template.resources.all_gpus == 1


def _superfluous(job: JobView, view: Snapshot, verdict: Verdict) -> bool:
    """Whether a Job is neither needed nor evidence any more."""
    if job.deleting or verdict.training is None or job.owner_uid != verdict.training.uid:
        return False
    if job.run != verdict.run:
        return True
    pods = [pod for pod in view.pods if pod.job_uid == job.uid]
    ended, lingers = [pod.finished for pod in pods], any(pod.lingers for pod in pods)
    if verdict.state in {State.LEAVING, State.AGAIN}:
        # Whoever stops it does not wait for the other pods of one that has ended.
        left = job.finished or (ended and all(ended) and not lingers)
        return verdict.state == State.LEAVING and not left
    over = job.finished or any(ended)
    if job.attempt == verdict.attempt:
        return lingers and _told(job, verdict)
    if lingers:
        return True
    # The failed Job before the newest attempt tells when the back-off began, until that attempt has a Job.
    return not over or verdict.job is not None or verdict.state == State.SUSPENDED


def _told(job: JobView, verdict: Verdict) -> bool:
    """Whether all that this attempt's earlier Job has told is stored, with the name of the next one."""
    newest = verdict.job
    return newest is not None and newest.uid != job.uid and verdict.before.job_name == newest.name


def _clear(view: Snapshot, verdict: Verdict) -> bool:
    """Whether nothing may still write into the run folder, and the back-off is over."""
    due = all(view.now >= at for at in verdict.wakes)
    return due and all(pod.finished or pod.lost(view.now) for pod in view.pods)


def _build(training: YoloTraining, verdict: Verdict, settings: Settings, view: Snapshot) -> Manifest:
    if verdict.stage == Stage.PREPARE:
        return build_prepare_job(training, verdict.attempt, settings)
    avoided = still_avoided(verdict.before.avoided_nodes, view.now)
    build = partial(
        build_train_job,
        training,
        verdict.attempt,
        settings,
        avoid_nodes=[node.name for node in avoided],
        overrides=build_overrides(verdict.before.remedies),
        trained_seconds=verdict.before.active_seconds or 0,
    )
    job = build()
    if not wants_share(verdict):
        return job
    share = _share(view.surroundings.nodes, job, training.spec.template.resources.gpu_resource)
    return job if share is None else build(gpu_share=share)


def _share(nodes: Sequence[Node], job: Manifest, resource: str) -> float | None:
    """The smallest share of a GPU that the Job's pod may come to have, on any of the nodes open to it, now or
    by the time that it finds one.
    """
    ask, whole = view_ask(job["spec"]["template"]["spec"]), map(as_when_well, nodes)
    return smallest_share((node.labels for node in whole if find_obstacle(node, ask) is None), resource)
