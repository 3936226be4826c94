"""Kueue's objects, made and changed as an administrator of queues does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .cluster import Cluster
from .paths import ClusterError

API = "kueue.x-k8s.io/v1beta2"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
Manifest = dict[str, Any]
Quota = Mapping[str, str | int]
"""Resource -> how much of it may be in use at once, such as {"cpu": "4", "nvidia.com/gpu": 2}."""


def build_resource_flavor(
    name: str, node_labels: Mapping[str, str] | None = None, topology: str | None = None
) -> Manifest:
    """A kind of node; admitted Jobs get its labels as their nodeSelector. With a Topology (and labels) Kueue
    counts what is free on each of the nodes, and places the pods.
    """
    spec: Manifest = {"nodeLabels": dict(node_labels)} if node_labels else {}
    if topology:
        spec["topologyName"] = topology
    return {"apiVersion": API, "kind": "ResourceFlavor", "metadata": {"name": name}, "spec": spec}


def build_cluster_queue(name: str, quota: Quota, *, flavor: str, preempts: bool = True) -> Manifest:
    """A queue for all namespaces; where it `preempts`, a Workload of higher priority evicts lower ones."""
    return {
        "apiVersion": API,
        "kind": "ClusterQueue",
        "metadata": {"name": name},
        "spec": {
            "namespaceSelector": {},
            "preemption": {"withinClusterQueue": "LowerPriority" if preempts else "Never"},
            "resourceGroups": _build_groups(quota, flavor),
        },
    }


def build_local_queue(name: str, namespace: str, cluster_queue: str) -> Manifest:
    """What the Jobs of a namespace name by the label `kueue.x-k8s.io/queue-name`."""
    return {
        "apiVersion": API,
        "kind": "LocalQueue",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterQueue": cluster_queue},
    }


def build_topology(name: str, *levels: str) -> Manifest:
    """How near nodes are to each other: label keys, from the widest to that of a node."""
    spec = {"levels": [{"nodeLabel": level} for level in levels]}
    return {"apiVersion": API, "kind": "Topology", "metadata": {"name": name}, "spec": spec}


def build_priority_class(name: str, value: int) -> Manifest:
    """What Jobs name by the label `kueue.x-k8s.io/priority-class`."""
    return {"apiVersion": API, "kind": "WorkloadPriorityClass", "metadata": {"name": name}, "value": value}


def _build_groups(quota: Quota, flavor: str) -> list[Manifest]:
    resources = [{"name": name, "nominalQuota": str(amount)} for name, amount in quota.items()]
    return [{"coveredResources": [*quota], "flavors": [{"name": flavor, "resources": resources}]}]


class Queues:
    """The queues of a cluster that has Kueue. Every method may raise ClusterError with Kueue's own words."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def apply(self, *manifests: Manifest) -> None:
        """Makes objects of the builders above, or takes back what was changed of them."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self._cluster.kubectl(
            "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(listed)
        )

    def make(self, name: str, namespace: str, quota: Quota, *, preempts: bool = True) -> None:
        """A LocalQueue with a ClusterQueue and a flavor of its own, all of that name."""
        self.apply(
            build_resource_flavor(name),
            build_cluster_queue(name, quota, flavor=name, preempts=preempts),
            build_local_queue(name, namespace, name),
        )

    def set_quota(self, cluster_queue: str, quota: Quota, *, flavor: str | None = None) -> None:
        """Replaces the quota. What runs stays, even beyond it; `flavor`: by default named as the queue."""
        groups = _build_groups(quota, flavor or cluster_queue)
        self._patch("clusterqueue", cluster_queue, {"spec": {"resourceGroups": groups}})

    def stop(self, cluster_queue: str, *, drain: bool = False) -> None:
        """Admits nothing more; with `drain`, what runs is evicted too."""
        policy = "HoldAndDrain" if drain else "Hold"
        self._patch("clusterqueue", cluster_queue, {"spec": {"stopPolicy": policy}})

    def resume(self, cluster_queue: str) -> None:
        """Undoes `stop`."""
        self._patch("clusterqueue", cluster_queue, {"spec": {"stopPolicy": "None"}})

    def deactivate(self, job: str, namespace: str) -> None:
        """Takes a Job's Workload out of the queue, evicted if it ran."""
        self._set_active(job, namespace, active=False)

    def activate(self, job: str, namespace: str) -> None:
        """Undoes `deactivate`, also Kueue's own when the pods were not ready too often."""
        self._set_active(job, namespace, active=True)

    def workload(self, job: str, namespace: str) -> Manifest:
        """The Workload of a Job; raises ClusterError if it has none (yet)."""
        uid = self._cluster.kubectl("get", "job", job, "-n", namespace, "-o", "jsonpath={.metadata.uid}")
        selector = f"kueue.x-k8s.io/job-uid={uid}"
        question = ("get", "workloads.kueue.x-k8s.io", "-n", namespace, "-l", selector, "-o", "json")
        found: list[Manifest] = json.loads(self._cluster.kubectl(*question))["items"]
        if not found:
            raise ClusterError(f"Job {namespace}/{job} has no Workload")
        return found[0]

    def conditions(self, job: str, namespace: str) -> dict[str, Manifest]:
        """The conditions of a Job's Workload by type; empty where it has none or there is no Workload yet."""
        try:
            status = self.workload(job, namespace).get("status", {})
        except ClusterError:
            return {}
        return {condition["type"]: condition for condition in status.get("conditions", [])}

    def pending(self, local_queue: str, namespace: str) -> list[str]:
        """The Jobs that wait in a queue, in their order there, by the visibility API."""
        group = "/apis/visibility.kueue.x-k8s.io/v1beta2"
        path = f"{group}/namespaces/{namespace}/localqueues/{local_queue}/pendingworkloads"
        waiting: list[Manifest] = json.loads(self._cluster.kubectl("get", "--raw", path))["items"]
        waiting.sort(key=lambda each: each["positionInLocalQueue"])
        return [each["metadata"]["ownerReferences"][0]["name"] for each in waiting]

    def _set_active(self, job: str, namespace: str, *, active: bool) -> None:
        name = self.workload(job, namespace)["metadata"]["name"]
        self._patch("workloads.kueue.x-k8s.io", name, {"spec": {"active": active}}, namespace=namespace)

    def _patch(self, kind: str, name: str, patch: Manifest, *, namespace: str = "default") -> None:
        self._cluster.kubectl("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(patch))
