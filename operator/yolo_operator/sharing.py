"""GPUs that several pods share in time or by MPS, and parts of GPUs (MIG), as nodes' labels tell them.

The labels are those of NVIDIA's GPU feature discovery (docs/gpu-feature-discovery and internal/lm/resource.go
of NVIDIA/k8s-device-plugin): `nvidia.com/gpu.sharing-strategy` (none, time-slicing, mps), of each resource
`.replicas` and `.product`, which ends in `-SHARED`, or has `-MIG-` in it with the MIG strategy `single`.
Without them nothing is known.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from yolo_crds.training import Resources

STRATEGY_LABEL = "nvidia.com/gpu.sharing-strategy"
SHARED_STRATEGIES = ("mps", "time-slicing")
_RENAMED = ".shared"
"""What the device plugin appends to a shared resource's name with `renameByDefault`."""
_MIG = "nvidia.com/mig-"


def told_strategy(labels: Mapping[str, str], resource: str) -> str | None:
    """How a node shares its GPUs, in a word or two; None where it gives whole ones or does not tell."""
    base = resource.removesuffix(_RENAMED)
    strategy = labels.get(STRATEGY_LABEL)
    if strategy in SHARED_STRATEGIES:
        return strategy
    product = labels.get(f"{base}.product", "")
    if replicas(labels, resource) > 1 or product.endswith("-SHARED") or base != resource:
        return strategy if strategy not in {None, "none"} else "time-slicing or MPS"
    if "-MIG-" in product or resource.startswith(_MIG):
        return "MIG"
    return None


def replicas(labels: Mapping[str, str], resource: str) -> int:
    """Among how many pods a GPU of the node is shared; 1 where nothing says that it is."""
    text = labels.get(f"{resource.removesuffix(_RENAMED)}.replicas", "")
    return max(1, int(text)) if text.isdecimal() and len(text) < 6 else 1


def refuse_parts(wanted: Resources) -> str | None:
    """Why several of what is asked for can never train as one, where the resource's name alone says so."""
    asked = f"{wanted.gpus * wanted.nodes} of {wanted.gpu_resource}"
    if wanted.gpus > 1 and wanted.gpu_resource.startswith(_MIG):
        return (
            f"{asked}: CUDA shows a process one part of a GPU (MIG) at a time, so several cannot train as one"
        )
    if wanted.gpus * wanted.nodes > 1 and wanted.gpu_resource.endswith(_RENAMED):
        return (
            f"{asked}: these are shares of GPUs, and two may be of the same one, so they cannot train as one"
        )
    return None


def smallest_share(nodes: Iterable[Mapping[str, str]], resource: str) -> float | None:
    """What a pod may take of a GPU's memory wherever it runs, from the labels of the nodes open to it;
    None where it has the GPU for itself. Parts by MIG have a memory of their own, and are whole here.
    """
    most = max((replicas(labels, resource) for labels in nodes), default=1)
    return 1 / most if most > 1 else None


def build_affinity(avoid_nodes: Sequence[str], wanted: Resources) -> dict[str, Any] | None:
    """Node affinity of a train pod: away from nodes with a GPU fault, and, for several GPUs, from those whose
    GPUs are shared: there two may be the same one, and NVIDIA's plugin may refuse the pod.
    """
    term: dict[str, Any] = {}
    if wanted.gpus * wanted.nodes > 1 and wanted.gpu_resource.startswith("nvidia.com/"):
        whole = {"key": STRATEGY_LABEL, "operator": "NotIn", "values": list(SHARED_STRATEGIES)}
        term["matchExpressions"] = [whole]
    if avoid_nodes:
        # The API takes one value a requirement here.
        term["matchFields"] = [
            {"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in avoid_nodes
        ]
    if not term:
        return None
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"nodeAffinity": required}
