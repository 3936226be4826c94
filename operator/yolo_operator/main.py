"""The operator's parts, put together."""

import asyncio
from collections.abc import Callable, Iterable

import kopf

from yolo_kube.reflector import Reflector

from .children import hear_jobs, hear_pods
from .endpoints import answer_health, answer_metrics, serving
from .events import Announcer
from .handlers import register
from .kube import Kube, connect
from .logs import configure_logs
from .metrics import Metrics
from .persistence import NoDiffs, NoProgress
from .progress import ProgressPoller
from .reconcile import Reconciler
from .resync import Resync
from .settings import Settings
from .store import Key, Store
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
        reflectors = follow_children(kube, store, settings.namespaces, queue.add)
        resync = Resync(kube, store, settings.namespaces, settings.resync_seconds, queue.add, reflectors)
        metrics.watch(store, lambda: len(queue))
        registry = kopf.OperatorRegistry()
        register(registry, store, queue.add)
        async with (
            serving(settings.health_port, "/healthz", answer_health(resync.check)),
            asyncio.TaskGroup() as group,
        ):
            following = [group.create_task(reflector.run()) for reflector in reflectors]
            parts = [
                *following,
                group.create_task(work(queue, reflectors)),
                group.create_task(poller.run(queue.add)),
                group.create_task(resync.run(metrics)),
                group.create_task(announcer.run()),
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


def follow_children(
    kube: Kube, store: Store, namespaces: Iterable[str], add: Callable[[Key], None]
) -> list[Reflector]:
    """What keeps the store true to Jobs and pods: two a namespace, or two for all."""
    followed = []
    for namespace in tuple(namespaces) or (None,):
        where = f" of {namespace}" if namespace else ""
        followed += [
            Reflector(kube.jobs(namespace), hear_jobs(store, namespace, add), f"Jobs{where}"),
            Reflector(kube.pods(namespace), hear_pods(store, namespace, add), f"pods{where}"),
        ]
    return followed


async def work(queue: KeyedQueue, reflectors: Iterable[Reflector]) -> None:
    """Work on the queue once all Jobs and pods are known: nothing is decided on half of them."""
    for reflector in reflectors:
        await reflector.synced.wait()
    await queue.run()


def kopf_settings(*, namespaced: bool) -> kopf.OperatorSettings:
    """kopf's settings: watches that end and are renewed, none of kopf's own events (about handlers; a
    reconcile that fails is in the log and the metrics)."""
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
    return settings
