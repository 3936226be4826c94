"""NetworkPolicies are enforced on the local nodes: training pods reach what the chart opens, nothing else."""

import json
from collections.abc import Iterator
from functools import partial

import pytest

from cluster import Cluster, images
from cluster.api import wait_for
from demo.install import CHART
from e2e.probes import REACH
from yolo_crds import meta
from yolo_crds.training import YoloTraining
from yolo_operator.jobs import Manifest, build_train_job
from yolo_operator.peers import build_peer_objects
from yolo_operator.settings import Settings

NAME = "policies"
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

# Labels of training pods, as the operator sets them.
TRAINING = {meta.LABEL_MANAGED_BY: meta.MANAGED_BY, meta.LABEL_EGRESS: str(meta.Egress.NONE)}
FETCHING = {**TRAINING, meta.LABEL_EGRESS: str(meta.Egress.FETCH)}
PORT = 8080
HTTPS = 443
API = "kubernetes.default.svc.cluster.local"
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
                "ports": [{"protocol": "UDP", "port": 53}],
            }
        ],
    },
}


def _on_nodes(name: str) -> YoloTraining:
    """A training on two nodes."""
    template = {"model": "m.yaml", "data": {"train": "a"}, "resources": {"nodes": 2}}
    metadata = {"name": name, "namespace": "default", "uid": f"uid-of-{name}"}
    return YoloTraining.model_validate({"metadata": metadata, "spec": {"template": template}})


def _without_owner(manifest: Manifest) -> Manifest:
    """The object by itself: the garbage collector takes away what belongs to nobody."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "ownerReferences"}
    return {**manifest, "metadata": metadata}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(NAME)
    cluster.down()
    cluster.up(nodes=2)
    yield cluster
    cluster.down()


@pytest.fixture(scope="module")
def image(cluster: Cluster) -> str:
    """An image with Python."""
    return cluster.load(images.build(["api"])["api"])


def _server(
    name: str, image: str, *, node: str, labels: dict[str, str] | None = None, port: int = PORT
) -> dict[str, object]:
    command = ["python", "-m", "http.server", str(port), "--directory", "/opt/app"]
    probe = {"httpGet": {"path": "/", "port": port}, "periodSeconds": 1}
    return _pod(name, image, command, node=node, labels=labels or {}, readinessProbe=probe)


def _pod(
    name: str, image: str, command: list[str], *, node: str, labels: dict[str, str], **more: object
) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": image, "command": command, **more}],
        },
    }


def _apply(cluster: Cluster, *objects: object) -> None:
    manifest = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def _address(cluster: Cluster, pod: str, port: int = PORT) -> str:
    return cluster.kubectl("get", "pod", pod, "-o", "jsonpath={.status.podIP}") + f":{port}"


def _apply_policy(cluster: Cluster, template: str, *values: str) -> None:
    """Apply a policy as the chart renders it with `--set` values."""
    chart = ["template", "x", str(CHART), "--namespace", "default"]
    shown = ("--show-only", f"templates/network/{template}.yaml")
    policy = cluster.helm(*chart, *shown, *(f"--set={value}" for value in values))
    cluster.kubectl("apply", "-f", "-", stdin=policy)


def _reach(cluster: Cluster, pod: str, *targets: str) -> list[str]:
    """What of the targets the pod can reach, sorted."""
    return cluster.kubectl("exec", pod, "--", "python", "-c", REACH, *targets).split()


def test_policies_are_enforced(cluster: Cluster, image: str) -> None:
    reach = partial(_reach, cluster)
    servers = {"near": "node-1", "far": "node-2", "plain": "node-1"}
    pods = [_server(name, image, node=node) for name, node in servers.items()]
    _apply(cluster, *pods, _server("training", image, node="node-1", labels=TRAINING))
    cluster.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    near, far, training = (_address(cluster, name) for name in ("near", "far", "training"))
    others = sorted([near, far, API, f"{API}:443"])

    assert reach("training", *others) == others
    assert reach("plain", *others, training) == sorted([*others, training])

    _apply_policy(cluster, "networkpolicy")
    wait_for("the policy's rules", lambda: reach("training", near) == [], 10)
    assert reach("training", *others) == []
    assert reach("plain", *others, training) == others
    assert reach("far", training) == [], "from the other node"

    # A pod that is denied all from its first instant on, beside one that is not.
    hasty = ["python", "-c", HASTY, near]
    _apply(
        cluster,
        _pod("hasty-training", image, hasty, node="node-1", labels=TRAINING),
        _pod("hasty", image, hasty, node="node-1", labels={}),
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


def test_pods_that_fetch_reach_what_the_chart_opens(cluster: Cluster, image: str) -> None:
    _apply(
        cluster,
        _server("ucd", image, node="node-2"),
        _server("no-ucd", image, node="node-2"),
        _server("private", image, node="node-1", port=HTTPS),
        _server("fetching", image, node="node-1", labels=FETCHING),
    )
    pods = [f"pod/{name}" for name in ("ucd", "no-ucd", "private", "fetching")]
    cluster.kubectl("wait", "--for=condition=Ready", *pods, "--timeout=60s")
    ucd, no_ucd, fetching = (_address(cluster, name) for name in ("ucd", "no-ucd", "fetching"))
    private = _address(cluster, "private", HTTPS)
    others = sorted([ucd, no_ucd, private, API, f"{API}:443"])
    assert _reach(cluster, "fetching", *others) == others

    opened = (f"fetch.ucdServer=http://{ucd}", "fetch.archives.enabled=true")
    _apply_policy(cluster, "networkpolicy-fetch", *opened)
    wait_for("the policy's rules", lambda: _reach(cluster, "fetching", no_ucd) == [], 10)
    assert _reach(cluster, "fetching", *others) == sorted([ucd, API]), (
        "443 is open for public addresses alone"
    )
    assert _reach(cluster, "no-ucd", fetching) == [], "nobody calls it"

    block = f"fetch.extraEgress[0].to[0].ipBlock.cidr={private.partition(':')[0]}/32"
    _apply_policy(cluster, "networkpolicy-fetch", *opened, block)
    wait_for("the further rule", lambda: _reach(cluster, "fetching", private) == [private], 10)


def test_pods_of_one_training_reach_each_other_and_nobody_else(cluster: Cluster, image: str) -> None:
    """As the operator makes them: two trainings on both nodes, the chart's policy and one for each."""
    settings = Settings(trainer_image="t", data_claim="d", runs_claim="r", network_policies=True)
    own: list[Manifest] = []
    pods = {"stranger": _server("stranger", image, node="node-1")}
    for name in ("cats", "dogs"):
        training = _on_nodes(name)
        service, policy = (_without_owner(one) for one in build_peer_objects(training, settings))
        own += [service, policy]
        job = build_train_job(training, 1, settings)["spec"]["template"]
        for index in range(2):
            labels = job["metadata"]["labels"]
            pod = _server(f"{name}-{index}", image, node=f"node-{index + 1}", labels=labels)
            names = {"hostname": f"{name}-r1a1-train-{index}", "subdomain": job["spec"]["subdomain"]}
            pods[f"{name}-{index}"] = {**pod, "spec": {**_spec(pod), **names}}
    _apply(cluster, *pods.values())
    cluster.kubectl("wait", "--for=condition=Ready", *(f"pod/{name}" for name in pods), "--timeout=60s")
    addresses = {name: _address(cluster, name) for name in pods}

    def reached() -> dict[str, list[str]]:
        """Pod → whom it reaches."""
        found = {name: _reach(cluster, name, *addresses.values()) for name in pods}
        return {name: [other for other in pods if addresses[other] in found[name]] for name in pods}

    assert reached() == {name: list(pods) for name in pods}
    _apply_policy(cluster, "networkpolicy-gang")
    wait_for("no ways between them", lambda: reached() == {name: [name] for name in pods}, 20)

    _apply(cluster, *own)
    cats, dogs = ["cats-0", "cats-1"], ["dogs-0", "dogs-1"]
    want = {"stranger": ["stranger"]} | dict.fromkeys(cats, cats) | dict.fromkeys(dogs, dogs)
    wait_for("the ways within each training", lambda: reached() == want, 20)
    first = f"{meta.rendezvous_name('cats', 1, 1)}:{PORT}"
    wait_for("its name", lambda: _reach(cluster, "cats-1", first) == [first], 40)
    others = [API, f"{API}:443", addresses["stranger"]]
    assert _reach(cluster, "cats-1", *others) == [API], "DNS alone"


def _spec(pod: dict[str, object]) -> dict[str, object]:
    spec = pod["spec"]
    assert isinstance(spec, dict)
    return spec
