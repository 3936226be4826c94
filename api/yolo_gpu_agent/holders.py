"""Which GPU a device id means: pure, over what NVML and the kubelet said."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from yolo_crds.gpus import Gpu, Holder

from .pod_resources import Allocation

_REPLICA = re.compile(r"(::\d+|/vgpu\d+)$")
"""What time-slicing and MPS add to an id: `GPU-…::3` of NVIDIA's device plugin, `nvidia0/vgpu3` on GKE."""
_GKE = re.compile(r"nvidia(?P<minor>\d+)(/gi(?P<instance>\d+))?")
_DRA = re.compile(r"gpu-(?P<minor>\d+)")
"""A whole GPU of NVIDIA's DRA driver."""
_DRA_PART = re.compile(r"gpu-(?P<minor>\d+)-mig-.+")
_GPU_RESOURCE = re.compile(r"(^|[./-])(gpu|mig|nvidia)")
_SURELY_GPU = re.compile(r"(^|[./-])(gpu|mig)")
"""Not `nvidia.com/hostdev`, a card of its network operator, nor `compute-domain.nvidia.com`, a channel."""
Key = tuple[int, str | None]
"""A GPU's index, and the UUID of its MIG device where that is meant."""


def is_gpu(allocation: Allocation) -> bool:
    """Whether the device may be a GPU, by its resource's name; network cards are listed as well."""
    return bool(_GPU_RESOURCE.search(allocation.resource))


def find_device(names: Iterable[str], gpus: Sequence[Gpu]) -> Key | None:
    """The GPU, or its MIG device, that goes by one of these names; None for shapes that nobody knows."""
    for name in names:
        if (key := _by_name(_REPLICA.sub("", name.rpartition("=")[2]), gpus)) is not None:
            return key
    return None


def _by_name(name: str, gpus: Sequence[Gpu]) -> Key | None:
    for gpu in gpus:
        if name == gpu.uuid:
            return gpu.index, None
        if any(name == part.uuid for part in gpu.mig_devices):
            return gpu.index, name
    shape = _GKE.fullmatch(name) or _DRA.fullmatch(name) or _DRA_PART.fullmatch(name)
    if shape is None:
        return None
    minor = int(shape["minor"])
    instance = shape.groupdict().get("instance")
    for gpu in gpus:
        if minor == (gpu.index if gpu.minor is None else gpu.minor):
            parts = [part.uuid for part in gpu.mig_devices if instance and part.gpu_instance == int(instance)]
            return gpu.index, parts[0] if parts else None
    return None


def with_holders(
    gpus: Sequence[Gpu], allocations: Iterable[Allocation]
) -> tuple[tuple[Gpu, ...], tuple[Holder, ...]]:
    """The GPUs with their holders, and the holders of devices that are none of them."""
    held: defaultdict[Key, list[Holder]] = defaultdict(list)
    others: list[Holder] = []
    for one in filter(is_gpu, allocations):
        holder = Holder(
            namespace=one.namespace,
            pod=one.pod,
            container=one.container,
            resource=one.resource[:256],
            device=one.device[:256],
        )
        key = find_device((one.device, *one.aliases), gpus)
        if key is not None:
            held[key].append(holder)
        elif _SURELY_GPU.search(one.resource):
            others.append(holder)
    return tuple(_held(gpu, held) for gpu in gpus), tuple(others)


def _held(gpu: Gpu, held: defaultdict[Key, list[Holder]]) -> Gpu:
    parts = tuple(
        part.model_copy(update={"holders": tuple(held[gpu.index, part.uuid])}) for part in gpu.mig_devices
    )
    return gpu.model_copy(update={"holders": tuple(held[gpu.index, None]), "mig_devices": parts})
