"""What the watches have shown so far: slim projections by training."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from yolo_crds.meta import Stage
from yolo_crds.trainer import ProgressLine

from .ask import Amounts
from .nodes import ITSELF, Holder, Node, Rival, Surroundings, turn_of
from .snapshot import JobView, PodView, Snapshot, Wire, parse_time
from .workload import Admission

Key = tuple[str, str]
"""Namespace and name of a training."""
_View = TypeVar("_View", JobView, PodView)
_ETA_MOST = 10**10
"""Seconds, of 300 years: whoever prints a line in a pod may claim any number, and few are dates."""


class Store:
    """The cache that decisions are triggered from; those that weigh are made from a live read."""

    def __init__(self) -> None:
        self._trainings: dict[Key, dict[str, Any]] = {}
        self._jobs: dict[Key, dict[str, JobView]] = {}
        self._pods: dict[Key, dict[str, PodView]] = {}
        self._key_of: dict[str, Key] = {}
        """Whose Job or pod it is, by uid."""
        self._progress: dict[str, ProgressLine] = {}
        self._admissions: dict[str, Admission] = {}
        self._unhealthy: dict[str, tuple[str, ...]] = {}
        self._nodes: tuple[Node, ...] = ()
        self._others: Mapping[str, Amounts] | None = None

    def list_keys(self) -> list[Key]:
        return list(self._trainings)

    def trainings(self) -> list[dict[str, Any]]:
        return list(self._trainings.values())

    def pods(self) -> Iterator[tuple[Key, PodView]]:
        """All pods with their training's key."""
        for key, pods in list(self._pods.items()):
            for pod in list(pods.values()):
                yield key, pod

    def kept_jobs(self, namespace: str) -> Iterator[JobView]:
        """The last Jobs of trainings that have ended, which are kept for their logs."""
        for key, jobs in self._jobs.items():
            status = self._trainings[key]["status"] if key in self._trainings else {}
            for job in jobs.values():
                last = job.finished and not job.deleting and job.name == status.get("jobName")
                if last and key[0] == namespace and "completionTime" in status:
                    yield job

    def put_training(self, training: dict[str, Any]) -> bool:
        """Keep a training; whether this version of it is news (our own write is told a second time)."""
        metadata = training["metadata"]
        key = (metadata["namespace"], metadata["name"])
        known = self._trainings.get(key)
        if known is not None and _version(known["metadata"]) > _version(metadata):
            return False
        self._trainings[key] = training
        return known is None or known["metadata"]["resourceVersion"] != metadata["resourceVersion"]

    def put_job(self, key: Key, job: JobView) -> bool:
        """Keep a Job; whether anything is new in it that decisions need."""
        return self._put(self._jobs, key, job)

    def put_pod(self, key: Key, pod: PodView) -> bool:
        """The same for a pod."""
        if pod.unhealthy:
            self._unhealthy[pod.uid] = pod.unhealthy
        elif not pod.finished:
            self._unhealthy.pop(pod.uid, None)
        return self._put(self._pods, key, pod)

    def put_progress(self, uid: str, line: ProgressLine) -> bool:
        """Keep the newest progress line of the pod with this uid; False when it tells nothing new."""
        known = self._progress.get(uid)
        self._progress[uid] = line
        same = {"seq": 0, "time": 0.0}
        return known is None or known.model_copy(update=same) != line.model_copy(update=same)

    def put_admission(self, uid: str, admission: Admission | None) -> None:
        """Keep what Kueue says of the suspended Job with this uid; None forgets it."""
        if admission is None:
            self._admissions.pop(uid, None)
        else:
            self._admissions[uid] = admission

    def put_nodes(self, nodes: tuple[Node, ...]) -> None:
        """Keep all nodes of the cluster; none where they may not be read."""
        self._nodes = nodes

    def put_others(self, others: Mapping[str, Amounts] | None) -> None:
        """Keep what pods of others take of each node; None where they may not be read."""
        self._others = others

    def drop_training(self, key: Key, uid: str) -> None:
        known = self._trainings.get(key)
        if known is not None and known["metadata"]["uid"] == uid:
            del self._trainings[key]

    def drop_child(self, uid: str) -> Key | None:
        """Forget the Job or pod with this uid; whose it was, if it was known."""
        key = self._key_of.pop(uid, None)
        if key is None:
            return None
        kinds: tuple[dict[Key, dict[str, Any]], ...] = (self._jobs, self._pods)
        for kind in kinds:
            children = kind.get(key, {})
            children.pop(uid, None)
            if not children:
                kind.pop(key, None)
        self._progress.pop(uid, None)
        self._admissions.pop(uid, None)
        self._unhealthy.pop(uid, None)
        return key

    def children(self, stored: type[JobView] | type[PodView], namespace: str | None) -> dict[str, int]:
        """Version by uid of all Jobs or all pods of a namespace; None: of all."""
        kind: Mapping[Key, Mapping[str, JobView | PodView]] = self._jobs if stored is JobView else self._pods
        return {
            uid: parse_version(child.resource_version)
            for key, children in kind.items()
            if namespace in {None, key[0]}
            for uid, child in children.items()
        }

    def snapshot(self, key: Key, now: datetime) -> Snapshot | None:
        """What is known of a training; None when it is not."""
        training = self._trainings.get(key)
        if training is None:
            return None
        jobs, pods = self._jobs.get(key, {}), self._pods.get(key, {})
        return self.with_news(Snapshot(training, tuple(jobs.values()), tuple(pods.values()), now))

    def with_news(self, view: Snapshot) -> Snapshot:
        """The snapshot with what the objects do not show: the pods' newest progress, which of their devices
        were unhealthy at last (the kubelet may forget that with their end), and Kueue's words on the Jobs.
        """
        lines = {pod.uid: self._progress[pod.uid] for pod in view.pods if pod.uid in self._progress}
        told = {job.uid: self._admissions[job.uid] for job in view.jobs if job.uid in self._admissions}
        sick = self._unhealthy
        pods = tuple(replace(p, unhealthy=sick[p.uid]) if p.uid in sick else p for p in view.pods)
        around = self._surroundings(view)
        return replace(view, pods=pods, progress=lines, admissions=told, surroundings=around)

    def _surroundings(self, view: Snapshot) -> Surroundings:
        around = Surroundings(self._nodes, self._others)
        if not any(pod.waits_for_node for pod in view.pods):
            return around
        metadata = view.training["metadata"]
        own = (metadata["namespace"], metadata["name"])
        # Of several pods of a Job the first one alone tells progress.
        told = {pod.job_uid: self._progress[pod.uid] for _, pod in self.pods() if pod.uid in self._progress}
        holders = [
            self._holder(key, pod, own, told.get(pod.job_uid))
            for key, pod in self.pods()
            if pod.node and not pod.finished
        ]
        waiting: dict[Key, list[PodView]] = {}
        for key, pod in self.pods():
            if key != own and pod.waits_for_node:
                waiting.setdefault(key, []).append(pod)
        rivals = [
            Rival(turn_of((pod.created, pod.uid) for pod in pods), pods[0].ask, len(pods))
            for pods in waiting.values()
        ]
        return replace(around, holders=tuple(holders), rivals=tuple(rivals))

    def _holder(self, key: Key, pod: PodView, own: Key, line: ProgressLine | None) -> Holder:
        ends_at = None
        if line is not None and line.eta_seconds is not None and pod.stage == Stage.TRAIN:
            left = min(max(line.eta_seconds, 0), _ETA_MOST)
            ends_at = datetime.fromtimestamp(line.time + left, UTC)
        if pod.gone_by is not None:
            ends_at = parse_time(pod.gone_by)
        name = f"a training in namespace {key[0]}"
        if key == own:
            name = ITSELF
        elif key[0] == own[0]:
            spec = self._trainings.get(key, {}).get("spec", {})
            name = str(spec.get("modelName") or key[1])
        return Holder(name, pod.node or "", pod.ask.requests, ends_at, leaving=pod.gone_by is not None)

    def versions(self) -> dict[str, tuple[Key, int]]:
        """Key and resourceVersion of all trainings, by uid."""
        return {t["metadata"]["uid"]: (key, _version(t["metadata"])) for key, t in self._trainings.items()}

    def _put(self, kind: dict[Key, dict[str, _View]], key: Key, child: _View) -> bool:
        if self._key_of.get(child.uid, key) != key:
            self.drop_child(child.uid)
        before = kind.get(key, {}).get(child.uid)
        newer = before is None or parse_version(before.resource_version) <= parse_version(
            child.resource_version
        )
        if not newer:
            return False
        self._key_of[child.uid] = key
        kind.setdefault(key, {})[child.uid] = child
        return before != child


def parse_version(text: str) -> int:
    """A resourceVersion as a number, so that two of one kind can be compared (KEP-5504, Kubernetes 1.35)."""
    return int(text) if text.isdigit() else 0


def _version(metadata: Wire) -> int:
    return parse_version(metadata["resourceVersion"])
