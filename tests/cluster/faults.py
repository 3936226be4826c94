"""Faults on purpose: what may befall a component, a node or a disk, as short verbs."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from . import addons, disks, network
from .node import Node
from .paths import ClusterError

if TYPE_CHECKING:
    from .cluster import Cluster

SHORT = {
    "apiserver": "kube-apiserver",
    "controller-manager": "kube-controller-manager",
    "scheduler": "kube-scheduler",
    "proxy": "kube-proxy",
}
OF_NODES = ("containerd", "kubelet", "kube-proxy", "policy-agent", "simulated-gpus")


def full_name(component: str) -> str:
    """`apiserver` -> `kube-apiserver`, `proxy@node-2` -> `kube-proxy@node-2`."""
    name, _, node = component.partition("@")
    name = SHORT.get(name, name)
    if name in OF_NODES:
        return f"{name}@{node or 'node-1'}"
    if node:
        raise ClusterError(f"{name} belongs to no node")
    return name


def node_index(name: str, nodes: int) -> int:
    """`node-2` -> 2; raises ClusterError if there is no such node."""
    found = re.fullmatch(r"node-(\d+)", name)
    if not found or not 1 <= int(found.group(1)) <= nodes:
        raise ClusterError(f"no node {name!r} here: there are node-1 to node-{nodes}")
    return int(found.group(1))


class Faults:
    """The verbs of one cluster; `Cluster.up` undoes most of what they do."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._supervisor = cluster.supervisor

    # Components

    def kill(self, component: str) -> None:
        """SIGKILLs a component such as `kubelet@node-1` or `kube-apiserver`.

        Returns when it is gone, so that an `up` right after it sees that.
        """
        name = full_name(component)
        self._supervisor.signal(name, signal.SIGKILL)
        self._supervisor.stop(name)

    def pause(self, component: str) -> None:
        """Freezes a component: it holds its connections and says nothing."""
        self._supervisor.signal(full_name(component), signal.SIGSTOP)

    def resume(self, component: str) -> None:
        """Ends `pause`; a component that was killed is started again."""
        name = full_name(component)
        if self._supervisor.pid(name):
            self._supervisor.signal(name, signal.SIGCONT)
        else:
            self._supervisor.start(self._supervisor.daemon(name))

    def restart(self, component: str) -> None:
        """Stops a component in its usual way and starts it just so again."""
        daemon = self._supervisor.daemon(full_name(component))
        self._supervisor.stop(daemon.name, grace=5.0)
        self._supervisor.start(daemon)

    # Nodes

    def cut(self, name: str) -> None:
        """Unplugs a node's network cable."""
        network.cut(self._cluster.plan.addresses, self._node(name).index, up=False)

    def heal(self, name: str) -> None:
        """Plugs a node's cable in again."""
        plan, index = self._cluster.plan, self._node(name).index
        network.cut(plan.addresses, index, up=True)
        network.ensure_node(plan.addresses, index, plan.nodes)

    def drain(self, name: str) -> None:
        """Evicts a node's pods and lets no new ones on it, as before its maintenance."""
        options = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s")
        self._cluster.kubectl("drain", self._node(name).name, *options)

    def uncordon(self, name: str) -> None:
        """Undoes `drain`: new pods may come."""
        self._cluster.kubectl("uncordon", self._node(name).name)

    # Disks

    def small_volume(self, name: str, mebibytes: int = 64) -> None:
        """Makes a volume of the pool a file system of that size for pods that start from now on."""
        disks.shrink(self._volume(name), mebibytes)

    def fill_disk(self, target: str) -> None:
        """Fills a small volume; a node's disk beyond the kubelet's limit (DiskPressure, evictions)."""
        if target.startswith("node-"):
            self._node(target).fill_disk()
        else:
            disks.fill(self._volume(target))

    def free_disk(self, target: str) -> None:
        """Undoes `fill_disk`."""
        if target.startswith("node-"):
            self._node(target).start_kubelet()
        else:
            disks.free(self._volume(target))

    def _node(self, name: str) -> Node:
        plan = self._cluster.plan
        return Node(plan, node_index(name, plan.nodes))

    def _volume(self, name: str) -> Path:
        volumes = self._cluster.volumes
        folder = volumes / name
        if not (self._cluster.plan.nodes and folder.parent == volumes and folder.is_dir()):
            raise ClusterError(f"no volume {name!r} here: there are pv-00 to pv-{addons.VOLUMES - 1:02d}")
        return folder
