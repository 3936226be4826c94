"""Which GPU a device id means: pure, over what NVML and the kubelet said."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from yolo_crds.gpus import Gpu, Holder, MigDevice

from .pod_resources import Allocation

_REPLICA = re.compile(r"(::\d+|/vgpu\d+)$")
"""What time-slicing and MPS add to an id: `GPU-…::3` of NVIDIA's device plugin, `nvidia0/vgpu3` on GKE."""
_GKE = re.compile(r"nvidia(?P<minor>\d+)(/gi(?P<instance>\d+))?")
_DRA = re.compile(r"gpu-(?P<minor>\d+)")
"""A whole GPU of NVIDIA's DRA driver."""
_DRA_PART = re.compile(
    r"gpu-(?P<minor>\d+)-mig-(?:(?P<name>.*[a-z].*)-(?P<profile>\d+)-(?P<start>\d+)"
    r"|(?P<older_profile>\d+)-(?P<older_start>\d+)-\d+|.+)"
)
"""A MIG device of it, by profile and first memory slice: `gpu-0-mig-1g10gb-19-2`, and up to its release 25.8
`gpu-0-mig-19-2-1`, which ends with the number of slices.
https://github.com/NVIDIA/k8s-dra-driver-gpu, cmd/gpu-kubelet-plugin/mig.go
"""
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
    minor, said = int(shape["minor"]), shape.groupdict()
    for gpu in gpus:
        if minor == (gpu.index if gpu.minor is None else gpu.minor):
            if shape.re is _DRA_PART:
                return gpu.index, _dra_part(said, gpu.mig_devices)
            instance = said.get("instance")
            parts = [part.uuid for part in gpu.mig_devices if instance and part.gpu_instance == int(instance)]
            return gpu.index, parts[0] if parts else None
    return None


def _dra_part(said: Mapping[str, str | None], parts: Sequence[MigDevice]) -> str | None:
    """UUID of the MIG device that goes by this profile and place; None where several may be meant, or none.

    Where the driver does not tell the agent where they lie, its profile's name does if no other has it.
    """
    profile, start = said["profile"] or said["older_profile"], said["start"] or said["older_start"]
    if any(part.placement is not None for part in parts):
        found = [part for part in parts if (str(part.profile_id), str(part.placement)) == (profile, start)]
    elif said["name"]:
        found = [
            part for part in parts if _plain((part.name or "").rpartition("MIG ")[2]) == _plain(said["name"])
        ]
    else:
        found = [*parts]
    return found[0].uuid if len(found) == 1 else None


def _plain(profile: str) -> str:
    """`1g.10gb+me` without what a device's name may not hold."""
    return re.sub("[^a-z0-9]", "", profile.lower())


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
