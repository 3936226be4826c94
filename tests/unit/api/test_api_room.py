import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from yolo_api.errors import ForbiddenError
from yolo_api.room import fit_defaults, to_room
from yolo_api.room_reader import KEPT_SECONDS
from yolo_crds.meta import ANNOTATION_WARNINGS, LABEL_TRAINING

Manifest = dict[str, Any]


def limit_range(kind: str = "Container", **parts: Any) -> Manifest:
    return {"metadata": {"name": "limits"}, "spec": {"limits": [{"type": kind, **parts}]}}


def quota(hard: Manifest, **spec: Any) -> Manifest:
    return {"metadata": {"name": "team"}, "spec": {"hard": hard, **spec}}


def pod(memory: str, labels: Manifest | None = None) -> Manifest:
    amounts = {"cpu": "500m", "memory": memory}
    container = {"resources": {"requests": amounts, "limits": {"memory": memory}}}
    return {"metadata": {"labels": labels}, "spec": {"containers": [container]}}


SMALLER = {"memory": "8Gi", "sharedMemory": "4Gi"}
OPEN: list[tuple[str, list[Manifest], list[Manifest], list[Manifest], Manifest]] = [
    ("nothing bounds it", [], [], [], {}),
    ("more than it takes", [limit_range(max={"memory": "64Gi", "cpu": "8"})], [], [], {}),
    ("a container's memory", [limit_range(max={"memory": "8Gi"})], [], [], SMALLER),
    ("a pod's memory", [limit_range("Pod", max={"memory": "8Gi"})], [], [], SMALLER),
    ("a claim's size", [limit_range("PersistentVolumeClaim", max={"storage": "1Gi"})], [], [], {}),
    (
        "CPUs by the default limit",
        [limit_range(max={"cpu": "4"}, default={"cpu": "500m"})],
        [],
        [],
        {"cpu": "500m"},
    ),
    (
        "the least of several",
        [limit_range(max={"memory": "9Gi"})],
        [quota({"requests.memory": "8Gi"})],
        [],
        SMALLER,
    ),
    ("memory by its old name", [], [quota({"memory": "8Gi"})], [], SMALLER),
    ("what services hold", [], [quota({"limits.memory": "8704Mi"})], [pod("512Mi")], SMALLER),
    (
        "not what trainings hold",
        [],
        [quota({"limits.memory": "8Gi"})],
        [pod("6Gi", {LABEL_TRAINING: "a"})],
        SMALLER,
    ),
    (
        "odd amounts",
        [],
        [quota({"limits.memory": "5000M"})],
        [],
        {"memory": "4768Mi", "sharedMemory": "2384Mi"},
    ),
    ("CPU limits demanded", [], [quota({"limits.cpu": "9"})], [], {"cpuLimit": "2"}),
    (
        "CPU limits demanded of few",
        [],
        [quota({"limits.cpu": "9", "cpu": "1"})],
        [],
        {"cpu": "1", "cpuLimit": "1"},
    ),
    ("CPU limits given", [limit_range(default={"cpu": "4"})], [quota({"limits.cpu": "9"})], [], {}),
    ("a pod's CPUs", [limit_range("Pod", max={"cpu": "1"})], [], [], {"cpu": "1", "cpuLimit": "1"}),
    ("quota of batch pods", [], [quota({"memory": "8Gi"}, scopes=["NotBestEffort"])], [], SMALLER),
    ("quota of others", [], [quota({"memory": "8Gi"}, scopes=["BestEffort"])], [], {}),
    ("quota of a class", [], [quota({"memory": "8Gi"}, scopeSelector={"matchExpressions": []})], [], {}),
    ("no room at all", [], [quota({"memory": "256Mi"})], [pod("512Mi")], {}),
]


@pytest.mark.parametrize(
    ("ranges", "quotas", "pods", "want"), [case[1:] for case in OPEN], ids=[c[0] for c in OPEN]
)
def test_fit_defaults_lowers_what_never_fits(
    ranges: list[Manifest], quotas: list[Manifest], pods: list[Manifest], want: Manifest
) -> None:
    assert fit_defaults({}, to_room(ranges, quotas, pods)) == want


def test_fit_defaults_keeps_what_the_installer_chose_where_it_fits() -> None:
    room = to_room([limit_range(max={"memory": "8Gi"})], [], [])
    chosen = {"memory": "4Gi", "sharedMemory": "512Mi", "cpu": "1100m"}
    assert fit_defaults(chosen, room) == chosen
    assert fit_defaults({"memory": "32Gi", "sharedMemory": "1Gi"}, room) == {
        "memory": "8Gi",
        "sharedMemory": "1Gi",
    }


def warnings_of(kube: Any) -> list[str]:
    (created,) = kube.objects.values()
    found: list[str] = json.loads(created["metadata"]["annotations"][ANNOTATION_WARNINGS])
    return found


def test_training_over_rest_fits_the_namespace_and_says_so(
    client: TestClient, kube: Any, body: Manifest
) -> None:
    """As in a team's namespace with a façade alone, whose quota the façade itself has a part in."""
    kube.limit_ranges = [limit_range(max={"memory": "12Gi"})]
    kube.quotas = [quota({"limits.memory": "8Gi"})]
    kube.pod_objects = [pod("512Mi")]
    assert client.post("/start", json=body).status_code == 200
    (created,) = kube.objects.values()
    resources = created["spec"]["template"]["resources"]
    assert (resources["memory"], resources["sharedMemory"]) == ("7680Mi", "3840Mi")
    quotas = "the quota team has limits.memory 8Gi, of which other pods hold 512Mi"
    assert f"memory: 7680Mi instead of 16Gi, since {quotas}" in warnings_of(kube)


def test_training_that_never_fits_says_so(client: TestClient, kube: Any, body: Manifest) -> None:
    kube.quotas = [quota({"limits.memory": "256Mi"})]
    kube.pod_objects = [pod("512Mi")]
    assert client.post("/start", json=body).status_code == 200
    (told,) = [one for one in warnings_of(kube) if one.startswith("memory")]
    assert told.startswith("memory: 16Gi never fits, since the quota team has limits.memory 256Mi")


def test_nobody_is_refused_where_the_limits_cannot_be_read(
    client: TestClient, kube: Any, body: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a role that somebody else wrote (`rbac.create: false`)."""

    async def forbid() -> Any:
        raise ForbiddenError("limitranges is forbidden")

    monkeypatch.setattr(kube, "list_limits", forbid)
    assert client.post("/start", json=body).status_code == 200
    (created,) = kube.objects.values()
    assert "memory" not in created["spec"]["template"]["resources"]


def test_many_starts_ask_once_and_the_pods_only_where_a_quota_counts_what_they_hold(
    client: TestClient, kube: Any, body: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 1000.0
    monkeypatch.setattr("yolo_api.room_reader.monotonic", lambda: clock)
    kube.quotas = [quota({"count/pods": "50"})]
    for number in range(3):
        assert client.post("/start", json=body | {"model_name": f"many-{number}"}).status_code == 200
    assert (kube.calls.count("list limits"), kube.calls.count("list pods")) == (1, 0)
    clock += KEPT_SECONDS
    kube.quotas = [quota({"limits.memory": "8Gi"})]
    assert client.post("/start", json=body | {"model_name": "later"}).status_code == 200
    assert (kube.calls.count("list limits"), kube.calls.count("list pods")) == (2, 1)
    assert kube.objects["later"]["spec"]["template"]["resources"]["memory"] == "8Gi"
