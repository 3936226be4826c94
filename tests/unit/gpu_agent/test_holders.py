"""Who holds what: the kubelet's answer over a real socket, and every shape of a device's id."""

import os
from pathlib import Path

import pytest

from kubelet_socket import Kubelet, claimer, encode, holder
from yolo_crds.gpus import Gpu, MigDevice
from yolo_gpu_agent import wire
from yolo_gpu_agent.holders import find_device, with_holders
from yolo_gpu_agent.pod_resources import Allocation, KubeletError, list_allocations, parse_answer

PARTS = (MigDevice(uuid="MIG-x", gpu_instance=1), MigDevice(uuid="MIG-y", gpu_instance=2))
GPUS = (
    Gpu(index=0, minor=1, uuid="GPU-a"),
    Gpu(index=1, minor=0, uuid="GPU-b", mig_devices=PARTS),
    Gpu(index=2, uuid=None),
)
NAMES: list[tuple[str, tuple[int, str | None] | None]] = [
    ("GPU-a", (0, None)),
    ("GPU-a::7", (0, None)),
    ("MIG-y", (1, "MIG-y")),
    ("MIG-y::0", (1, "MIG-y")),
    ("nvidia1", (0, None)),
    ("nvidia0/gi2", (1, "MIG-y")),
    ("nvidia0/gi9", (1, None)),
    ("nvidia1/vgpu3", (0, None)),
    ("nvidia0/gi1/vgpu0", (1, "MIG-x")),
    ("gpu-1", (0, None)),
    ("gpu-0-mig-19-2-1", (1, None)),
    ("nvidia.com/gpu=GPU-b", (1, None)),
    ("nvidia2", (2, None)),  # without a minor number: NVML's index
    ("nvidia7", None),
    ("GPU-z", None),
    ("MIG-GPU-a/1/0", None),
    ("", None),
]


@pytest.mark.parametrize(("name", "want"), NAMES, ids=[name for name, _ in NAMES])
def test_find_device_knows_every_shape(name: str, want: object) -> None:
    assert find_device((name,), GPUS) == want


def _parted(*parts: MigDevice) -> tuple[Gpu, ...]:
    return (Gpu(index=0, minor=0, uuid="GPU-a"), Gpu(index=1, minor=3, uuid="GPU-b", mig_devices=parts))


_SMALL = "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
PLACED = _parted(
    MigDevice(uuid="MIG-x", name=_SMALL, profile_id=19, placement=0),
    MigDevice(uuid="MIG-y", name=_SMALL, profile_id=19, placement=2),
    MigDevice(uuid="MIG-z", name=f"{_SMALL}+me", profile_id=20, placement=3),
)
NAMED = _parted(
    MigDevice(uuid="MIG-x", name=_SMALL),
    MigDevice(uuid="MIG-y", name=_SMALL),
    MigDevice(uuid="MIG-z", name=f"{_SMALL}+me"),
)
SPLIT = _parted(
    MigDevice(uuid="MIG-x", profile_id=9, placement=0), MigDevice(uuid="MIG-y", profile_id=9, placement=0)
)
LONE = _parted(MigDevice(uuid="MIG-x", name=None))
DRA_NAMES: list[tuple[str, tuple[Gpu, ...], str | None]] = [
    ("gpu-3-mig-1g10gb-19-2", PLACED, "MIG-y"),
    ("gpu-3-mig-1g10gb-me-20-3", PLACED, "MIG-z"),
    ("gpu-3-mig-19-2-1", PLACED, "MIG-y"),
    ("gpu-3-mig-1g10gb-19-4", PLACED, None),
    ("gpu-3-mig-1g10gb-me-20-3", NAMED, "MIG-z"),
    ("gpu-3-mig-1g10gb-19-2", NAMED, None),
    ("gpu-3-mig-19-2-1", NAMED, None),
    ("gpu-3-mig-3g40gb-9-0", SPLIT, None),
    ("gpu-3-mig-19-2-1", LONE, "MIG-x"),
    ("gpu-3-mig-of-a-later-kind", LONE, "MIG-x"),
    ("gpu-3-mig-of-a-later-kind", PLACED, None),
]


@pytest.mark.parametrize(("name", "gpus", "want"), DRA_NAMES)
def test_find_device_knows_the_mig_devices_of_nvidias_dra_driver(
    name: str, gpus: tuple[Gpu, ...], want: str | None
) -> None:
    assert find_device((name, "k8s.gpu.nvidia.com/claim=dab5ab50-" + name), gpus) == (1, want)


def test_list_allocations_asks_a_kubelet(kubelet: Kubelet) -> None:
    cdi = "k8s.gpu.nvidia.com/claim=uid-gpu-0"
    kubelet.pods = [holder("train-x", "GPU-a", "GPU-b"), holder("plain"), claimer("by-claim", "gpu-0", cdi)]
    assert list_allocations(kubelet.socket) == [
        Allocation("team", "train-x", "trainer", "nvidia.com/gpu", "GPU-a"),
        Allocation("team", "train-x", "trainer", "nvidia.com/gpu", "GPU-b"),
        Allocation("team", "by-claim", "trainer", "gpu.nvidia.com", "gpu-0", (cdi,)),
    ]


def test_list_allocations_names_the_socket_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KubeletError, match=r"kubelet\.sock is not there"):
        list_allocations(tmp_path / "kubelet.sock")


def test_list_allocations_says_that_the_folder_is_closed_to_it(tmp_path: Path) -> None:
    """As where SELinux or another owner keeps the agent's uid 0 out."""
    folder = tmp_path / "pod-resources"
    folder.mkdir(mode=0)
    before = os.geteuid()
    try:
        if before == 0:
            os.seteuid(65534)
        with pytest.raises(KubeletError, match="cannot be reached: Permission denied"):
            list_allocations(folder / "kubelet.sock")
    finally:
        os.seteuid(before)


def test_list_allocations_says_that_a_kubelet_does_not_answer(tmp_path: Path) -> None:
    socket = tmp_path / "kubelet.sock"
    socket.touch()
    with pytest.raises(KubeletError, match="UNAVAILABLE"):
        list_allocations(socket, seconds=2)


def test_parse_answer_skips_what_it_does_not_know_and_refuses_what_is_no_message() -> None:
    known = encode([holder("p", "GPU-a")])
    numa = bytes([3 << 3 | 2, 2, 1 << 3, 5])
    fixed = bytes([9 << 3 | 1]) + bytes(8) + bytes([10 << 3 | 5]) + bytes(4) + bytes([11 << 3, 150, 1])
    assert parse_answer(known + numa + fixed) == parse_answer(known)
    assert parse_answer(b"") == []
    for cut in range(1, len(known)):
        with pytest.raises(KubeletError):
            parse_answer(known[:cut])
    with pytest.raises(wire.WireError):
        wire.parse(b"\xff" * 20, {})


def test_with_holders_joins_gpus_and_leaves_other_devices_aside() -> None:
    def given(pod: str, device: str, resource: str = "nvidia.com/gpu", *aliases: str) -> Allocation:
        return Allocation("team", pod, "trainer", resource, device, aliases)

    gpus, others = with_holders(
        GPUS,
        [
            given("one", "GPU-a::0"),
            given("two", "GPU-a::1"),
            given("part", "MIG-x", "nvidia.com/mig-1g.10gb"),
            given("claim", "gpu-1", "gpu.nvidia.com"),
            given("cdi", "something", "gpu.nvidia.com", "nvidia.com/gpu=GPU-b"),
            given("foreign", "0000:3b:00.0", "gpu.intel.com/i915"),
            given("network", "0000:1a:00.1", "rdma/hca"),
            given("network", "0000:1a:00.2", "nvidia.com/hostdev"),
            given("network", "0000:1a:00.3", "nvidia.com/mlnxnics"),
            given("channel", "channel-0", "compute-domain.nvidia.com"),
            given("unknown", "GPU-z", "nvidia.com/gpu.shared"),
        ],
    )
    assert [holder.pod for holder in gpus[0].holders] == ["one", "two", "claim"]
    assert [holder.pod for holder in gpus[1].holders] == ["cdi"]
    assert [[holder.pod for holder in part.holders] for part in gpus[1].mig_devices] == [["part"], []]
    want = [("foreign", "0000:3b:00.0"), ("unknown", "GPU-z")]
    assert [(holder.pod, holder.device) for holder in others] == want
