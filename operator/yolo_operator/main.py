"""The operator's parts, put together."""

import asyncio

import kopf

from yolo_crds import meta

from .endpoints import answer_health, answer_metrics, serving
from .events import Announcer
from .handlers import register
from .kube import connect
from .logs import configure_logs
from .metrics import Metrics
from .persistence import NoDiffs, NoProgress
from .progress import ProgressPoller
from .reconcile import Reconciler
from .resync import Resync
from .settings import Settings
from .store import Store
from .workqueue import KeyedQueue

WATCH_SECONDS = 300
"""A watch request ends after so long, and the next one begins where it ended."""


def run() -> None:
    """Run the operator until a signal ends it.

    Raises ValidationError for settings that do not fit, ListenError for a port that cannot be had.
    """
    settings = Settings()
    configure_logs(settings.log_level)
    asyncio.run(serve(settings))


async def serve(settings: Settings) -> None:
    """Watch, reconcile, poll and check, until a signal ends kopf or one of the parts dies."""
    metrics, store = Metrics(), Store()
    async with (
        serving(settings.metrics_port, "/metrics", answer_metrics(metrics)),
        connect(metrics) as kube,
    ):
        poller = ProgressPoller(kube, store, settings.progress_interval_seconds)
        announcer = Announcer(kube)
        reconciler = Reconciler(kube, store, poller, settings, metrics, tell=announcer.tell)
        queue = KeyedQueue(reconciler.reconcile)
        resync = Resync(kube, store, settings.namespaces, settings.resync_seconds, queue.add)
        metrics.watch(store, lambda: len(queue))
        registry = kopf.OperatorRegistry()
        register(registry, store, queue.add)
        async with (
            serving(settings.health_port, "/healthz", answer_health(resync.check)),
            asyncio.TaskGroup() as group,
        ):
            parts = [
                group.create_task(part)
                for part in (queue.run(), poller.run(queue.add), resync.run(metrics), announcer.run())
            ]
            # kopf takes tasks that are there before it for not its own; let the parts start theirs.
            await asyncio.sleep(0)
            await kopf.operator(
                registry=registry,
                settings=kopf_settings(namespaced=bool(settings.namespaces)),
                standalone=True,
                clusterwide=not settings.namespaces,
                namespaces=settings.namespaces,
            )
            for part in parts:
                part.cancel()


def kopf_settings(*, namespaced: bool) -> kopf.OperatorSettings:
    """kopf's settings: watches that end and are renewed, none of kopf's own events (about handlers; a
    reconcile that fails is in the log and the metrics), only our own Jobs and pods."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = NoDiffs()
    settings.persistence.progress_storage = NoProgress()
    settings.scanning.disabled = namespaced
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.client_timeout = WATCH_SECONDS + 30
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    settings.watching.label_selectors["batch", "v1", "jobs"] = meta.LABEL_TRAINING
    settings.watching.label_selectors["", "v1", "pods"] = meta.LABEL_TRAINING
    return settings
