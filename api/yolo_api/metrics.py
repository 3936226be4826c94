"""What Prometheus can read about this server."""

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, generate_latest

from yolo_crds.conditions import Phase

from .cache import TrainingCache

_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)


class Metrics:
    """The metrics of one app, in a registry of their own."""

    def __init__(self, cache: TrainingCache) -> None:
        self._registry = CollectorRegistry()
        self._cache = cache
        ProcessCollector(registry=self._registry)
        self._requests = Histogram(
            "yolo_api_request_seconds",
            "Time to answer a request, by route",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._trainings = Gauge(
            "yolo_api_trainings", "Trainings in the namespace", ("phase",), registry=self._registry
        )
        self._age = Gauge(
            "yolo_api_cache_age_seconds", "Time since the API server was last heard", registry=self._registry
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).observe(seconds)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        phases = [entry.phase for entry in self._cache.entries()]
        for phase in Phase:
            self._trainings.labels(phase.value).set(phases.count(phase.value))
        self._age.set(self._cache.age)
        return generate_latest(self._registry)
