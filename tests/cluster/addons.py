"""What a fresh cluster holds: DNS, and a default storage class with a pool of volumes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .config import COREDNS_IMAGE, PAUSE_IMAGE, POLICY_AGENT
from .slots import Addresses

VOLUMES = 24
RBAC = "rbac.authorization.k8s.io"
OWNER = 1000  # uid and gid that the project's pods run as
Manifest = dict[str, Any]

COREFILE = """\
.:53 {
    errors
    health :8080
    ready :8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        ttl 5
    }
    cache 5
}
"""


def build_addons(addresses: Addresses, volumes: Path, tolerations: Sequence[Manifest] = ()) -> Manifest:
    """One List of everything, to be applied at once; the DNS server has these tolerations."""
    items = [*_policy_agent(), *_storage(volumes), *_dns(addresses, tolerations)]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def ensure_volumes(volumes: Path) -> None:
    """The folders behind the pool: group-writable, and new files in them keep the group."""
    for number in range(VOLUMES):
        folder = volumes / volume_name(number)
        if not folder.exists():
            folder.mkdir(parents=True)
            os.chown(folder, OWNER, OWNER)
            folder.chmod(0o2775)


def volume_name(number: int) -> str:
    return f"pv-{number:02d}"


def build_recycler() -> Manifest:
    """The pod by which the controller-manager empties a released volume, so that the pool never runs dry."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "recycler", "namespace": "default"},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": 120,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "volumes": [{"name": "vol", "hostPath": {"path": "/replaced-by-the-controller"}}],
            "containers": [
                {
                    "name": "recycler",
                    "image": PAUSE_IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "args": ["empty", "/scrub"],
                    "securityContext": {"runAsUser": 0},
                    "volumeMounts": [{"name": "vol", "mountPath": "/scrub"}],
                }
            ],
        },
    }


def _storage(volumes: Path) -> list[Manifest]:
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "Immediate",
    }
    return [storage_class, *(_volume(volumes, number) for number in range(VOLUMES))]


def _volume(volumes: Path, number: int) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(number)},
        "spec": {
            "storageClassName": "standard",
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Recycle",
            "hostPath": {"path": str(volumes / volume_name(number)), "type": "Directory"},
        },
    }


def _policy_agent() -> list[Manifest]:
    """What the nodes' policy agents may read."""
    rules = [
        {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["list", "watch"]},
    ]
    return _cluster_role(POLICY_AGENT, rules, {"kind": "User", "apiGroup": RBAC, "name": POLICY_AGENT})


def _cluster_role(name: str, rules: list[Manifest], subject: Manifest) -> list[Manifest]:
    """A ClusterRole and the binding that gives it to `subject`."""
    kind, metadata = "ClusterRole", {"name": name}
    return [
        {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
            "subjects": [subject],
        },
    ]


def _dns(addresses: Addresses, tolerations: Sequence[Manifest]) -> list[Manifest]:
    where = {"name": "coredns", "namespace": "kube-system"}
    labels = {"k8s-app": "kube-dns"}
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": where},
        *_cluster_role("system:coredns", rules, {"kind": "ServiceAccount", **where}),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": where, "data": {"Corefile": COREFILE}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
            "spec": {
                "clusterIP": addresses.service(10),
                "selector": labels,
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
                ],
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**where, "labels": labels},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": _dns_pod(tolerations)},
            },
        },
    ]


def _dns_pod(tolerations: Sequence[Manifest]) -> Manifest:
    return {
        "tolerations": [*tolerations],
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "coredns",
                "image": COREDNS_IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "args": ["-conf", "/etc/coredns/Corefile"],
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                "readinessProbe": {
                    "httpGet": {"path": "/ready", "port": 8181},
                    "periodSeconds": 1,
                    "failureThreshold": 10,
                },
                "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
                "securityContext": {
                    "readOnlyRootFilesystem": True,
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
