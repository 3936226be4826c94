"""The old server's faults that concern the façade, each by its number in the list of its faults."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from yolo_api.app import create_app
from yolo_api.cache import TrainingCache
from yolo_api.settings import Settings

BAD_NAMES = [
    "..",
    "../x",
    "a/../b",
    "a/b",
    "a\\b",
    ".hidden",
    "a;rm -rf /",
    "$(id)",
    "`id`",
    "a\nb",
    "a\0b",
    "*",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_fault_3_no_name_leads_out_of_its_folder(
    client: TestClient, kube: Any, body: dict[str, Any], name: str
) -> None:
    answer = client.post("/start", json=body | {"model_name": name})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "model_name"
    assert kube.objects == {}


@pytest.mark.parametrize("path", ["..%2f..%2fetc", "%2e%2e", "..", "%2e%2e%5cx", "a%00b", "a%0ab"])
@pytest.mark.parametrize(
    "call",
    ["/clear_train_cache/{}", "/train_info/{}", "/download_model/{}/weights/best.pt", "/terminate/{}"],
)
def test_fault_3_no_path_leads_out_of_the_volume(
    client: TestClient, runs_dir: Path, path: str, call: str
) -> None:
    precious = runs_dir.parent / "etc" / "weights"
    precious.mkdir(parents=True)
    (precious / "best.pt").touch()
    assert client.get(call.format(path)).status_code in (404, 422)
    assert (precious / "best.pt").exists()


@pytest.mark.parametrize("field", ["labels", "train_ucd", "val_ucd"])
def test_fault_3_what_looks_like_a_command_is_only_text(
    client: TestClient, kube: Any, body: dict[str, Any], data_dir: Path, field: str
) -> None:
    text = "x;touch owned && $(touch owned)"
    (data_dir / "ucd" / f"{text}.json").touch()
    client.post("/start", json=body | {field: text})
    data = kube.objects["helmet"]["spec"]["template"]["data"]
    assert {"labels": data["labels"], "train_ucd": data["train"], "val_ucd": data.get("val")}[field] in (
        text,
        [text],
    )


def test_fault_4_a_restart_forgets_nothing(
    settings: Settings, kube: Any, body: dict[str, Any], wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    """State lived in memory; a failed training vanished from /status with its reason."""
    with TestClient(create_app(settings, kube)) as client:
        for name in ("running", "failed", "done"):
            client.post("/start", json=body | {"model_name": name})
    kube.set_status("running", phase="Running", progress={"epoch": 3, "epochs": 30})
    kube.set_status("failed", phase="Failed", failure={"reason": "OOMKilled", "message": "out of memory"})
    kube.set_status("done", phase="Succeeded")
    with TestClient(create_app(settings, kube)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        status = client.get("/status").json()
    assert (status["Running"], status["Failed"], status["Succeeded"]) == (["running"], ["failed"], ["done"])
    assert status["models"]["running"]["epoch"] == 3
    assert status["models"]["failed"]["reason"] == "OOMKilled"
    assert status["models"]["failed"]["message"] == "out of memory"


def test_fault_5_status_does_not_mind_a_training_that_ends_meanwhile(
    kube: Any, settings: Settings, body: dict[str, Any]
) -> None:
    """A set changed while it was iterated over."""
    with TestClient(create_app(settings, kube)) as client:
        client.post("/start", json=body)
        client.post("/start", json=body | {"model_name": "other"})
        cache: TrainingCache = client.app.state.services.trainings.cache  # type: ignore[attr-defined]
        seen = []
        for entry in cache.entries():
            cache.remove(entry.name, entry.uid)
            seen.append(entry.name)
    assert seen == ["helmet", "other"]


def test_fault_6_a_short_name_is_422(client: TestClient, body: dict[str, Any]) -> None:
    answer = client.post("/start", json=body | {"model_name": "x"})
    want = "model_name: a model name has 2 to 128 characters, this one has 1"
    assert answer.status_code == 422
    assert answer.json()["detail"] == answer.json()["error"] == want


DESTROYING = ["/terminate/helmet", "/clear_train_cache/helmet"]
CODES = {"/terminate/helmet": 409, "/clear_train_cache/helmet": 200}


@pytest.fixture
def run_folder(runs_dir: Path) -> Path:
    folder = runs_dir / "train" / "helmet"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("path", DESTROYING)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Purpose": "prefetch"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X-Moz": "prefetch"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_fault_8_a_link_or_a_prefetch_destroys_nothing(
    client: TestClient, run_folder: Path, path: str, headers: dict[str, str]
) -> None:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["detail"] == answer.json()["error"]
    assert run_folder.is_dir()


@pytest.mark.parametrize("path", ["/start", *DESTROYING])
def test_fault_8_a_page_of_another_site_cannot_post_either(
    client: TestClient, run_folder: Path, body: dict[str, Any], path: str
) -> None:
    assert client.post(path, json=body, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert run_folder.is_dir()


@pytest.mark.parametrize("path", DESTROYING)
@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}])
def test_fault_8_old_clients_still_can(
    client: TestClient, run_folder: Path, path: str, headers: dict[str, str]
) -> None:
    assert client.get(path, headers=headers).status_code == CODES[path]


@pytest.mark.parametrize("path", DESTROYING)
def test_fault_8_the_destroying_gets_can_be_switched_off(
    settings: Settings, kube: Any, run_folder: Path, path: str
) -> None:
    closed = settings.model_copy(update={"legacy_destructive_get": False})
    with TestClient(create_app(closed, kube)) as client:
        refused = client.get(path)
        assert refused.status_code == 405
        assert refused.headers["allow"] == "POST, DELETE"
        assert refused.json()["detail"] == f"GET {path} is switched off here; use POST or DELETE"
        assert run_folder.is_dir()
        assert client.delete(path).status_code == CODES[path]
