"""Keeps a node's devices and labels as its scenario says: `python -m simulated_gpus.daemon CLUSTER NODE`."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import ExitStack

from cluster import Cluster, ClusterError
from cluster.progress import say

from .device_plugin import DevicePlugin
from .devices import build_labels, build_offers
from .nodes import GpuNode, label
from .scenario import Scenario

LOOK_EVERY = 0.1  # seconds
TRY_AGAIN = 2.0  # seconds, when the API server does not take the labels


class Keeper:
    """What follows from one node's scenario."""

    def __init__(self, node: GpuNode, exits: ExitStack) -> None:
        self._node = node
        self._exits = exits
        self._plugins: dict[str, DevicePlugin] = {}
        self._labelled: dict[str, str] | None = None
        self._not_before = 0.0

    def follow(self, scenario: Scenario) -> None:
        """A resource that has no devices any more stays, with none."""
        offers = build_offers(scenario)
        for resource in {*offers, *self._plugins}:
            devices = offers.get(resource, [])
            if plugin := self._plugins.get(resource):
                plugin.offer(devices)
                continue
            plugin = DevicePlugin(self._node.kubelet_root, resource, self._node.folder)
            plugin.start(devices)
            self._exits.callback(plugin.stop)
            self._plugins[resource] = plugin
        labels = build_labels(scenario)
        if labels != self._labelled and time.monotonic() > self._not_before:
            try:
                label(self._node, labels)
                self._labelled = labels
            except ClusterError as error:
                say(f"labels: {error}")
                self._not_before = time.monotonic() + TRY_AGAIN


def keep(node: GpuNode) -> None:
    """Until it is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    said = ""
    with ExitStack() as exits:
        keeper = Keeper(node, exits)
        while True:
            try:
                keeper.follow(node.file.read())
            except ClusterError as error:
                if said != (said := str(error)):
                    say(said)
            time.sleep(LOOK_EVERY)


if __name__ == "__main__":
    cluster, name = sys.argv[1:]
    keep(GpuNode.find(Cluster(cluster), name))
