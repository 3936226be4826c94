"""Requests over HTTP: what is tried again, what is not, and how long lists and watches are read."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from yolo_kube.connection import MERGE_PATCH, Connection, Patience, open_connection
from yolo_kube.errors import ConflictError, GoneError, KubeError

Answer = tuple[int, dict[str, str], Any]
PODS = "/api/v1/namespaces/lab/pods"


class Server:
    """Gives prepared answers in turn, the last one for ever, and keeps the requests."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        self.bodies.append(await request.read())
        status, headers, answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status == 0:  # no answer: the connection is cut
            assert request.transport is not None
            request.transport.abort()
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return web.Response(body=data, status=status or 200, headers=headers)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def heard() -> list[tuple[str, str, int]]:
    return []


@pytest.fixture
async def api(
    server: Server, heard: list[tuple[str, str, int]], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Connection]:
    monkeypatch.setattr("yolo_kube.connection.random.uniform", lambda low, high: 0.0)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app) as running:
        configuration = Configuration(host=str(running.make_url("")).rstrip("/"))
        configuration.api_key["BearerToken"] = "bearer secret"

        def note(verb: str, resource: str, code: int) -> None:
            heard.append((verb, resource, code))

        async with open_connection(
            configuration, "test", heard=note, patience=Patience(tries=3)
        ) as connection:
            yield connection


def _refusal(code: int, message: str = "no", reason: str = "") -> Answer:
    return code, {}, {"kind": "Status", "message": message, "reason": reason}


OK: Answer = (200, {}, {"kind": "Pod"})
SILENCE: Answer = (0, {}, {})


@pytest.mark.parametrize("first", [_refusal(429), _refusal(401), _refusal(500), _refusal(503), SILENCE])
async def test_what_another_try_can_mend_is_tried_again(
    server: Server, api: Connection, first: Answer, heard: list[tuple[str, str, int]]
) -> None:
    server.answers = [first, OK]
    assert await api.call("GET", f"{PODS}/a", "pods") == {"kind": "Pod"}
    assert len(server.requests) == 2
    assert heard[-1] == ("GET", "pods", 200)
    assert server.requests[0].headers["Authorization"] == "bearer secret"


@pytest.mark.parametrize("first", [_refusal(500), SILENCE])
async def test_what_may_have_been_done_is_not_done_twice(
    server: Server, api: Connection, first: Answer
) -> None:
    server.answers = [first, OK]
    with pytest.raises(KubeError):
        await api.call("POST", PODS, "pods", body={"a": 1}, repeatable=False)
    assert len(server.requests) == 1
    server.answers = [_refusal(429), OK]
    await api.call("POST", PODS, "pods", body={"a": 1}, repeatable=False)


async def test_refusal_is_told_with_the_servers_words(server: Server, api: Connection) -> None:
    server.answers = [_refusal(409, "the object has been modified", "Conflict")]
    with pytest.raises(ConflictError, match="the object has been modified") as caught:
        await api.call("PATCH", f"{PODS}/a", "pods", body={"metadata": {}}, content_type=MERGE_PATCH)
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    assert len(server.requests) == 1
    assert server.requests[0].headers["Content-Type"] == MERGE_PATCH
    assert server.bodies == [b'{"metadata":{}}']


async def test_refusal_that_is_no_status_is_told_too(server: Server, api: Connection) -> None:
    server.answers = [(404, {}, b"404 page not found")]
    with pytest.raises(KubeError, match="404 page not found"):
        await api.call("GET", "/apis/unknown", "unknown")


async def test_gives_up_after_its_tries(server: Server, api: Connection) -> None:
    server.answers = [_refusal(500, "etcd is down")]
    with pytest.raises(KubeError, match="etcd is down"):
        await api.call("GET", PODS, "pods")
    assert len(server.requests) == 3


async def test_answer_that_does_not_come_in_time(server: Server, api: Connection) -> None:
    async def never(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    server.handle = never  # type: ignore[method-assign]
    server.answers = [OK]
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", never)
    async with (
        TestServer(app) as running,
        open_connection(Configuration(host=str(running.make_url(""))), "test") as silent,
    ):
        with pytest.raises(KubeError, match="no answer in time") as caught:
            await silent.call("GET", PODS, "pods", patience=Patience(seconds=0.05, tries=1))
    assert caught.value.code == 0


async def test_list_is_read_page_by_page(server: Server, api: Connection) -> None:
    first = {"items": [{"a": 1}], "metadata": {"continue": "more", "resourceVersion": "7"}}
    server.answers = [(200, {}, first), (200, {}, {"items": None, "metadata": {"resourceVersion": "7"}})]
    pages = [page async for page in api.pages(PODS, "pods", {"labelSelector": "x=y"})]
    assert [(page.items, page.resource_version) for page in pages] == [([{"a": 1}], "7"), ([], "7")]
    assert [dict(request.query) for request in server.requests] == [
        {"labelSelector": "x=y", "limit": "500"},
        {"labelSelector": "x=y", "limit": "500", "continue": "more"},
    ]


def _event(kind: str, **body: Any) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


async def test_watch_reads_lines_of_any_length(server: Server, api: Connection) -> None:
    large = _event("ADDED", data="x" * (3 << 20))
    server.answers = [(200, {}, large + _event("BOOKMARK", metadata={}))]
    found = [event async for event in api.watch(PODS, "pods", "9", seconds=60)]
    assert [event.kind for event in found] == ["ADDED", "BOOKMARK"]
    assert server.requests[0].query["resourceVersion"] == "9"


async def test_watch_whose_history_is_gone(server: Server, api: Connection) -> None:
    server.answers = [(200, {}, _event("ERROR", code=410, message="too old resource version"))]
    with pytest.raises(GoneError, match="too old"):
        [event async for event in api.watch(PODS, "pods", "9", seconds=60)]
    server.answers = [_refusal(410, "too old")]
    with pytest.raises(GoneError):
        [event async for event in api.watch(PODS, "pods", "9", seconds=60)]


async def test_watch_that_is_cut(server: Server, api: Connection) -> None:
    server.answers = [SILENCE]
    with pytest.raises(KubeError, match="broke off"):
        [event async for event in api.watch(PODS, "pods", "9", seconds=60)]
