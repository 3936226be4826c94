"""Brings the system up: on a local Kubernetes of its own, or on the current kube context."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster import Cluster, ClusterError, build, images, packages, queues
from cluster.ports import free_port, is_free
from cluster.processes import Daemon, Supervisor
from cluster.progress import say, step
from simulated_gpus.agent import agent_values
from simulated_gpus.nodes import gpu_nodes
from simulated_gpus.nodes import start as start_gpus

from .install import NODE_PORT, ROOT, InstallError, System, install_chart
from .teardown import CURRENT, FORWARD, NAMESPACE, RELEASE

PORT = 60066
"""Of the older server: its clients change host and port, here only the host where the port is free."""
QUEUE = "trainings"
"""The LocalQueue that `kueue` brings."""
ONE_AT_A_TIME: queues.Quota = {"pods": 1, "cpu": 1000, "memory": "1Ti", "nvidia.com/gpu": 100}
"""A quota must name all that its Jobs ask for; only the number of pods shall bound them here."""
LOCAL_VALUES = [
    "legacy.anonymous=true",  # only 127.0.0.1 of this machine leads here
    "dataAccess.enabled=true",
    # Two threads (rounded up) beside the system's own pods on a node of two cores: with one, torch takes
    # another way for small batches, which is three times as slow.
    "api.defaults.cpu=1100m",
    "api.defaults.memory=4Gi",
    "api.defaults.sharedMemory=512Mi",
    "trainer.prepare.cpu=250m",
    "operator.progressIntervalSeconds=2",
]


def bring_up(
    name: str,
    *,
    port: int | None = None,
    nodes: int | None = None,
    gpus: int | None = None,
    kueue: bool = False,
    values: list[str] | None = None,
) -> System:
    """A ready system on the local cluster `name`. Safe to call again: what is there stays.

    port: of 127.0.0.1, where the façade is reached; by default see `choose_port`.
    gpus: simulated ones a node, with the agents that tell of them; by default as many as there are.
    kueue: with Kueue and a queue `trainings` that lets one pod run at a time.

    Raises ClusterError or InstallError.
    """
    packages.ensure(nodes=True)
    cluster = Cluster(name)
    port = port or choose_port(cluster)
    # The binaries need the processors, the images mostly wait for downloads.
    with ThreadPoolExecutor(1) as background:
        building = background.submit(images.build)
        build.binaries(*build.wanted(kueue=kueue))
        cluster.up(host_port=port, nodes=nodes, kueue=kueue)
        references = building.result()
    with step("images: onto the node"):
        for reference in references.values():
            cluster.load(reference)
    system = System(cluster.kubeconfig, cluster.bin, NAMESPACE, RELEASE, f"http://127.0.0.1:{port}")
    given = ["api.service.type=NodePort", f"api.service.nodePort={NODE_PORT}", *(values or [])]
    if gpus is not None or gpu_nodes(cluster):
        with step("GPUs: simulated"):
            start_gpus(cluster, gpus)
        given += agent_values(cluster)
    with step("chart: installed and ready"):
        install_chart(system, references, [*LOCAL_VALUES, *given])
        system.wait_ready()
    if kueue and not system.kubectl("get", "localqueue", QUEUE, "--ignore-not-found"):
        queues.Queues(cluster).make(QUEUE, NAMESPACE, ONE_AT_A_TIME)
    # What the README tells people to type needs no `--namespace` then.
    system.run("kubectl", "config", "set-context", "--current", f"--namespace={NAMESPACE}")
    return system


def choose_port(cluster: Cluster) -> int:
    """The port that the cluster has already; at first the older server's or, where another program such as
    another checkout's demo has that, a free one, which is said.
    """
    try:
        before = cluster.plan
    except ClusterError:
        pass
    else:
        if before.host_port and (cluster.supervisor.pid("forwarder") or is_free(before.host_port)):
            return before.host_port
    if is_free(PORT):
        return PORT
    port = free_port()
    say(f"  port {PORT} of 127.0.0.1 is taken by another program: the façade gets {port} instead")
    return port


def bring_up_current(
    *, port: int = PORT, namespace: str = NAMESPACE, values: list[str] | None = None
) -> System:
    """A ready system on the current kube context; images are named by IMAGE_REGISTRY and IMAGE_TAG.

    The façade is reached through a `kubectl port-forward` that `end_forwarder` ends. Raises InstallError.
    """
    registry, tag = os.environ.get("IMAGE_REGISTRY"), os.environ.get("IMAGE_TAG")
    if not registry or not tag:
        raise InstallError(
            "CLUSTER=current needs images that the cluster's nodes can pull: build and push the three images "
            "(README, «Install on your cluster»), then set IMAGE_REGISTRY and IMAGE_TAG"
        )
    kubectl = shutil.which("kubectl")
    if kubectl is None or shutil.which("helm") is None:
        raise InstallError("CLUSTER=current needs kubectl and helm on PATH")
    kubeconfig = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config").resolve()
    system = System(kubeconfig, None, namespace, RELEASE, f"http://127.0.0.1:{port}")
    references = {part: f"{registry}/yolo-operator/{part}:{tag}" for part in ("operator", "api", "trainer")}
    with step("chart: installed and ready"):
        install_chart(system, references, [*LOCAL_VALUES, *(values or [])])
    forward = ("--namespace", namespace, "port-forward", f"svc/{RELEASE}-api", f"{port}:60066")
    forwarder = Supervisor(CURRENT)
    if forwarder.pid(FORWARD) is None and not is_free(port):
        raise InstallError(f"port {port} of 127.0.0.1 is taken; end what listens there")
    forwarder.stop(FORWARD)  # the pod that it leads to may be an earlier one
    forwarder.start(Daemon(FORWARD, (kubectl, *forward), env={"KUBECONFIG": str(kubeconfig)}))
    system.wait_ready()
    return system


def write_environment(system: System) -> Path:
    """`.local/env`: shell lines for scripts and people."""
    path = ROOT / ".local" / "env"
    path.parent.mkdir(exist_ok=True)
    lines = [f"export YOLO_URL={system.url}"]
    if system.kubeconfig:
        lines.append(f"export KUBECONFIG={system.kubeconfig}")
    if system.bin:
        lines.append(f'export PATH="{system.bin}:$PATH"')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
