"""The requests over HTTP: what is retried, what is not, and whose a Job is."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from operator_objects import SETTINGS, UID, make_job, make_training
from yolo_crds.meta import Stage
from yolo_crds.training import YoloTraining
from yolo_kube.connection import open_connection
from yolo_kube.errors import ConflictError, KubeError
from yolo_operator.kube import Kube, NamesakeError
from yolo_operator.peers import build_peer_objects

Answer = tuple[int, dict[str, str], Any]


class Server:
    """Gives prepared answers in turn, the last one for ever, and keeps the requests."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, str, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, str(request.rel_url), body))
        status, headers, answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.json_response(answer, status=status, headers=headers)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def kube(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kube]:
    monkeypatch.setattr("yolo_kube.connection.random.uniform", lambda low, high: 0.0)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app) as running:
        configuration = Configuration(host=str(running.make_url("")))
        async with open_connection(configuration, "test") as connection:
            yield Kube(connection)


def _error(code: int, message: str = "no") -> Answer:
    return code, {}, {"kind": "Status", "message": message}


async def test_get_training_that_is_not_there(server: Server, kube: Kube) -> None:
    server.answers = [_error(404)]
    assert await kube.get_training("lab", "cats") is None


async def test_patch_training_status_carries_the_version(server: Server, kube: Kube) -> None:
    server.answers = [_error(409)]
    with pytest.raises(ConflictError):
        await kube.patch_training_status("lab", "cats", "77", {"phase": "Running"})
    method, path, body = server.requests[0]
    assert (method, path) == (
        "PATCH",
        "/apis/yolo.training/v1alpha1/namespaces/lab/yolotrainings/cats/status",
    )
    assert body == {"metadata": {"resourceVersion": "77"}, "status": {"phase": "Running"}}


async def test_create_job_finds_the_one_of_an_earlier_try(server: Server, kube: Kube) -> None:
    job = make_job(make_training(), Stage.PREPARE)
    server.answers = [_error(409), (200, {}, job)]
    assert await kube.create_job("lab", job) == job


async def test_create_job_refuses_a_strangers_job(server: Server, kube: Kube) -> None:
    job = make_job(make_training(), Stage.PREPARE)
    owners = [{"uid": "another", "controller": True}, {"uid": UID, "controller": False}]
    stranger = job | {"metadata": job["metadata"] | {"ownerReferences": owners}}
    server.answers = [_error(409), (200, {}, stranger)]
    with pytest.raises(ConflictError, match="belongs to something else"):
        await kube.create_job("lab", job)


async def test_create_job_knows_the_job_of_a_deleted_training_of_the_same_name(
    server: Server, kube: Kube
) -> None:
    job = make_job(make_training(), Stage.PREPARE)
    owner = job["metadata"]["ownerReferences"][0] | {"uid": "the earlier one's"}
    earlier = job | {"metadata": job["metadata"] | {"ownerReferences": [owner]}}
    server.answers = [_error(409), (200, {}, earlier), _error(409), _error(404)]
    for _ in range(2):
        with pytest.raises(NamesakeError, match="the Job cats-r1a1-prepare of a deleted training goes"):
            await kube.create_job("lab", job)


async def test_create_beside_finds_what_is_there_and_refuses_a_strangers(server: Server, kube: Kube) -> None:
    template = {"model": "m.yaml", "data": {"train": "a"}, "resources": {"nodes": 2}}
    training = YoloTraining.model_validate(make_training(template=template))
    service, policy = build_peer_objects(training, SETTINGS.model_copy(update={"network_policies": True}))
    server.answers = [(201, {}, service), (201, {}, policy), _error(409), (200, {}, service), _error(409)]
    stranger = service | {"metadata": service["metadata"] | {"ownerReferences": []}}
    server.answers.append((200, {}, stranger))
    await kube.create_beside("lab", service)
    await kube.create_beside("lab", policy)
    await kube.create_beside("lab", service)
    with pytest.raises(ConflictError, match="a Service named gang-cats is there and belongs to something"):
        await kube.create_beside("lab", service)
    assert [(method, path) for method, path, _ in server.requests[:4]] == [
        ("POST", "/api/v1/namespaces/lab/services"),
        ("POST", "/apis/networking.k8s.io/v1/namespaces/lab/networkpolicies"),
        ("POST", "/api/v1/namespaces/lab/services"),
        ("GET", "/api/v1/namespaces/lab/services/gang-cats"),
    ]


async def test_delete_job_names_the_uid_and_does_not_orphan_pods(server: Server, kube: Kube) -> None:
    server.answers = [(200, {}, {})]
    await kube.delete_job("lab", "cats-r1a1-train", "u1")
    want = {"propagationPolicy": "Background", "preconditions": {"uid": "u1"}}
    assert server.requests[0][2] == want


@pytest.mark.parametrize("code", [404, 409])
async def test_delete_job_that_is_gone_or_another_is_done(server: Server, kube: Kube, code: int) -> None:
    server.answers = [_error(code)]
    await kube.delete_job("lab", "cats-r1a1-train", "u1")


async def test_create_event_is_tried_once_and_one_that_is_there_is_fine(server: Server, kube: Kube) -> None:
    server.answers = [_error(409), _error(500)]
    await kube.create_event("lab", {"kind": "Event"})
    with pytest.raises(KubeError):
        await kube.create_event("lab", {"kind": "Event"})
    assert [path for _, path, _ in server.requests] == ["/api/v1/namespaces/lab/events"] * 2


async def test_delete_training_spares_one_that_has_changed(server: Server, kube: Kube) -> None:
    server.answers = [(200, {}, {}), _error(404), _error(409)]
    for _ in range(2):
        await kube.delete_training("lab", "cats", "u1", "17")
    with pytest.raises(ConflictError):
        await kube.delete_training("lab", "cats", "u1", "17")
    want = {"propagationPolicy": "Background", "preconditions": {"uid": "u1", "resourceVersion": "17"}}
    assert [body for _, _, body in server.requests] == [want] * 3


async def test_get_log_tail_without_a_log_is_empty(server: Server, kube: Kube) -> None:
    server.answers = [_error(400, "container is waiting to start")]
    assert await kube.get_log_tail("lab", "pod") == ""


@pytest.mark.parametrize(("namespace", "where"), [(None, ""), ("lab", "/namespaces/lab")])
async def test_list_versions_of_a_namespace_or_of_all(
    server: Server, kube: Kube, namespace: str | None, where: str
) -> None:
    item = {"metadata": {"uid": "a", "resourceVersion": "5"}}
    server.answers = [(200, {}, {"metadata": {"resourceVersion": "9"}, "items": [item]})]
    assert await kube.list_versions(namespace) == ({"a": "5"}, "9")
    assert server.requests[0][1].startswith(f"/apis/yolo.training/v1alpha1{where}/yolotrainings?")


@pytest.mark.parametrize(("kind", "root"), [("jobs", "/apis/batch/v1"), ("pods", "/api/v1")])
async def test_jobs_and_pods_of_trainings_alone(server: Server, kube: Kube, kind: str, root: str) -> None:
    server.answers = [(200, {}, {"metadata": {"resourceVersion": "9"}, "items": []})]
    collection = kube.jobs("lab") if kind == "jobs" else kube.pods("lab")
    assert [page.items async for page in collection.pages()] == [[]]
    asked = server.requests[0][1]
    assert asked.startswith(f"{root}/namespaces/lab/{kind}?labelSelector=yolo.training/training")


async def test_list_nodes_and_sum_pods_follow_the_pages(server: Server, kube: Kube) -> None:
    def page(more: str, *items: Any) -> Answer:
        metadata = {"continue": more, "resourceVersion": "9"}
        return 200, {}, {"metadata": metadata, "items": list(items)}

    server.answers = [page("x", {"metadata": {"name": "a"}}), page("", {"metadata": {"name": "b"}})]
    assert [node.name for node in await kube.list_nodes()] == ["a", "b"]
    spec = {"nodeName": "a", "containers": [{"resources": {"requests": {"nvidia.com/gpu": "1"}}}]}
    server.answers = [page("y", {"metadata": {"namespace": "x"}, "spec": spec})] * 2 + [page("")]
    assert (await kube.sum_pods(()))["a"]["nvidia.com/gpu"] == 2000
    asked = [url for _, url, _ in server.requests]
    assert ["continue=x" in url for url in asked[:2]] == [False, True]
    assert all("fieldSelector=spec.nodeName!%3D" in url for url in asked[2:]), asked


async def test_list_nodes_that_is_refused_is_not_repeated(server: Server, kube: Kube) -> None:
    server.answers = [_error(503)]
    with pytest.raises(KubeError):
        await kube.list_nodes()
    assert len(server.requests) == 1
