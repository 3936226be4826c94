"""The simulated GPUs of a local cluster's nodes: started, changed and ended, for people and tests."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import Cluster, ClusterError
from cluster.api import Api, wait_for
from cluster.components import SYSTEM_PATH, with_config
from cluster.faults import node_index
from cluster.pki import Pki
from cluster.processes import Daemon

from .devices import LIB, STATE, build_offers
from .library import SONAME, build_library
from .scenario import Scenario, ScenarioFile, build_scenario

FOLDER = "gpus"
_SOURCES = Path(__file__).parent
_PATIENCE = 40  # seconds: the kubelet tells of its devices every 10 s


@dataclass(frozen=True)
class GpuNode:
    """A node and where its simulation lies."""

    cluster: Cluster
    index: int
    name: str
    folder: Path
    kubelet_root: Path

    @classmethod
    def find(cls, cluster: Cluster, name: str) -> GpuNode:
        """Raises ClusterError if there is no such node."""
        plan = cluster.plan
        index = node_index(name, plan.nodes)
        return cls(cluster, index, name, plan.node_run(index) / FOLDER, plan.node_root(index) / "kubelet")

    @property
    def file(self) -> ScenarioFile:
        return ScenarioFile(self.folder / STATE)

    @property
    def daemon(self) -> Daemon:
        argv = (sys.executable, "-m", "simulated_gpus.daemon", self.cluster.name, self.name)
        env = {"PATH": SYSTEM_PATH, "PYTHONPATH": str(_SOURCES.parent)}
        return with_config(
            Daemon(f"simulated-gpus@{self.name}", argv, env=env), *sorted(_SOURCES.glob("*.py"))
        )

    def install_library(self) -> None:
        """Its own copy of the stub, which stays when the cache goes."""
        target = self.folder / LIB / SONAME
        built = build_library() / SONAME
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != built.read_bytes():
            aside = target.with_suffix(".tmp")
            shutil.copy(built, aside)
            aside.replace(target)


def gpu_nodes(cluster: Cluster) -> list[GpuNode]:
    """All nodes of the cluster that have simulated GPUs."""
    nodes = (GpuNode.find(cluster, name) for name in cluster.plan.node_names)
    return [node for node in nodes if node.file.path.exists()]


def start(
    cluster: Cluster,
    gpus: int | None = None,
    *,
    nodes: Sequence[str] = (),
    replicas: int | None = None,
    **values: Any,
) -> list[GpuNode]:
    """Gives nodes, by default all, simulated GPUs and waits until the API server counts them.

    A node that has some keeps them, unless another number or values are named: all are new then.
    `values` are those of each GPU, such as `name="NVIDIA L4", memory_total="24GiB"`. Raises ClusterError.
    """
    found = [GpuNode.find(cluster, name) for name in nodes or cluster.plan.node_names]
    for node in found:
        ensure_scenario(node, gpus, replicas, **values)
        node.install_library()
        cluster.supervisor.ensure(node.daemon)
    for node in found:
        wait_until_counted(node)
    return found


def ensure_scenario(
    node: GpuNode, gpus: int | None = None, replicas: int | None = None, **values: Any
) -> None:
    """What `start` does to a node's scenario."""
    has = len(node.file.read().gpus) if node.file.path.exists() else None
    wanted = gpus if gpus is not None else has if has is not None else 1
    if wanted != has or values:
        node.file.write(build_scenario(node.name, wanted, **values))
    if replicas is not None:
        node.file.change(lambda now: now.with_values(replicas=replicas))


def wait_until_counted(node: GpuNode) -> None:
    """Until just the devices that its scenario calls healthy are allocatable. Raises ClusterError."""
    plan = node.cluster.plan
    api = Api(plan.addresses.api, Pki(plan.pki))
    daemon = node.daemon.name

    def counted() -> bool:
        node.cluster.supervisor.require(daemon)
        status = api.object(f"/api/v1/nodes/{node.name}").get("status", {})
        has = status.get("allocatable", {})
        offers = build_offers(node.file.read())
        return all(
            int(has.get(resource, 0)) == sum(device.healthy for device in devices)
            for resource, devices in offers.items()
        )

    hint = f"See {node.cluster.supervisor.logs}/{daemon}.log"
    wait_for(f"the GPUs of {node.name}", counted, _PATIENCE, hint=hint)


def label(node: GpuNode, labels: dict[str, str]) -> None:
    """Leaves the node exactly these of NVIDIA's labels. Raises ClusterError."""
    found = json.loads(node.cluster.kubectl("get", "node", node.name, "-o", "json"))["metadata"]["labels"]
    has = {key: value for key, value in found.items() if key.startswith("nvidia.com/")}
    if has != labels:
        patch = {"metadata": {"labels": {**dict.fromkeys(has), **labels}}}
        node.cluster.kubectl("patch", "node", node.name, "--type=merge", "-p", json.dumps(patch))


def stop(cluster: Cluster) -> None:
    """Takes all simulated GPUs away; the kubelet forgets them 5 minutes later."""
    for node in gpu_nodes(cluster):
        cluster.supervisor.forget(node.daemon.name, grace=5.0)
        label(node, {})
        node.file.path.unlink()


def change(cluster: Cluster, target: str, how: Callable[[Scenario, int], Scenario]) -> Scenario:
    """Changes what befalls one GPU, by a name such as `node-1/0`. Raises ClusterError."""
    name, slash, index = target.partition("/")
    if not slash or not index.isdecimal():
        raise ClusterError(f"{target!r} is no GPU: should be NODE/INDEX, such as node-1/0")
    return GpuNode.find(cluster, name).file.change(lambda now: how(now, int(index)))
