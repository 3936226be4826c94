"""Look, decide, store, act, report: once for each key that the queue hands out, step by step (`steps`)."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from yolo_crds.conditions import Reason
from yolo_kube.errors import NOT_FOUND, ConflictError, KubeError

from .decision import Decision, decide
from .diagnosis import diagnose_refusal
from .events import build_event, find_change
from .kept import in_the_way
from .kube import Kube, NamesakeError
from .metrics import Metrics
from .node_reader import NodeReader
from .patch import status_patch
from .plan import Action, CreateJob, DeleteJob, wants_last_events
from .progress import ProgressPoller
from .queue_reader import QueueReader
from .settings import Settings
from .snapshot import Snapshot, view_job, view_pod, view_training
from .status import describe
from .steps import Pass, Step, next_step
from .store import Key, Store
from .verdict import State

logger = logging.getLogger(__name__)

CONFLICTS_MOST = 5
STEPS_MOST = 24
"""Of one pass; the longest needs some twelve."""
STEPS_AGAIN_SECONDS = 30.0
REFUSED_AGAIN_SECONDS = 30.0
"""How long to wait after the API server refused a Job."""
WEBHOOK_AGAIN_SECONDS = 5.0
"""The same where an admission webhook does not answer; the tries before that took 8 s, with back-off."""
NAMESAKE_AGAIN_SECONDS = 1.0
"""The same while a Job of a deleted training of the same name is being collected, which takes a second."""
ROOM_AGAIN_SECONDS = 2.0
"""The same where a quota has just got room: it counts anew within a second or two."""


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
                    view = await self._live(key, view)
            raise ConflictError(409, "the object changes faster than its status can be stored")

    async def _run(self, key: Key, view: Snapshot) -> float | None:
        so_far = Pass(view)
        for _ in range(STEPS_MOST):
            decision = decide(so_far.view, self._settings)
            step = next_step(so_far, decision, self._clock())
            if step is Step.WAIT:
                return await self._wait(key, so_far, decision)
            done = await self._do(step, key, so_far, decision)
            if done is None:
                return None
            so_far = done.after(step)
        logger.error("a reconcile does not come to its end", extra={"namespace": key[0], "training": key[1]})
        return STEPS_AGAIN_SECONDS

    async def _do(self, step: Step, key: Key, so_far: Pass, decision: Decision) -> Pass | None:
        """One step; what is known after it, None where the training is gone."""
        view, verdict = so_far.view, decision.verdict
        match step:
            case Step.READ_LIVE:
                fresh = await self._live(key, view)
                return None if fresh is None else replace(so_far, view=fresh)
            case Step.READ_LAST_EVENTS:
                events = await self._kube.list_pod_events(key[0], wants_last_events(verdict) or "")
                return replace(so_far, view=replace(view, gone_events=events))
            case Step.READ_LAST_WORDS:
                if verdict.first is not None:
                    await self._progress.read(key[0], verdict.first)
                return replace(so_far, view=self._store.with_news(view))
            case Step.READ_SHARE:
                await self._nodes.read_nodes()
                return replace(so_far, view=self._store.with_news(view))
            case Step.READ_EVENTS:
                stuck = verdict.pod.uid if verdict.pod else verdict.job.uid if verdict.job else ""
                events = await self._kube.list_events(key[0], stuck)
                return replace(so_far, view=replace(view, events=events))
            case Step.STORE_FIRST | Step.STORE:
                stored = await self._store_status(key, view, decision)
                return None if stored is None else replace(so_far, view=stored)
            case Step.ACT:
                for action in decision.plan.actions:
                    view = await self._act(key, view, action)
                return replace(so_far, view=view)
            case Step.READ_QUEUE if verdict.job is not None:
                again = await self._queues.read(key[0], verdict.job)
                return replace(so_far, view=self._store.with_news(view), again=(*so_far.again, again))
            case Step.READ_NODES:
                again = await self._nodes.read(key)
                return replace(so_far, view=self._store.with_news(view), again=(*so_far.again, again))
        raise AssertionError(step)

    async def _wait(self, key: Key, so_far: Pass, decision: Decision) -> float | None:
        """The seconds until somebody has to look again; None where an event will tell."""
        view, verdict = so_far.view, decision.verdict
        if verdict.job is not None and not verdict.held:
            self._queues.forget(verdict.job.uid)
        if in_the_way(verdict.failure) and await self._give_up_a_kept_job(key[0]):
            # The controller of a Job whose pod was refused tries again by itself, and later.
            return ROOM_AGAIN_SECONDS if view.refusal else REFUSED_AGAIN_SECONDS
        if view.refusal is not None and not verdict.terminal:
            webhook = view.refusal.reason == Reason.WEBHOOK_FAILED
            return WEBHOOK_AGAIN_SECONDS if webhook else REFUSED_AGAIN_SECONDS
        wake = decision.plan.wake
        waits = [] if wake is None else [max(0.1, (wake - self._clock()).total_seconds())]
        return min([*waits, *so_far.again], default=None)

    async def _give_up_a_kept_job(self, namespace: str) -> bool:
        """Delete the kept Job that ended first, for one that a quota lets not in; whether there was one."""
        kept = min(self._store.kept_jobs(namespace), key=lambda job: job.finished_at or "", default=None)
        if kept is None:
            return False
        await self._kube.delete_job(namespace, kept.name, kept.uid)
        logger.info("kept Job deleted for a quota", extra={"namespace": namespace, "job": kept.name})
        return True

    async def _live(self, key: Key, view: Snapshot) -> Snapshot | None:
        """The objects as the API server has them now, beside what else is known."""
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
        fresh = replace(
            view,
            training=slim,
            jobs=tuple(seen for job in jobs if (seen := view_job(job))),
            pods=tuple(found for pod in pods if (found := view_pod(pod))),
            now=self._clock(),
        )
        return self._store.with_news(fresh)

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

    async def _store_status(self, key: Key, view: Snapshot, decision: Decision) -> Snapshot | None:
        """Store the status; the snapshot with what is stored now, None where the training is gone."""
        patch = status_patch(view.training["status"], decision.status, self._clock())
        version = view.training["metadata"]["resourceVersion"]
        try:
            body = await self._kube.patch_training_status(*key, version, patch)
        except KubeError as error:
            if error.code == NOT_FOUND:
                return None
            raise
        training = view_training(body)
        self._store.put_training(training)
        self._report(key, view, decision)
        return replace(view, training=training)

    def _report(self, key: Key, view: Snapshot, decision: Decision) -> None:
        stored, status = decision.stored, decision.status
        if change := find_change(stored, status, decision.verdict):
            self._tell(build_event(view.training, status.run, change, view.now))
        if decision.verdict.failure and decision.verdict.state in {State.AGAIN, State.FAILED}:
            self._metrics.attempts_failed.labels(str(decision.verdict.failure.reason)).inc()
        if (stored.phase, stored.run, stored.attempt) != (status.phase, status.run, status.attempt):
            fields = describe(view, decision.verdict)
            logger.info("training changed", extra={"namespace": key[0], "training": key[1], **fields})
