"""The local cluster itself: it starts, survives being killed half way, runs pods, and leaves nothing."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import Cluster, ClusterError, images
from cluster.api import wait_for
from cluster.config import PAUSE_IMAGE
from cluster.paths import cache_dir
from e2e.leftovers import left_since, listing

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


METRICS = {
    "etcd": "etcd_server_has_leader 1",
    "kube-apiserver": "apiserver_request_total",
    "kube-controller-manager": "workqueue_adds_total",
    "kube-scheduler": "scheduler_schedule_attempts_total",
    "kubelet@node-1": "kubelet_running_pods",
}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(NAME)
    cluster.down()
    yield cluster
    cluster.down()


def _start_up(*options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cluster", "up", "--name", NAME, *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _kill_up_half_way(cluster: Cluster) -> None:
    """kill -9 of `up` as soon as the kubelet is on record: control plane there, node on its way."""
    up = _start_up()
    record = cluster.state / "run" / "kubelet@node-1.json"
    deadline = time.monotonic() + 300
    while not record.exists() and up.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(up.pid, signal.SIGKILL)
    assert up.wait() == -signal.SIGKILL, "`up` ended before it could be killed"


def test_cluster_survives_a_killed_up_runs_pods_and_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    before = listing(cluster.state)
    _kill_up_half_way(cluster)
    cluster.up(host_port=HOST_PORT)
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
    for component, metric in METRICS.items():
        assert metric in (tmp_path / "dump" / "metrics" / f"{component}.txt").read_text()

    kinds = {line.partition(":")[0] for line in listing(cluster.state)}
    assert kinds >= {"process", "shim", "mount", "network namespace", "link", "route", "cgroup", "folder"}
    started = time.monotonic()
    cluster.down()
    assert time.monotonic() - started < 10
    assert left_since(before, cluster.state) == []
    assert sorted(path.name for path in cluster.state.iterdir()) == ["audit.log", "logs"]


@pytest.mark.parametrize(
    ("rounds", "nodes"),
    [
        pytest.param(2, 1, id="short"),
        pytest.param(10, 2, id="long", marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
def test_nothing_is_left_by_rounds_of_up_and_down_and_by_killed_ups(
    cluster: Cluster, rounds: int, nodes: int
) -> None:
    seed = int(os.environ.get("SOAK_SEED") or random.randrange(10**6))
    print(f"SOAK_SEED={seed}")
    before = listing(cluster.state)
    took = []
    for number in range(rounds):
        started = time.monotonic()
        cluster.up(nodes=nodes)
        took.append(time.monotonic() - started)
        assert listing(cluster.state) != before
        _end(cluster, before, f"round {number + 1}: up {took[-1]:.1f} s")
    moments = random.Random(seed)
    killed = 0
    while killed < rounds:
        up, moment = _start_up("--nodes", str(nodes)), moments.uniform(0, min(took))
        try:
            up.wait(moment)
        except subprocess.TimeoutExpired:
            up.kill()
            killed += 1
        what = "ended" if up.wait() == 0 else f"killed after {moment:.1f} s, number {killed}"
        _end(cluster, before, f"{what}, with {', '.join(cluster.supervisor.names()) or 'nothing'}")


def test_cluster_of_which_only_its_parts_are_left_is_removed(cluster: Cluster, tmp_path: Path) -> None:
    """Checkout and cache are deleted while it runs; then there is a new checkout in the same place."""
    before = listing(cluster.state)
    cluster.up()
    record = cache_dir() / "slots" / f"{cluster.plan.slot}.json"
    record.unlink()
    cluster.state.rename(tmp_path / "gone")
    cluster.up(host_port=HOST_PORT)
    assert set(cluster.status().values()) == {"running", "ready"}
    _end(cluster, before, "a cluster after one whose folder and record were gone")


def _end(cluster: Cluster, before: list[str], what: str) -> None:
    started = time.monotonic()
    cluster.down()
    print(f"{what}; down {time.monotonic() - started:.1f} s", flush=True)
    assert left_since(before, cluster.state) == [], what


def test_labels_and_taints_are_set_kept_and_taken_back(cluster: Cluster) -> None:
    def nodes() -> dict[str, tuple[str | None, str | None, list[str]]]:
        """Node -> label `zone`, label `gpu`, keys of its taints."""
        items = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
        labels = {item["metadata"]["name"]: item["metadata"]["labels"] for item in items}
        taints = {item["metadata"]["name"]: item["spec"].get("taints", []) for item in items}
        return {
            name: (found.get("zone"), found.get("gpu"), [taint["key"] for taint in taints[name]])
            for name, found in labels.items()
        }

    cluster.up(nodes=2, labels=["zone=a", "node-2:gpu=a100"], taints=["node-2:gpu=a100:NoSchedule"])
    want = {"node-1": ("a", None, []), "node-2": ("a", "a100", ["gpu"])}
    wait_for("the taints of nodes just started gone", lambda: nodes() == want, 20)
    cluster.faults.kill("kubelet@node-2")
    cluster.up()
    wait_for("the same marks", lambda: nodes() == want, 20)
    cluster.up(labels=["node-1:zone=b"], taints=[])
    assert nodes() == {"node-1": ("b", None, []), "node-2": (None, None, [])}
    # Not even DNS may run but for its toleration.
    cluster.up(taints=["reserved:NoExecute"])
    assert [found[2] for found in nodes().values()] == [["reserved"], ["reserved"]]
    with pytest.raises(ClusterError, match="node-3"):
        cluster.up(labels=["node-3:zone=a"])


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

    cluster.faults.cut("node-2")
    wait_for("node-2 lost", lambda: ready("node-2") == "Unknown", 40)
    assert ready("node-1") == "True"
    cluster.faults.heal("node-2")
    wait_for("node-2 back", lambda: ready("node-2") == "True", 40)
    for component in ("kube-apiserver", "containerd@node-1"):
        cluster.faults.kill(component)
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
        cluster.faults.fill_disk(volume)
    cluster.faults.small_volume(volume, 16)
    cluster.faults.fill_disk(volume)
    writer = _writer(image)
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(writer))

    def log() -> str:
        return cluster.kubectl("logs", "writer", check=False)

    wait_for("ENOSPC in a pod", lambda: "ENOSPC" in log(), 60)
    assert "before" in log(), "what was in the volume is there"
    cluster.faults.free_disk(volume)
    wait_for("room again", lambda: "written" in log(), 20)

    def pressure() -> str:
        query = '{.status.conditions[?(@.type=="DiskPressure")].status}'
        return cluster.kubectl("get", "node", "node-2", "-o", f"jsonpath={query}")

    cluster.faults.fill_disk("node-2")
    evicted = ["get", "pod", "writer", "-o", "jsonpath={.status.reason}"]
    wait_for("an eviction", lambda: cluster.kubectl(*evicted) == "Evicted", 60)
    why = cluster.kubectl("get", "pod", "writer", "-o", "jsonpath={.status.conditions[*].reason}")
    assert "TerminationByKubelet" in why, "as on a node that fills while the pod runs"
    assert pressure() == "True"
    cluster.faults.free_disk("node-2")
    wait_for("no disk pressure", lambda: pressure() == "False", 60)

    cluster.kubectl("delete", "pod", "writer")
    taints = ["get", "node", "node-2", "-o", "jsonpath={.spec.taints}"]
    wait_for("no taint", lambda: cluster.kubectl(*taints) == "", 30)
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(writer))
    cluster.faults.drain("node-2")
    assert "writer" not in cluster.kubectl("get", "pods")
    unschedulable = ["get", "node", "node-2", "-o", "jsonpath={.spec.unschedulable}"]
    assert cluster.kubectl(*unschedulable) == "true"
    cluster.faults.uncordon("node-2")
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
