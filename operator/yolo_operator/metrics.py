"""Prometheus metrics of the operator."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from yolo_crds.conditions import Phase

from .store import Store


class Metrics:
    """All metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "yolo_operator_api_requests",
            "Requests to the API server by verb, resource and status code (0: no answer).",
            ["verb", "resource", "code"],
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "yolo_operator_reconcile_seconds", "Duration of one reconcile.", registry=self.registry
        )
        self.reconcile_errors = Counter(
            "yolo_operator_reconcile_errors",
            "Reconciles that failed and are tried again.",
            registry=self.registry,
        )
        self.attempts_failed = Counter(
            "yolo_operator_attempts_failed",
            "Attempts that failed, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.watches_behind = Gauge(
            "yolo_operator_watches_behind",
            "Trainings whose newest version the watch has not shown in time; above 0 it is dead.",
            registry=self.registry,
        )

    def watch(self, store: Store, depth: Callable[[], int]) -> None:
        """Also tell the number of trainings by phase, and of keys in the queue, at each scrape."""
        self.registry.register(_Trainings(store))
        gauge = Gauge(
            "yolo_operator_queue_depth", "Trainings that wait for a reconcile.", registry=self.registry
        )
        gauge.set_function(depth)


class _Trainings(Collector):
    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterable[GaugeMetricFamily]:
        counts = Tally(training["status"].get("phase", Phase.PENDING) for training in self._store.trainings())
        family = GaugeMetricFamily("yolo_operator_trainings", "Trainings by phase.", labels=["phase"])
        for phase in Phase:
            family.add_metric([phase], counts[phase])
        return [family]
