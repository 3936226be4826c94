"""The local cluster itself: it starts, survives being killed half way, runs pods, and leaves nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import Cluster, ClusterError, cgroups, images, mounts, network, processes, slots
from cluster.api import wait_for
from cluster.config import PAUSE_IMAGE
from cluster.paths import node_dir, run_dir

NAME = "lifecycle"
HOST_PORT = 60177
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
}
# The image that each node has anyway: told so, it empties a folder and ends.
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "empty"},
    "spec": {
        "restartPolicy": "Never",
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        "containers": [
            {
                "name": "empty",
                "image": PAUSE_IMAGE,
                "imagePullPolicy": "Never",
                "args": ["empty", "/data"],
                "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "readOnlyRootFilesystem": True},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ],
    },
}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(NAME)
    cluster.down()
    yield cluster
    cluster.down()


def _left_of(cluster: Cluster, slot: int, shim_sockets: set[Path]) -> list[str]:
    """Everything of this cluster that is on the machine outside its state folder."""
    addresses = slots.Addresses(slot)
    found = [f"process {pid}" for pid in processes.marked(cluster.state)]
    found += [f"process {pid} in a cgroup" for pid in cgroups.processes(f"yolo{slot}n*")]
    found += [f"mount {path}" for folder in _folders(cluster, slot) for path in mounts.below(folder)]
    patterns = {
        "/sys/class/net": f"yolo{slot}[vn]*",
        "/run/netns": f"yolo{slot}n*",
        "/var/lib/cni/results": f"yolo{slot}n*",
    }
    found += [str(path) for folder, pattern in patterns.items() for path in Path(folder).glob(pattern)]
    found += [str(path) for path in Path("/sys/class/net").glob(addresses.bridge)]
    found += [str(path) for top in cgroups.hierarchies() for path in top.glob(f"yolo{slot}n*")]
    found += [str(path) for path in (run_dir(slot), node_dir(slot, "node-1"), *shim_sockets) if path.exists()]
    found += [line for line in network.ip("route").splitlines() if addresses.host_network in line]
    logs = (path for path in Path("/var/log/containers").glob("*.log") if path.is_symlink())
    found += [str(path) for path in logs if str(path.readlink()).startswith(str(node_dir(slot, "")))]
    return found


def _folders(cluster: Cluster, slot: int) -> list[Path]:
    return [cluster.state, run_dir(slot), node_dir(slot, "")]


def _host_rules() -> str:
    done = subprocess.run(["iptables-save"], capture_output=True, text=True)
    return "\n".join(line for line in done.stdout.splitlines() if "yolo" in line.lower() or "KUBE" in line)


def _kill_up_half_way(cluster: Cluster) -> None:
    """kill -9 of `up` as soon as the kubelet is on record: control plane there, node on its way."""
    command = [sys.executable, "-m", "cluster", "up", "--name", NAME]
    up = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    record = cluster.state / "run" / "kubelet@node-1.json"
    deadline = time.monotonic() + 300
    while not record.exists() and up.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(up.pid, signal.SIGKILL)
    assert up.wait() == -signal.SIGKILL, "`up` ended before it could be killed"


def test_cluster_survives_a_killed_up_runs_pods_and_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    rules = _host_rules()
    _kill_up_half_way(cluster)
    cluster.up(host_port=HOST_PORT)
    slot = cluster.plan.slot
    assert set(cluster.status().values()) == {"running", "ready"}
    again = time.monotonic()
    cluster.up(host_port=HOST_PORT)
    assert time.monotonic() - again < 5, "`up` on a healthy cluster is no work"

    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(CLAIM))
    volume = cluster.kubectl("get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}")
    if not volume:
        cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data", "--timeout=30s")
        volume = cluster.kubectl("get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}")
    left_by_user = cluster.volumes / volume / "file"
    left_by_user.write_text("x")
    os.chown(left_by_user, 1000, 1000)
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(POD))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/empty", "--timeout=60s")
    assert not left_by_user.exists()

    cluster.dump(tmp_path / "dump")
    assert "pod/empty" in (tmp_path / "dump" / "status.txt").read_text()

    shim_sockets = {socket for node in cluster.nodes() for socket in node.shim_sockets()}
    assert shim_sockets
    started = time.monotonic()
    cluster.down()
    assert time.monotonic() - started < 10
    assert _left_of(cluster, slot, shim_sockets) == []
    assert _host_rules() == rules
    assert sorted(path.name for path in cluster.state.iterdir()) == ["audit.log", "logs"]


def test_released_volume_is_emptied_and_offered_again(cluster: Cluster) -> None:
    cluster.up()
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(CLAIM))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data", "--timeout=30s")
    volume = cluster.kubectl("get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}")
    (cluster.volumes / volume / "old").write_text("x")
    cluster.kubectl("delete", "pvc", "data")
    phase = ["get", "pv", volume, "-o", "jsonpath={.status.phase}"]
    wait_for("a free volume", lambda: cluster.kubectl(*phase) == "Available", 60)
    assert not (cluster.volumes / volume / "old").exists()


def test_faults_show_and_heal(cluster: Cluster) -> None:
    cluster.up(nodes=2, grace=8)

    def ready(name: str) -> str:
        query = '{.status.conditions[?(@.type=="Ready")].status}'
        return cluster.kubectl("get", "node", name, "-o", f"jsonpath={query}")

    cluster.cut("node-2")
    wait_for("node-2 lost", lambda: ready("node-2") == "Unknown", 40)
    assert ready("node-1") == "True"
    cluster.heal("node-2")
    wait_for("node-2 back", lambda: ready("node-2") == "True", 40)
    for component in ("kube-apiserver", "containerd@node-1"):
        cluster.kill(component)
    cluster.up(nodes=2, grace=8)
    assert set(cluster.status().values()) == {"running", "ready"}


def test_full_disks_and_drained_nodes(cluster: Cluster) -> None:
    cluster.up(nodes=2)
    image = cluster.load(images.build(["api"])["api"])
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(CLAIM))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data", "--timeout=30s")
    volume = cluster.kubectl("get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}")
    (cluster.volumes / volume / "before").write_text("x")
    with pytest.raises(ClusterError, match="small-volume"):
        cluster.fill_disk(volume)
    cluster.small_volume(volume, 16)
    cluster.fill_disk(volume)
    writer = _writer(image)
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(writer))

    def log() -> str:
        return cluster.kubectl("logs", "writer", check=False)

    wait_for("ENOSPC in a pod", lambda: "ENOSPC" in log(), 60)
    assert "before" in log(), "what was in the volume is there"
    cluster.free_disk(volume)
    wait_for("room again", lambda: "written" in log(), 20)

    def pressure() -> str:
        query = '{.status.conditions[?(@.type=="DiskPressure")].status}'
        return cluster.kubectl("get", "node", "node-2", "-o", f"jsonpath={query}")

    cluster.fill_disk("node-2")
    evicted = ["get", "pod", "writer", "-o", "jsonpath={.status.reason}"]
    wait_for("an eviction", lambda: cluster.kubectl(*evicted) == "Evicted", 60)
    why = cluster.kubectl("get", "pod", "writer", "-o", "jsonpath={.status.conditions[*].reason}")
    assert "TerminationByKubelet" in why, "as on a node that fills while the pod runs"
    assert pressure() == "True"
    cluster.free_disk("node-2")
    wait_for("no disk pressure", lambda: pressure() == "False", 60)

    cluster.kubectl("delete", "pod", "writer")
    taints = ["get", "node", "node-2", "-o", "jsonpath={.spec.taints}"]
    wait_for("no taint", lambda: cluster.kubectl(*taints) == "", 30)
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(writer))
    cluster.drain("node-2")
    assert "writer" not in cluster.kubectl("get", "pods")
    unschedulable = ["get", "node", "node-2", "-o", "jsonpath={.spec.unschedulable}"]
    assert cluster.kubectl(*unschedulable) == "true"
    cluster.uncordon("node-2")
    assert cluster.kubectl(*unschedulable) == ""


def _writer(image: str) -> dict[str, object]:
    """Tries to write to the claim's volume until it can, and says what happens."""
    command = (
        "ls /data; until head -c 4096 /dev/zero > /data/new; do sleep 0.5; done; echo written; sleep 600"
    )
    shell = f"({command}) 2>&1 | sed -u 's/.*No space left.*/ENOSPC/'"
    main = {
        "name": "main",
        "image": image,
        "command": ["sh", "-c", shell],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    spec = {
        "nodeName": "node-2",
        "terminationGracePeriodSeconds": 0,
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        "containers": [main],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "writer"}, "spec": spec}
