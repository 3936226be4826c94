"""What explains a failed test: logs, objects, events, metrics and the logs of pods, in one folder."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .api import Api
from .paths import ClusterError
from .pki import Pki
from .plan import Plan

if TYPE_CHECKING:
    from .cluster import Cluster

KINDS = (
    "pods,jobs,deployments,daemonsets,statefulsets,services,configmaps,persistentvolumeclaims,serviceaccounts,"
    "networkpolicies"
)
QUEUE_KINDS = (
    "workloads.kueue.x-k8s.io,localqueues,clusterqueues,resourceflavors,workloadpriorityclasses,"
    "mutatingwebhookconfigurations,validatingwebhookconfigurations,apiservices"
)
KUBELET_PORT = 10250
CLUSTER_KINDS = "nodes,persistentvolumes,customresourcedefinitions"


def dump(cluster: Cluster, folder: Path) -> None:
    """Writes whatever can be had; a part that fails leaves its error in the file instead."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(cluster.supervisor.logs, folder / "components", dirs_exist_ok=True)
    if cluster.audit_log.exists():
        shutil.copy(cluster.audit_log, folder / "audit.log")
    questions = {
        "status.txt": ["get", "nodes,pods,jobs,pvc,pv", "-A", "-o", "wide"],
        "events.txt": ["get", "events", "-A", "--sort-by=.lastTimestamp"],
        "objects.yaml": ["get", KINDS, "-A", "-o", "yaml"],
        "cluster.yaml": ["get", CLUSTER_KINDS, "-o", "yaml"],
        **_queue_questions(cluster),
        "trainings.yaml": ["get", "yolotrainings", "-A", "-o", "yaml"],
    }
    for file, question in questions.items():
        (folder / file).write_text(_ask(cluster, *question))
    with suppress(ClusterError):
        _dump_metrics(cluster.plan, folder / "metrics")
    with suppress(ClusterError, ValueError, KeyError):
        for pod in json.loads(cluster.kubectl("get", "pods", "-A", "-o", "json", "--request-timeout=10s"))[
            "items"
        ]:
            _dump_pod(cluster, pod["metadata"]["namespace"], pod["metadata"]["name"], folder / "pods")


def _queue_questions(cluster: Cluster) -> dict[str, list[str]]:
    if "kueue" not in cluster.supervisor.names():
        return {}
    return {"queues.yaml": ["get", QUEUE_KINDS, "-A", "-o", "yaml"]}


def _dump_pod(cluster: Cluster, namespace: str, name: str, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    common = ["-n", namespace, "logs", name, "--all-containers", "--prefix", "--timestamps"]
    (folder / f"{namespace}_{name}.log").write_text(_ask(cluster, *common))
    (folder / f"{namespace}_{name}.txt").write_text(_ask(cluster, "-n", namespace, "describe", "pod", name))


def metrics_sources(plan: Plan) -> dict[str, Api]:
    """Component -> where it answers `GET /metrics`."""
    pki, addresses = Pki(plan.pki), plan.addresses

    def on_loopback(component: str, *, user: str, ca: str) -> Api:
        return Api(f"https://127.0.0.1:{addresses.port(component)}", pki, user, ca=ca)

    found = {
        "etcd": on_loopback("etcd", user="etcd", ca="etcd-ca"),
        "kube-apiserver": Api(addresses.api, pki),
    }
    for component in ("kube-controller-manager", *(() if addresses.api_only else ("kube-scheduler",))):
        # Their certificates are their own, in a folder of that name.
        found[component] = on_loopback(component, user="admin", ca=f"{component}/{component}")
    for index, name in enumerate(plan.node_names, 1):
        found[f"kubelet@{name}"] = Api(f"https://{addresses.node_address(index)}:{KUBELET_PORT}", pki)
    return found


def _dump_metrics(plan: Plan, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for component, api in metrics_sources(plan).items():
        status, body = api.get("/metrics")
        text = body if status == 200 else f"no answer\n{body}" if not status else f"status {status}\n{body}"
        (folder / f"{component}.txt").write_text(text)


def _ask(cluster: Cluster, *arguments: str) -> str:
    try:
        return cluster.kubectl(*arguments, "--request-timeout=10s")
    except (ClusterError, OSError) as error:
        return f"{error}\n"
