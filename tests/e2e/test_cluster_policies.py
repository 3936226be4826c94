"""NetworkPolicies are enforced on the local nodes: what the chart denies to training pods cannot be done."""

import json
from collections.abc import Iterator
from functools import partial

import pytest

from cluster import Cluster, images
from cluster.api import wait_for
from demo.install import CHART

NAME = "policies"
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

# Labels of a training pod, as the operator sets them.
TRAINING = {"app.kubernetes.io/managed-by": "yolo-operator", "yolo.training/egress": "none"}
PORT = 8080
API = "kubernetes.default.svc.cluster.local"
SERVER = ["python", "-m", "http.server", str(PORT), "--directory", "/opt/app"]
# Prints what of its arguments (host:port, or a name to look up) can be reached within a second.
REACH = """
import socket, sys, threading, time
found, deadline = [], time.monotonic() + 1
def probe(target):
    host, _, port = target.partition(":")
    try:
        if port:
            socket.create_connection((host, int(port)), 1).close()
        else:
            socket.getaddrinfo(host, 443)
    except OSError:
        return
    found.append(target)
threads = [threading.Thread(target=probe, args=[target], daemon=True) for target in sys.argv[1:]]
for thread in threads: thread.start()
for thread in threads: thread.join(max(0, deadline - time.monotonic()))
print(*sorted(found), flush=True)
"""
# From its first instant on, for three seconds: how often was the first argument reached?
HASTY = """
import socket, sys, time
host, port = sys.argv[1].split(":")
began, reached, first = time.monotonic(), 0, None
while time.monotonic() < began + 3:
    try:
        socket.create_connection((host, int(port)), 0.2).close()
        reached += 1
        first = first or time.monotonic() - began
    except OSError:
        pass
    time.sleep(0.02)
print(reached, first, flush=True)
"""


DNS_ONLY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "dns-only"},
    "spec": {
        "podSelector": {"matchLabels": TRAINING},
        "policyTypes": ["Egress"],
        "egress": [
            {
                "to": [
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                    }
                ],
                "ports": [{"protocol": "UDP", "port": 1053}],
            }
        ],
    },
}


# Pods of one training that work together: each other and nobody else, whatever their node.
GANG = {"yolo.training/training": "gang"}
GANG_ONLY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "gang-only"},
    "spec": {
        "podSelector": {"matchLabels": GANG},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": GANG}}]}],
        "egress": [{"to": [{"podSelector": {"matchLabels": GANG}}]}],
    },
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(NAME)
    cluster.down()
    cluster.up(nodes=2)
    yield cluster
    cluster.down()


def _pod(
    name: str, image: str, command: list[str], *, node: str, labels: dict[str, str], served: bool = True
) -> dict[str, object]:
    probe = {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1}
    container = {"name": "main", "image": image, "command": command}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [{**container, "readinessProbe": probe} if served else container],
        },
    }


def _apply(cluster: Cluster, *objects: object) -> None:
    manifest = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def _address(cluster: Cluster, pod: str) -> str:
    return cluster.kubectl("get", "pod", pod, "-o", "jsonpath={.status.podIP}") + f":{PORT}"


def _reach(cluster: Cluster, pod: str, *targets: str) -> list[str]:
    """Which of these a pod can reach: host:port, or a name to look up."""
    return cluster.kubectl("exec", pod, "--", "python", "-c", REACH, *targets).split()


def test_policies_are_enforced(cluster: Cluster) -> None:
    reach = partial(_reach, cluster)
    image = cluster.load(images.build(["api"])["api"])
    servers = {"near": "node-1", "far": "node-2", "plain": "node-1"}
    pods = [_pod(name, image, SERVER, node=node, labels={}) for name, node in servers.items()]
    _apply(cluster, *pods, _pod("training", image, SERVER, node="node-1", labels=TRAINING))
    cluster.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    near, far, training = (_address(cluster, name) for name in ("near", "far", "training"))
    others = sorted([near, far, API, f"{API}:443"])

    assert reach("training", *others) == others
    assert reach("plain", *others, training) == sorted([*others, training])

    chart = ["template", "x", str(CHART), "--namespace", "default"]
    policy = cluster.helm(*chart, "--show-only", "templates/network/networkpolicy.yaml")
    cluster.kubectl("apply", "-f", "-", stdin=policy)
    wait_for("the policy's rules", lambda: reach("training", near) == [], 10)
    assert reach("training", *others) == []
    assert reach("plain", *others, training) == others
    assert reach("far", training) == [], "from the other node"

    # A pod that is denied all from its first instant on, beside one that is not.
    hasty = ["python", "-c", HASTY, near]
    _apply(
        cluster,
        _pod("hasty-training", image, hasty, node="node-1", labels=TRAINING, served=False),
        _pod("hasty", image, hasty, node="node-1", labels={}, served=False),
    )
    for pod in ("hasty-training", "hasty"):
        cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{pod}", "--timeout=30s")
    assert cluster.kubectl("logs", "hasty-training").split() == ["0", "None"]
    reached, first = cluster.kubectl("logs", "hasty").split()
    assert int(reached) > 0
    assert float(first) < 1.5

    ready = ["get", "pod", "training", "-o", "jsonpath={.status.containerStatuses[0].ready}"]
    assert cluster.kubectl(*ready) == "true", "the kubelet's probe comes through"

    # Policies add up.
    _apply(cluster, DNS_ONLY)
    wait_for("the further policy's rules", lambda: reach("training", *others) == [API], 10)
    cluster.kubectl("delete", "networkpolicy", "--all")
    wait_for("no rules", lambda: reach("training", *others) == others, 10)


def test_gang_pods_reach_each_other_and_nobody_else(cluster: Cluster) -> None:
    image = cluster.load(images.build(["api"])["api"])
    ranks = {"rank-0": "node-1", "rank-1": "node-2"}
    gang = [_pod(name, image, SERVER, node=node, labels=GANG) for name, node in ranks.items()]
    _apply(cluster, *gang, _pod("stranger", image, SERVER, node="node-1", labels={}))
    names = (*ranks, "stranger")
    cluster.kubectl("wait", "--for=condition=Ready", *(f"pod/{name}" for name in names), "--timeout=60s")
    addresses = {name: _address(cluster, name) for name in names}

    def reached() -> dict[str, list[str]]:
        """Pod → whom it reaches."""
        found = {name: _reach(cluster, name, *addresses.values()) for name in names}
        return {name: [other for other in names if addresses[other] in found[name]] for name in names}

    assert reached() == {name: list(names) for name in names}
    _apply(cluster, GANG_ONLY)
    want = {"rank-0": list(ranks), "rank-1": list(ranks), "stranger": ["stranger"]}
    wait_for("the gang's rules on both nodes", lambda: reached() == want, 20)
