"""Simulated GPUs on a real kubelet: counted, handed out, taken back, and what a pod sees of them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cluster import Cluster, device_notes, images
from cluster.api import wait_for
from simulated_gpus import nodes
from simulated_gpus.devices import RESOURCE, mig_resource
from simulated_gpus.nodes import GpuNode, wait_until_counted
from simulated_gpus.scenario import build_scenario, with_mig

NAME = "devices"
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

# Prints what it was given, then by NVML the first of its GPUs and, whenever it changes, its memory.
PROGRAM = """
import ctypes, json, os, time

def say(**found):
    print(json.dumps(found), flush=True)

say(gpus=os.environ.get("NVIDIA_VISIBLE_DEVICES", ""), stand_in=os.environ.get("YOLO_STAND_IN_GPUS"))
try:
    nvml = ctypes.CDLL("libnvidia-ml.so.1")
except OSError:
    say(nvml=None)
    time.sleep(600)
gpu, name, memory = ctypes.c_void_p(), ctypes.create_string_buffer(96), (ctypes.c_ulonglong * 3)()
first = os.environ["NVIDIA_VISIBLE_DEVICES"].split(",")[0].encode()
codes = [nvml.nvmlInitWithFlags(0), nvml.nvmlDeviceGetHandleByUUID(first, ctypes.byref(gpu))]
codes.append(nvml.nvmlDeviceGetName(gpu, name, 96))
say(nvml=name.value.decode(), codes=codes)
before = None
while True:
    nvml.nvmlDeviceGetMemoryInfo(gpu, memory)
    if memory[2] != before:
        before = memory[2]
        say(used=before)
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A node that tells of a change within 2 s, since it may be thought dead after 8."""
    cluster = Cluster(NAME)
    cluster.down()
    cluster.up(grace=8)
    yield cluster
    cluster.down()


@pytest.fixture(scope="module")
def image(cluster: Cluster) -> str:
    """Any image with Python."""
    return cluster.load(images.build(["api"])["api"])


@pytest.fixture
def node(cluster: Cluster) -> Iterator[GpuNode]:
    """The cluster's node with two idle GPUs; pods are gone afterwards, and all that befell is forgotten."""
    (node,) = nodes.start(cluster, 2)
    yield node
    cluster.kubectl("delete", "pods", "--all")
    node.file.write(build_scenario(node.name, 2))
    wait_until_counted(node)


def test_gpus_are_counted_labelled_handed_out_and_freed(cluster: Cluster, image: str, node: GpuNode) -> None:
    ids = [gpu.uuid for gpu in node.file.read().gpus]
    label = ["get", "node", node.name, "-o", r"jsonpath={.metadata.labels.nvidia\.com/gpu\.product}"]
    wait_for("labels", lambda: cluster.kubectl(*label) == "NVIDIA-H100-80GB-HBM3", 20)
    _start(cluster, "holder", image, {RESOURCE: 2})
    given, seen, memory = _words(cluster, "holder", 3)
    assert set(given["gpus"].split(",")) == set(ids)
    assert given["stand_in"] == "cpu"
    assert seen == {"nvml": "NVIDIA H100 80GB HBM3", "codes": [0, 0, 0]}
    assert memory == {"used": 0}
    first = ids.index(given["gpus"].split(",")[0])
    node.file.change(lambda now: now.with_gpu(first, memory_used="20GiB"))
    assert _words(cluster, "holder", 4)[3] == {"used": 20 << 30}
    _start(cluster, "bystander", image, {})
    assert _words(cluster, "bystander", 2) == [{"gpus": "", "stand_in": None}, {"nvml": None}]
    _start(cluster, "next", image, {RESOURCE: 1})
    why = ["get", "pod", "next", "-o", "jsonpath={.status.conditions[*].message}"]
    wait_for("a refusal", lambda: f"Insufficient {RESOURCE}" in cluster.kubectl(*why), 30)
    cluster.kubectl("delete", "pod", "holder")
    assert _words(cluster, "next", 1)[0]["gpus"] in ids


def test_health_and_parts_change_what_is_allocatable(cluster: Cluster, node: GpuNode) -> None:
    nodes.change(cluster, "node-1/0", lambda now, gpu: now.with_xid(gpu, 94))
    wait_until_counted(node)
    assert _allocatable(cluster)[RESOURCE] == "1"
    node.file.change(lambda now: with_mig(now.with_healed(0), 1, ["1g.10gb", "1g.10gb"]))
    wait_until_counted(node)
    found = _allocatable(cluster)
    assert (found[RESOURCE], found[mig_resource("1g.10gb")]) == ("1", "2")


def test_a_kubelet_that_starts_again_knows_gpus_and_who_has_them(
    cluster: Cluster, image: str, node: GpuNode
) -> None:
    _start(cluster, "holder", image, {RESOURCE: 1})
    held = _words(cluster, "holder", 1)[0]["gpus"]
    before = _container(cluster, "holder")
    assert (device_notes.own_notes(node.kubelet_root) / "kubelet_internal_checkpoint").exists()
    cluster.faults.restart("kubelet@node-1")
    spare = next(index for index, gpu in enumerate(node.file.read().gpus) if gpu.uuid != held)
    node.file.change(lambda now: now.with_gpu(spare, unhealthy=True))
    wait_until_counted(node)  # so the new kubelet listens
    node.file.change(lambda now: now.with_healed(spare))
    wait_until_counted(node)
    _start(cluster, "next", image, {RESOURCE: 1})
    assert _words(cluster, "next", 1)[0]["gpus"] not in (held, "")
    assert _container(cluster, "holder") == before


def _start(cluster: Cluster, name: str, image: str, limits: dict[str, int]) -> None:
    """Starts a pod of an unprivileged user with these devices."""
    container = {
        "name": "main",
        "image": image,
        "command": ["python", "-c", PROGRAM],
        "resources": {"limits": limits},
        "securityContext": {"runAsUser": 65534, "readOnlyRootFilesystem": True},
    }
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))


def _words(cluster: Cluster, pod: str, count: int) -> list[dict[str, Any]]:
    """The first `count` things that a pod says."""
    lines: list[str] = []

    def said() -> bool:
        lines[:] = cluster.kubectl("logs", pod, check=False).splitlines()
        return len(lines) >= count

    wait_for(f"{count} words of pod {pod}", said, 60)
    return [json.loads(line) for line in lines[:count]]


def _container(cluster: Cluster, pod: str) -> str:
    return cluster.kubectl("get", "pod", pod, "-o", "jsonpath={.status.phase} {.status..containerID}")


def _allocatable(cluster: Cluster) -> dict[str, str]:
    found = cluster.kubectl("get", "node", "node-1", "-o", "jsonpath={.status.allocatable}")
    allocatable: dict[str, str] = json.loads(found)
    return allocatable
