"""GPUs by device plugin and CDI on the local node: who asks for one gets what the device's CDI file names."""

import json
from collections.abc import Iterator

import pytest

from cluster import Cluster, images
from cluster.api import wait_for
from cluster.node import Node
from e2e.device_plugin import DevicePlugin

NAME = "devices"
RESOURCE = "nvidia.com/gpu"
DRIVER = "/opt/driver/version"
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(NAME)
    cluster.down()
    cluster.up()
    yield cluster
    cluster.down()


def test_devices_are_counted_and_reach_the_container_by_cdi(cluster: Cluster) -> None:
    node = cluster.nodes()[0]
    _describe(node, ["0", "1"])
    image = cluster.load(images.build(["api"])["api"])
    count = ["get", "node", node.name, "-o", r"jsonpath={.status.allocatable.nvidia\.com/gpu}"]
    with DevicePlugin(cluster.plan.node_root(1) / "kubelet", RESOURCE, ["0", "1"]):
        wait_for("two devices", lambda: cluster.kubectl(*count) == "2", 60)
        _start(cluster, "holder", image, gpus=2)
        assert _first_words(cluster, "holder") == "['FAKE_DEVICE_0', 'FAKE_DEVICE_1'] driver 580"
        _start(cluster, "bystander", image)
        assert _first_words(cluster, "bystander") == "[] none"
        _start(cluster, "next", image, gpus=1)
        why = ["get", "pod", "next", "-o", "jsonpath={.status.conditions[*].message}"]
        wait_for("a refusal", lambda: f"Insufficient {RESOURCE}" in cluster.kubectl(*why), 30)
        cluster.kubectl("delete", "pod", "holder", "--grace-period=0", "--force")
        assert _first_words(cluster, "next").endswith("driver 580")


def _describe(node: Node, devices: list[str]) -> None:
    """The node's CDI file: each device sets a variable, all of them bring the driver's file along."""
    driver = node.run / "driver-version"
    driver.write_text("driver 580")
    mount = {"hostPath": str(driver), "containerPath": DRIVER, "options": ["ro", "nosuid", "nodev", "bind"]}
    described = {
        "cdiVersion": "0.6.0",
        "kind": RESOURCE,
        "containerEdits": {"mounts": [mount]},
        "devices": [{"name": name, "containerEdits": {"env": [f"FAKE_DEVICE_{name}=1"]}} for name in devices],
    }
    (node.run / "cdi" / "fake.json").write_text(json.dumps(described))


def _start(cluster: Cluster, name: str, image: str, gpus: int = 0) -> None:
    """Starts a pod that prints the devices that it has and the driver's version, then holds them."""
    code = (
        "import os, pathlib, time\n"
        f"driver = pathlib.Path({DRIVER!r})\n"
        "devices = sorted(name for name in os.environ if name.startswith('FAKE_DEVICE_'))\n"
        "print(devices, driver.read_text() if driver.exists() else 'none', flush=True)\n"
        "time.sleep(600)\n"
    )
    limits = {"limits": {RESOURCE: gpus}} if gpus else {}
    container = {"name": "main", "image": image, "command": ["python", "-c", code], "resources": limits}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))


def _first_words(cluster: Cluster, pod: str) -> str:
    """The pod's first words."""

    def log() -> str:
        return cluster.kubectl("logs", pod, check=False).strip()

    wait_for(f"words of pod {pod}", lambda: log() != "", 60)
    return log()
