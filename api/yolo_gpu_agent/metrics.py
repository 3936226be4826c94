"""The report in Prometheus' text format, under DCGM's names where the meaning is the same.

https://docs.nvidia.com/datacenter/dcgm/latest/dcgm-api/dcgm-api-field-ids.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from yolo_crds.gpus import Gpu, Health, Holder, MigDevice, NodeReport

MIB = 1 << 20
_LABELS = ("gpu", "UUID", "modelName", "Hostname", "namespace", "pod", "container")
_OF_GPU: dict[str, tuple[str, Callable[[Gpu], float | None]]] = {
    "DCGM_FI_DEV_GPU_UTIL": ("GPU utilization (in %)", lambda gpu: gpu.utilization),
    "DCGM_FI_DEV_GPU_TEMP": ("GPU temperature (in C)", lambda gpu: gpu.temperature),
    "DCGM_FI_DEV_POWER_USAGE": ("Power draw (in W)", lambda gpu: gpu.power_draw),
    "DCGM_FI_DEV_XID_ERRORS": (
        "Last Xid since the agent started, 0: none",
        lambda gpu: gpu.xids[-1].code if gpu.xids else 0,
    ),
    "yolo_gpu_healthy": ("1 if the GPU can be worked with", lambda gpu: float(gpu.health is Health.OK)),
}
_OF_MEMORY: dict[str, tuple[str, Callable[[Gpu | MigDevice], int | None]]] = {
    "DCGM_FI_DEV_FB_USED": ("Memory used (in MiB)", lambda part: part.memory_used),
    "DCGM_FI_DEV_FB_TOTAL": ("Memory in all (in MiB)", lambda part: part.memory_total),
}


def render(report: NodeReport) -> bytes:
    """The metrics of a node. What a card does not tell has no line; MIG devices have their memory only."""
    registry = CollectorRegistry()
    registry.register(_Report(report))
    return generate_latest(registry)


class _Report(Collector):
    def __init__(self, report: NodeReport) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        report = self._report
        age = GaugeMetricFamily("yolo_gpu_agent_report_age_seconds", "Time since the GPUs were looked at")
        age.add_metric((), report.age)
        yield age
        for name, (text, value) in _OF_GPU.items():
            family = GaugeMetricFamily(name, text, labels=_LABELS)
            for gpu in report.gpus:
                if (got := value(gpu)) is not None:
                    family.add_metric(_labels(report, gpu, gpu), got)
            yield family
        for name, (text, value) in _OF_MEMORY.items():
            family = GaugeMetricFamily(name, text, labels=_LABELS)
            for gpu in report.gpus:
                for part in gpu.mig_devices or (gpu,):
                    if (size := value(part)) is not None:
                        family.add_metric(_labels(report, gpu, part), size // MIB)
            yield family


def _labels(report: NodeReport, gpu: Gpu, part: Gpu | MigDevice) -> tuple[str, ...]:
    """Of the GPU or MIG device; several holders, as when it is shared in time, are joined by commas."""
    holders: tuple[Holder, ...] = part.holders
    if part is gpu:
        holders += tuple(holder for device in gpu.mig_devices for holder in device.holders)
    own = (str(gpu.index), part.uuid or "", part.name or "", report.node)
    joined = (
        ",".join(dict.fromkeys(getattr(holder, key) for holder in holders))
        for key in ("namespace", "pod", "container")
    )
    return (*own, *joined)
