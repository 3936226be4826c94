"""The real client against a small HTTP server, for faults that a real API server does not make on demand."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from yolo_api.errors import DomainError, ForbiddenError, InvalidFieldsError, UnavailableError
from yolo_api.kube import PATIENCE, KubeClient, User
from yolo_api.kube_errors import AlreadyExistsError, NotFoundError, StaleError
from yolo_kube.connection import Page, Patience, open_connection

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
TRAININGS = "/apis/yolo.training/v1alpha1/namespaces/team/yolotrainings"


@asynccontextmanager
async def api_server(answer: Answer) -> AsyncIterator[KubeClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        configuration = Configuration(host=f"http://127.0.0.1:{port}")
        async with open_connection(configuration, "test", patience=PATIENCE) as connection:
            yield KubeClient(connection, "team")
    finally:
        await runner.cleanup()


def status(code: int, reason: str, message: str = "why", **more: Any) -> web.Response:
    return web.json_response(
        {"kind": "Status", "code": code, "reason": reason, "message": message, **more}, status=code
    )


@pytest.mark.parametrize(
    ("response", "want", "text"),
    [
        (lambda: status(404, "NotFound"), NotFoundError, "why"),
        (
            lambda: web.Response(status=404, text="404 page not found"),
            UnavailableError,
            "the Kubernetes API does not know yolotrainings.yolo.training; is the CRD installed?",
        ),
        (lambda: status(403, "Forbidden"), ForbiddenError, "the Kubernetes API refused the façade: why"),
        (lambda: status(409, "AlreadyExists"), AlreadyExistsError, "why"),
        (lambda: status(409, "Conflict"), StaleError, "why"),
        (lambda: status(410, "Expired"), UnavailableError, "the Kubernetes API answered 410 why"),
        (
            lambda: status(
                422, "Invalid", details={"causes": [{"field": "spec.template.epochs", "message": "too many"}]}
            ),
            InvalidFieldsError,
            "epochs: too many",
        ),
        (lambda: status(422, "Invalid"), InvalidFieldsError, "body: why"),
        (lambda: status(500, "InternalError"), UnavailableError, "the Kubernetes API answered 500 why"),
        (lambda: web.Response(status=502), UnavailableError, "the Kubernetes API answered 502"),
    ],
)
async def test_refusals_become_domain_errors(
    response: Callable[[], web.Response], want: type[DomainError], text: str
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return response()

    async with api_server(answer) as client:
        with pytest.raises(DomainError) as raised:
            await client.get_training("helmet")
    assert (type(raised.value), str(raised.value)) == (want, text)


async def test_a_refusal_for_load_is_tried_again() -> None:
    asked = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(await request.json())
        if len(asked) < 3:
            return web.Response(status=429, headers={"Retry-After": "0"})
        return web.json_response({"metadata": {"name": "helmet"}})

    async with api_server(answer) as client:
        assert await client.create_training({"spec": 1}) == {"metadata": {"name": "helmet"}}
    assert asked == [{"spec": 1}] * 3


async def test_a_server_that_stays_busy_is_unavailable() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "0"})

    async with api_server(answer) as client:
        with pytest.raises(UnavailableError, match="429"):
            await client.get_training("helmet")


async def test_no_server_is_unavailable() -> None:
    once = Patience(seconds=1, tries=1)
    async with open_connection(Configuration(host="http://127.0.0.1:9"), "test", patience=once) as connection:
        with pytest.raises(UnavailableError, match="the API server does not answer"):
            await KubeClient(connection, "team").get_training("helmet")


async def test_create_training_whose_answer_is_lost_is_not_sent_again() -> None:
    asked = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(await request.json())
        assert request.transport
        request.transport.abort()
        return web.Response()

    async with api_server(answer) as client:
        with pytest.raises(UnavailableError):
            await client.create_training({"spec": 1})
    assert asked == [{"spec": 1}]


async def test_trainings_are_those_of_the_namespace() -> None:
    asked = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append((request.path, dict(request.query)))
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": [{"number": 1}]})

    async with api_server(answer) as client:
        pages = [page async for page in client.trainings().pages()]
    assert pages == [Page([{"number": 1}], "7")]
    assert asked == [(TRAININGS, {"limit": "500"})]


@pytest.mark.parametrize(
    ("answered", "want"),
    [
        ({"authenticated": False, "error": "bad"}, None),
        ({"authenticated": True, "user": {"username": "anna"}}, None),  # not for our audience
        ({"authenticated": True, "audiences": ["other"], "user": {"username": "anna"}}, None),
        (
            {
                "authenticated": True,
                "audiences": ["yolo-api"],
                "user": {"username": "anna", "uid": "1", "groups": ["dev"], "extra": {"scopes": ["a"]}},
            },
            User("anna", "1", ("dev",), (("scopes", ("a",)),)),
        ),
    ],
)
async def test_review_token_takes_only_tokens_for_the_audience(
    answered: dict[str, Any], want: User | None
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert (await request.json())["spec"] == {"token": "t", "audiences": ["yolo-api"]}
        return web.json_response({"status": answered}, status=201)

    async with api_server(answer) as client:
        assert await client.review_token("t", "yolo-api") == want


async def test_review_access_asks_for_the_namespaces_trainings() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert (await request.json())["spec"] == {
            "user": "anna",
            "uid": "1",
            "groups": ["dev"],
            "extra": {"scopes": ["a"]},
            "resourceAttributes": {
                "namespace": "team",
                "group": "yolo.training",
                "version": "v1alpha1",
                "resource": "yolotrainings",
                "verb": "delete",
            },
        }
        return web.json_response({"status": {"allowed": True}}, status=201)

    async with api_server(answer) as client:
        assert await client.review_access(User("anna", "1", ("dev",), (("scopes", ("a",)),)), "delete")


async def test_delete_training_deletes_just_what_was_looked_at() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert (request.method, request.path) == ("DELETE", f"{TRAININGS}/helmet")
        assert await request.json() == {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
            "preconditions": {"uid": "u", "resourceVersion": "5"},
        }
        return web.json_response({"kind": "Status", "status": "Success"})

    async with api_server(answer) as client:
        await client.delete_training("helmet", "u", "5")
