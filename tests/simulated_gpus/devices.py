"""What a scenario means to Kubernetes: extended resources, labels of the node, a container's share.

As NVIDIA's device plugin and GPU feature discovery would have it, with the MIG strategy `mixed`:
https://github.com/NVIDIA/k8s-device-plugin
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .scenario import Gpu, Library, Scenario

RESOURCE = "nvidia.com/gpu"
PLACE = "/run/simulated-gpus"
"""In a container: the node's folder with `state` and `lib`; where the library looks by itself."""
STATE = "state"
LIB = "lib"


@dataclass(frozen=True)
class Device:
    """One that the scheduler counts, by the id under which the kubelet hands it out."""

    id: str
    healthy: bool


def build_offers(scenario: Scenario) -> dict[str, list[Device]]:
    """By extended resource its devices: whole GPUs `GPU-…`, shared ones `GPU-…::N`, parts `MIG-…`."""
    works = scenario.library is Library.OK
    offers: dict[str, list[Device]] = {RESOURCE: []}
    for gpu in scenario.gpus:
        healthy = works and gpu.healthy
        if gpu.mig_enabled:
            for part in gpu.mig_devices:
                offers.setdefault(mig_resource(part.profile), []).append(Device(part.uuid, healthy))
        else:
            offers[RESOURCE] += [Device(name, healthy) for name in _shares(gpu, scenario.replicas)]
    return offers


def mig_resource(profile: str) -> str:
    """`1g.10gb` -> `nvidia.com/mig-1g.10gb`."""
    return f"nvidia.com/mig-{profile}"


def _shares(gpu: Gpu, replicas: int) -> list[str]:
    return [gpu.uuid] if replicas == 1 else [f"{gpu.uuid}::{share}" for share in range(replicas)]


def build_variables(devices: Sequence[str]) -> dict[str, str]:
    """The environment of a container with these devices.

    YOLO_STAND_IN_GPUS=cpu tells the trainer that nothing computes on them: it trains on the CPU, one rank
    a GPU.
    """
    uuids = dict.fromkeys(device.partition("::")[0] for device in devices)
    return {
        "NVIDIA_VISIBLE_DEVICES": ",".join(uuids),
        "YOLO_STAND_IN_GPUS": "cpu",
        "LD_LIBRARY_PATH": f"{PLACE}/{LIB}",
    }


def build_mounts(folder: Path) -> dict[str, Path]:
    """What a container sees of the node: one folder, so that it sees a scenario that is renamed into it."""
    return {PLACE: folder}


def build_labels(scenario: Scenario) -> dict[str, str]:
    """Labels of the node; none without GPUs. Those of the first GPU where a node has several kinds."""
    if not scenario.gpus or scenario.library is not Library.OK:
        return {}
    first, shared = scenario.gpus[0], scenario.replicas > 1
    sharing = "time-slicing" if shared else "none"
    whole = any(not gpu.mig_enabled for gpu in scenario.gpus)
    labels = {
        "nvidia.com/gpu.present": "true",
        f"{RESOURCE}.product": _product(first.name, "SHARED" if shared and whole else ""),
        f"{RESOURCE}.count": str(len(scenario.gpus)),
        f"{RESOURCE}.replicas": str(scenario.replicas if whole else 0),
        f"{RESOURCE}.sharing-strategy": sharing,
        "nvidia.com/mig.capable": str(any(gpu.mig_enabled is not None for gpu in scenario.gpus)).lower(),
        "nvidia.com/mig.strategy": "mixed",
    }
    if first.memory_total is not None:
        labels[f"{RESOURCE}.memory"] = str(first.memory_total >> 20)
    return labels | _mig_labels(scenario)


def _mig_labels(scenario: Scenario) -> dict[str, str]:
    parts = [(gpu, part) for gpu in scenario.gpus for part in gpu.mig_devices]
    counts = Counter(part.profile for _, part in parts)
    labels: dict[str, str] = {}
    for gpu, part in parts:
        resource = mig_resource(part.profile)
        labels |= {
            f"{resource}.product": _product(gpu.name, "MIG", part.profile),
            f"{resource}.count": str(counts[part.profile]),
            f"{resource}.replicas": "1",
            f"{resource}.memory": str(part.memory_total >> 20),
        }
    return labels


def _product(*words: str) -> str:
    """Labels take no spaces, and at most 63 characters."""
    return "-".join(word.replace(" ", "-") for word in words if word)[:63]
