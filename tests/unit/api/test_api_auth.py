from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from starlette.testclient import TestClient

from yolo_api.app import create_app
from yolo_api.auth import Access
from yolo_api.kube import User
from yolo_api.settings import Settings


@pytest.fixture
def closed(settings: Settings, kube: Any) -> Iterator[TestClient]:
    """The façade as it is installed: nothing without a token."""
    kube.users = {"secret-of-anna": User("anna", groups=("dev",))}
    with TestClient(create_app(settings.model_copy(update={"legacy_anonymous": False}), kube)) as client:
        yield client


ANNA = {"Authorization": "Bearer secret-of-anna"}
CALLS = [
    ("GET", "/status", "list"),
    ("GET", "/status/helmet", "get"),
    ("GET", "/cache_info", "list"),
    ("GET", "/gpu_info", "list"),
    ("GET", "/get_gpu_info", "list"),
    ("GET", "/get_model_name_has_cahce", "list"),
    ("GET", "/get_model_name_in_training", "list"),
    ("GET", "/get_model_type", "list"),
    ("GET", "/train_info/helmet", "get"),
    ("GET", "/get_train_process/helmet", "get"),
    ("GET", "/get_train_detail/helmet", "get"),
    ("GET", "/get_train_param/helmet", "get"),
    ("GET", "/download_model/helmet/weights/best.pt", "get"),
    ("POST", "/start", "create"),
    ("GET", "/terminate/helmet", "patch"),
    ("POST", "/terminate/helmet", "patch"),
    ("DELETE", "/terminate/helmet", "patch"),
    ("GET", "/clear_train_cache/helmet", "delete"),
    ("POST", "/clear_train_cache/helmet", "delete"),
    ("DELETE", "/clear_train_cache/helmet", "delete"),
]


@pytest.mark.parametrize(("method", "path", "verb"), CALLS)
def test_every_call_is_closed_and_needs_its_verb(
    closed: TestClient, kube: Any, body: dict[str, Any], method: str, path: str, verb: str
) -> None:
    json = body if method == "POST" else None
    without = closed.request(method, path, json=json)
    assert without.status_code == 401
    assert without.headers["www-authenticate"] == "Bearer"
    assert without.json()["detail"].startswith(
        "this call needs a token: send 'Authorization: Bearer <token>'"
    )

    forbidden = closed.request(method, path, json=json, headers=ANNA)
    assert forbidden.status_code == 403
    assert forbidden.json()["detail"] == (
        f"'anna' may not {verb} yolotrainings in the namespace 'team'; a Role or ClusterRole has to allow it"
    )
    assert kube.objects == {}


@pytest.mark.parametrize(("method", "path", "verb"), CALLS)
def test_the_right_verb_opens_a_call(
    closed: TestClient, kube: Any, body: dict[str, Any], method: str, path: str, verb: Any
) -> None:
    kube.rights = {("anna", verb)}
    answer = closed.request(method, path, json=body if path == "/start" else None, headers=ANNA)
    assert answer.status_code in (200, 404)


def test_calls_table_has_all_paths(closed: TestClient) -> None:
    described = {
        (method.upper(), path.replace("{model}", "helmet").replace("{file}", "best.pt"))
        for path, methods in closed.get("/openapi.json").json()["paths"].items()
        for method in methods
    }
    open_to_all = {("GET", path) for path in ("/help", "/healthz", "/readyz", "/metrics")}
    assert described == {(method, path) for method, path, _ in CALLS} | open_to_all


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/help", "/openapi.json"])
def test_probes_metrics_and_help_need_no_token(closed: TestClient, path: str) -> None:
    assert closed.get(path).status_code == 200


def test_continue_train_needs_patch_as_well(closed: TestClient, kube: Any, body: dict[str, Any]) -> None:
    kube.rights = {("anna", "create")}
    answer = closed.post("/start", json=body | {"continue_train": True}, headers=ANNA)
    assert answer.status_code == 403
    assert "may not patch" in answer.json()["detail"]


@pytest.mark.parametrize("header", ["secret-of-anna", "Basic YTpi", "Bearer", "Bearer "])
def test_only_bearer_tokens_are_taken(closed: TestClient, header: str) -> None:
    assert closed.get("/status", headers={"Authorization": header}).status_code == 401


def test_a_token_that_the_api_server_refuses(closed: TestClient) -> None:
    answer = closed.get("/status", headers={"Authorization": "Bearer stolen"})
    assert answer.status_code == 401
    assert answer.json()["detail"] == "the token is not valid for the audience 'yolo-api', or has expired"


def test_answers_are_remembered_and_tokens_are_not(closed: TestClient, kube: Any) -> None:
    kube.rights = {("anna", "list")}
    for _ in range(5):
        assert closed.get("/status", headers=ANNA).status_code == 200
    assert kube.calls.count("review token") == kube.calls.count("review access") == 1
    access = closed.app.state.services.access  # type: ignore[attr-defined]
    assert "secret-of-anna" not in repr(vars(access._tokens))


@pytest.mark.parametrize(
    ("networks", "client", "want"),
    [
        ([], "203.0.113.9", True),
        ([], None, True),
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8", "fd00::/8"], "fd00::7", True),
        (["10.0.0.0/8"], "192.168.0.1", False),
        (["10.0.0.0/8"], None, False),
        (["10.0.0.0/8"], "testclient", False),
    ],
)
def test_is_open_to_listed_networks(
    settings: Settings, kube: Any, networks: list[str], client: str | None, want: bool
) -> None:
    listed = [ip_network(network) for network in networks]
    access = Access(kube, settings.model_copy(update={"legacy_anonymous_networks": listed}))
    assert access.is_open(client) == want


def test_listed_networks_open_nothing_by_themselves(settings: Settings, kube: Any) -> None:
    update = {"legacy_anonymous": False, "legacy_anonymous_networks": [ip_network("10.0.0.0/8")]}
    assert not Access(kube, settings.model_copy(update=update)).is_open("10.1.2.3")
