"""Faults on purpose: what may befall a component or a node, as short verbs."""

from __future__ import annotations

import re
import signal

from .paths import ClusterError
from .processes import Supervisor

SHORT = {
    "apiserver": "kube-apiserver",
    "controller-manager": "kube-controller-manager",
    "scheduler": "kube-scheduler",
    "proxy": "kube-proxy",
}
OF_NODES = ("containerd", "kubelet", "kube-proxy", "policy-agent")


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


def kill(supervisor: Supervisor, component: str) -> None:
    """SIGKILL; returns when the component is gone, so that an `up` right after it sees that."""
    name = full_name(component)
    supervisor.signal(name, signal.SIGKILL)
    supervisor.stop(name)


def pause(supervisor: Supervisor, component: str) -> None:
    supervisor.signal(full_name(component), signal.SIGSTOP)


def resume(supervisor: Supervisor, component: str) -> None:
    """A paused component goes on; a dead one is started again."""
    name = full_name(component)
    if supervisor.pid(name):
        supervisor.signal(name, signal.SIGCONT)
    else:
        supervisor.start(supervisor.daemon(name))


def restart(supervisor: Supervisor, component: str) -> None:
    daemon = supervisor.daemon(full_name(component))
    supervisor.stop(daemon.name, grace=5.0)
    supervisor.start(daemon)
