"""Gather, decide, store, act, report: once for each key that the queue hands out."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from yolo_crds.conditions import ConditionType, Reason
from yolo_crds.status import Status
from yolo_kube.errors import ConflictError, KubeError

from .diagnosis import diagnose_refusal
from .events import build_event, find_change
from .kept import in_the_way
from .kube import Kube, NamesakeError
from .metrics import Metrics
from .node_reader import NodeReader
from .patch import status_patch
from .plan import Action, CreateJob, DeleteJob, Plan, plan, wants_events, wants_last_events, wants_share
from .progress import ProgressPoller
from .queue_reader import QueueReader
from .settings import Settings
from .snapshot import Snapshot, view_job, view_pod, view_training
from .status import describe, observe
from .store import Key, Store
from .verdict import State, Verdict, condition_reason, judge, parse_status

logger = logging.getLogger(__name__)

CONFLICTS_MOST = 5
REFUSED_AGAIN_SECONDS = 30.0
"""How long to wait after the API server refused a Job."""
WEBHOOK_AGAIN_SECONDS = 5.0
"""The same where an admission webhook does not answer; the tries before that took 8 s, with back-off."""
NAMESAKE_AGAIN_SECONDS = 1.0
"""The same while a Job of a deleted training of the same name is being collected, which takes a second."""
ROOM_AGAIN_SECONDS = 2.0
"""The same where a quota has just got room: it counts anew within a second or two."""


@dataclass(frozen=True)
class Decision:
    """All that follows from one snapshot."""

    verdict: Verdict
    status: Status
    plan: Plan

    def weighs(self, view: Snapshot) -> bool:
        """Whether acting on a stale snapshot could do harm."""
        return (
            bool(self.plan.actions)
            or self.turns(view)
            or self.verdict.taken_back_seconds > 0
            or self._drops_a_name(parse_status(view.training))
            or (self.verdict.terminal and self.verdict.state not in {State.SETTLED, State.REFUSED})
        )

    def _drops_a_name(self, stored: Status) -> bool:
        """Whether a Job or pod counts as gone; after a restart it may be that no watch has shown it yet."""
        job_gone = stored.job_name is not None and self.status.job_name is None
        return job_gone or (stored.pod_name is not None and self.status.pod_name is None)

    def turns(self, view: Snapshot) -> bool:
        """Whether the status has to be stored before anything else: it counts, or it ends something."""
        stored = parse_status(view.training)
        if condition_reason(self.status, ConditionType.FINISHED) and self.verdict.state != State.SETTLED:
            return True
        if self.verdict.state == State.AGAIN:
            return True
        now = (self.status.run, self.status.attempt, self.status.restarts)
        return stored.run is not None and now != (stored.run, stored.attempt, stored.restarts)


def decide(view: Snapshot, settings: Settings) -> Decision:
    """What the snapshot means, pure."""
    verdict = judge(view, settings)
    return Decision(verdict, observe(view, verdict), plan(view, verdict, settings))


class Reconciler:
    """Brings one training's Jobs and status to where they should be."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        progress: ProgressPoller,
        settings: Settings,
        metrics: Metrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        tell: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> None:
        """`tell` takes the Kubernetes Events that are to be written."""
        self._kube = kube
        self._store = store
        self._progress = progress
        self._queues = QueueReader(kube, store)
        self._nodes = NodeReader(kube, store, settings.namespaces)
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._tell = tell

    async def reconcile(self, key: Key) -> float | None:
        """Do what is due; the number of seconds after which to look again, if the clock alone matters."""
        with self._metrics.reconcile_seconds.time(), self._metrics.reconcile_errors.count_exceptions():
            view = self._store.snapshot(key, self._clock())
            for _ in range(CONFLICTS_MOST):
                if view is None or "deletionTimestamp" in view.training["metadata"]:
                    return None
                try:
                    return await self._run(key, view)
                except NamesakeError as leaving:
                    logger.info("Job not created yet", extra={"namespace": key[0], "why": leaving.message})
                    return NAMESAKE_AGAIN_SECONDS
                except ConflictError:
                    view = await self._live(key)
            raise ConflictError(409, "the object changes faster than its status can be stored")

    async def _run(self, key: Key, view: Snapshot) -> float | None:
        decision = decide(view, self._settings)
        if decision.weighs(view):
            fresh = await self._live(key)
            if fresh is None:
                return None
            view = await self._with_last_words(key, fresh)
            decision = decide(view, self._settings)
        if wants_share(decision.verdict):
            await self._nodes.read_nodes()
            view = self._store.with_news(view)
            decision = decide(view, self._settings)
        stuck_at = wants_events(decision.verdict)
        if stuck_at is not None and stuck_at <= view.now:
            view = await self._with_events(key, view, decision.verdict)
            decision = decide(view, self._settings)
        if decision.turns(view):
            view = await self._store_status(key, view, decision)
            decision = decide(view, self._settings)
        for action in decision.plan.actions:
            view = await self._act(key, view, action)
        if decision.plan.actions:
            decision = decide(view, self._settings)
        view, read_again = await self._with_admission(key, view, decision.verdict)
        if any(pod.waits_for_node for pod in view.pods):
            read_again = (*read_again, await self._nodes.read(key))
            view = self._store.with_news(view)
        if read_again:
            decision = decide(view, self._settings)
        await self._store_status(key, view, decision)
        if in_the_way(decision.verdict.failure) and await self._give_up_a_kept_job(key[0]):
            # The controller of a Job whose pod was refused tries again by itself, and later.
            return ROOM_AGAIN_SECONDS if view.refusal else REFUSED_AGAIN_SECONDS
        if view.refusal is not None and not decision.verdict.terminal:
            webhook = view.refusal.reason == Reason.WEBHOOK_FAILED
            return WEBHOOK_AGAIN_SECONDS if webhook else REFUSED_AGAIN_SECONDS
        wake = decision.plan.wake
        waits = [] if wake is None else [max(0.1, (wake - self._clock()).total_seconds())]
        return min([*waits, *read_again], default=None)

    async def _give_up_a_kept_job(self, namespace: str) -> bool:
        """Delete the kept Job that ended first, for one that a quota lets not in; whether there was one."""
        kept = min(self._store.kept_jobs(namespace), key=lambda job: job.finished_at or "", default=None)
        if kept is None:
            return False
        await self._kube.delete_job(namespace, kept.name, kept.uid)
        logger.info("kept Job deleted for a quota", extra={"namespace": namespace, "job": kept.name})
        return True

    async def _live(self, key: Key) -> Snapshot | None:
        """The objects as the API server has them now."""
        namespace, name = key
        training, pods = await asyncio.gather(
            self._kube.get_training(namespace, name), self._kube.list_pods(namespace, name)
        )
        # After the pods: a Job that was suspended to end a pod must not be seen as it was before that.
        jobs = await self._kube.list_jobs(namespace, name)
        if training is None or "deletionTimestamp" in training["metadata"]:
            return None
        slim = view_training(training)
        self._store.put_training(slim)
        return self._store.with_news(
            Snapshot(
                training=slim,
                jobs=tuple(seen for job in jobs if (seen := view_job(job))),
                pods=tuple(found for pod in pods if (found := view_pod(pod))),
                now=self._clock(),
            )
        )

    async def _with_last_words(self, key: Key, view: Snapshot) -> Snapshot:
        """With the last progress line of a pod that has ended, or the events of one that is gone."""
        verdict = judge(view, self._settings)
        pod = verdict.first
        if gone := wants_last_events(verdict):
            return replace(view, gone_events=await self._kube.list_pod_events(key[0], gone))
        if pod is None or not pod.finished:
            return view
        await self._progress.read(key[0], pod)
        return self._store.with_news(view)

    async def _with_events(self, key: Key, view: Snapshot, verdict: Verdict) -> Snapshot:
        """With the events of the pod, or the Job, that should long have started."""
        stuck = verdict.pod.uid if verdict.pod else verdict.job.uid if verdict.job else ""
        return replace(view, events=await self._kube.list_events(key[0], stuck))

    async def _with_admission(
        self, key: Key, view: Snapshot, verdict: Verdict
    ) -> tuple[Snapshot, tuple[float, ...]]:
        """With Kueue's words on a suspended Job, and the seconds after which to read them again."""
        if verdict.job is None:
            return view, ()
        if not verdict.held:
            self._queues.forget(verdict.job.uid)
            return view, ()
        again = await self._queues.read(key[0], verdict.job)
        return self._store.with_news(view), (again,)

    async def _act(self, key: Key, view: Snapshot, action: Action) -> Snapshot:
        """Carry out one action; the snapshot as it is afterwards."""
        namespace, name = key
        context = {"namespace": namespace, "training": name}
        if isinstance(action, CreateJob):
            return await self._create_job(key, view, action)
        if isinstance(action, DeleteJob):
            await self._kube.delete_job(namespace, action.name, action.uid)
            logger.info("Job deleted", extra={**context, "job": action.name})
            return replace(view, jobs=tuple(job for job in view.jobs if job.uid != action.uid))
        await self._kube.delete_training(namespace, name, action.uid, action.version)
        logger.info("training deleted after its time to live", extra=context)
        return view

    async def _create_job(self, key: Key, view: Snapshot, action: CreateJob) -> Snapshot:
        namespace, name = key
        try:
            for manifest in action.beside:
                await self._kube.create_beside(namespace, manifest)
            body = await self._kube.create_job(namespace, action.manifest)
        except NamesakeError:
            raise
        except KubeError as error:
            refusal = diagnose_refusal(error.code, error.message)
            if refusal is None:
                raise
            logger.warning(
                "Job refused", extra={"namespace": namespace, "training": name, "why": error.message}
            )
            return replace(view, refusal=refusal)
        job = view_job(body)
        if job is None:
            return view
        self._store.put_job(key, job)
        logger.info("Job created", extra={"namespace": namespace, "training": name, "job": job.name})
        return replace(view, jobs=(*(j for j in view.jobs if j.uid != job.uid), job))

    async def _store_status(self, key: Key, view: Snapshot, decision: Decision) -> Snapshot:
        """Store the status if it differs; the snapshot with what is stored now."""
        before = view.training["status"]
        patch = status_patch(before, decision.status, self._clock())
        if not patch:
            return view
        version = view.training["metadata"]["resourceVersion"]
        try:
            body = await self._kube.patch_training_status(*key, version, patch)
        except KubeError as error:
            if error.code == 404:
                return view
            raise
        training = view_training(body)
        self._store.put_training(training)
        self._report(key, view, decision)
        return replace(view, training=training)

    def _report(self, key: Key, view: Snapshot, decision: Decision) -> None:
        stored, status = parse_status(view.training), decision.status
        if change := find_change(stored, status, decision.verdict):
            self._tell(build_event(view.training, status.run, change, view.now))
        if decision.verdict.failure and decision.verdict.state in {State.AGAIN, State.FAILED}:
            self._metrics.attempts_failed.labels(str(decision.verdict.failure.reason)).inc()
        if (stored.phase, stored.run, stored.attempt) != (status.phase, status.run, status.attempt):
            fields = describe(view, decision.verdict)
            logger.info("training changed", extra={"namespace": key[0], "training": key[1], **fields})
