"""The rows of `GET /gpu_info`: pure, over the nodes' reports and the namespace's pods."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from yolo_crds.gpus import Gpu, Health, Holder, MigDevice, NodeReport
from yolo_crds.meta import LABEL_ATTEMPT, LABEL_RUN, LABEL_STAGE, LABEL_TRAINING, Stage, job_name

from .schemas import GpuInfo, GpuProcessInfo, GpuXidInfo

_MIB = 1 << 20
_GPU_RESOURCE = re.compile(r"[^/]+/(.*gpu.*|mig-.*)|gpu\.[^/]+/.+")
"""Extended resources that are GPUs: `nvidia.com/gpu`, `nvidia.com/mig-1g.10gb`, `gpu.intel.com/i915`."""

_MOST = 1000
"""Of one pod, so many are told; a pod may name its node and ask for a billion, until that refuses it."""


@dataclass(frozen=True)
class Node:
    """A node as an agent last told it. silent: no answer, or none about its GPUs, since `seen_at`."""

    report: NodeReport
    seen_at: datetime
    silent: bool = False


@dataclass(frozen=True)
class Pod:
    """A pod of the façade's namespace: whose it is, and what it asks for."""

    name: str
    node: str | None = None
    model_name: str | None = None
    gpus: Mapping[str, int] = field(default_factory=dict)
    """How many of each extended resource that is a GPU."""


ModelOf = Callable[[str], str | None]
"""The model's name of the training object with this name; None where there is none."""


def to_pod(body: Mapping[str, Any], model_of: ModelOf) -> Pod:
    """A pod of the API server."""
    metadata, spec = body["metadata"], body["spec"]
    training = owner_training(metadata)
    gpus: dict[str, int] = {}
    for container in spec.get("containers", ()):
        for resource, amount in (container.get("resources", {}).get("limits") or {}).items():
            if _GPU_RESOURCE.fullmatch(resource) and str(amount).isdecimal():
                gpus[resource] = min(gpus.get(resource, 0) + int(amount), _MOST)
    return Pod(
        name=metadata["name"],
        node=spec.get("nodeName"),
        model_name=training and model_of(training),
        gpus={resource: count for resource, count in gpus.items() if count},
    )


def owner_training(metadata: Mapping[str, Any]) -> str | None:
    """Name of the training whose Job controls the pod with this metadata; None for any other pod.

    Labels are the word of anybody who may create pods, so their Job has to be the pod's controller as well.
    That Kubernetes keeps true: it deletes pods whose owner is not there under this name and uid; a Job gives
    up pods without its own labels, and deletes those beyond what it asks for.
    https://kubernetes.io/docs/concepts/architecture/garbage-collection/#owners-dependents
    """
    labels = metadata.get("labels") or {}
    owners = [owner for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
    try:
        training, stage = labels[LABEL_TRAINING], Stage(labels[LABEL_STAGE])
        job = job_name(training, int(labels[LABEL_RUN]), int(labels[LABEL_ATTEMPT]), stage)
    except (KeyError, ValueError):
        return None
    jobs = [owner["name"] for owner in owners if (owner["apiVersion"], owner["kind"]) == ("batch/v1", "Job")]
    return str(training) if jobs == [job] else None


def build_rows(
    nodes: Iterable[Node], pods: Sequence[Pod], namespace: str, *, agents_known: bool = True
) -> list[GpuInfo]:
    """One row for each thing that is handed out by itself: a GPU, or each MIG device of one that is parted.

    Nodes come in the order of their names (numbers in them by value), the GPUs of a node in NVML's, which is
    that of their PCI addresses; `index` counts through all. What the namespace's pods asked for on nodes that
    no agent told about follows, as `source: requests`; stale where nobody says whether there are agents.
    """
    nodes = sorted(nodes, key=lambda node: _natural(node.report.node))
    models = {pod.name: pod.model_name for pod in pods}
    rows = [row for node in nodes for row in _Rows(node, namespace, models).build()]
    told = {node.report.node for node in nodes if node.report.gpus}
    requested = _requested([pod for pod in pods if pod.node and pod.node not in told], namespace)
    rows += [row.model_copy(update={"stale": not agents_known}) for row in requested]
    return [row.model_copy(update={"index": index}) for index, row in enumerate(rows)]


@dataclass(frozen=True)
class _Rows:
    """The rows of one node."""

    node: Node
    namespace: str
    models: Mapping[str, str | None]

    def build(self) -> Iterator[GpuInfo]:
        for gpu in self.node.report.gpus:
            if not gpu.mig_devices:
                yield self._row(gpu, gpu, gpu.holders)
            for part in gpu.mig_devices:
                yield self._row(gpu, part, (*part.holders, *gpu.holders))

    def _row(self, gpu: Gpu, part: Gpu | MigDevice, holders: tuple[Holder, ...]) -> GpuInfo:
        whole = part is gpu
        owners = _owners(holders, self.namespace, self.models)
        total = part.memory_total or 0
        # A lost GPU has its total only: an old client that looks for room must not find all of it free.
        used = total if part.memory_used is None else part.memory_used
        return GpuInfo(
            name=part.name or "",
            index=0,
            memory_used=used // _MIB,
            memory_total=total // _MIB,
            node=self.node.report.node,
            node_index=gpu.index,
            uuid=part.uuid or "",
            gpu_uuid=gpu.uuid or "",
            utilization=gpu.utilization if whole else None,
            temperature=gpu.temperature,
            power_draw=gpu.power_draw,
            processes=_processes(gpu) if whole else None,
            health=str(gpu.health),
            xids=[GpuXidInfo(code=xid.code, at=_time(xid.at)) for xid in gpu.xids],
            free=self._free(gpu, part, holders),
            stale=self.node.silent,
            seen_at=_time(self.node.seen_at),
            source="agent",
            **owners,
        )

    def _free(self, gpu: Gpu, part: Gpu | MigDevice, holders: tuple[Holder, ...]) -> bool | None:
        if holders or gpu.health is not Health.OK or (part is gpu and (gpu.processes or gpu.mig_enabled)):
            return False
        report = self.node.report
        unknown = any("nvidia" in holder.resource for holder in report.other_holders)
        return None if self.node.silent or unknown or not report.holders_known else True


def _owners(
    holders: Iterable[Holder], namespace: str, models: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Who holds it; of other namespaces no more than their names. Several of a GPU that is shared in time are
    joined; none of these names can hold a comma.
    """
    own = [holder.pod for holder in holders if holder.namespace == namespace]
    return {
        "namespace": _joined(holder.namespace for holder in holders),
        "pod": _joined(own),
        "model_name": _joined(models.get(pod) for pod in own),
    }


def _joined(names: Iterable[str | None]) -> str | None:
    return ", ".join(dict.fromkeys(name for name in names if name)) or None


def _processes(gpu: Gpu) -> list[GpuProcessInfo] | None:
    if gpu.processes is None:
        return None
    return [
        GpuProcessInfo(
            pid=process.pid,
            memory=None if process.memory is None else process.memory // _MIB,
            kind=process.kind,
        )
        for process in gpu.processes
    ]


def _requested(pods: Iterable[Pod], namespace: str) -> Iterator[GpuInfo]:
    """What is known without an agent: somebody of this namespace was given so many GPUs of a node."""
    for pod in sorted(pods, key=lambda pod: (_natural(pod.node or ""), pod.name)):
        for resource, count in sorted(pod.gpus.items()):
            for _ in range(count):
                yield GpuInfo(
                    name=resource,
                    index=0,
                    memory_used=0,
                    memory_total=0,
                    node=pod.node or "",
                    model_name=pod.model_name,
                    namespace=namespace,
                    pod=pod.name,
                    free=False,
                    source="requests",
                )


def _natural(name: str) -> list[tuple[int, str]]:
    """A key by which `gpu-9` comes before `gpu-10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
