import errno
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from yolo_api.__main__ import main
from yolo_api.app import create_app
from yolo_api.errors import UnavailableError
from yolo_api.settings import Settings
from yolo_crds.ownership import Denial
from yolo_crds.trainer import Fetch
from yolo_kube.connection import Page
from yolo_kube.errors import KubeError


def test_unknown_error_tells_a_number_that_the_log_has(
    client: TestClient, kube: Any, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    async def explode(_: Any) -> Any:
        raise RuntimeError("secret internals")

    monkeypatch.setattr(kube, "create_training", explode)
    with caplog.at_level(logging.ERROR):
        answer = client.post("/start", json=body)
    assert answer.status_code == 500
    text = answer.json()["detail"]
    assert answer.json() == {"detail": text, "error": text}
    assert "secret" not in answer.text
    (record,) = [r for r in caplog.records if r.message == "unexpected error"]
    assert text == f"an unexpected error, number {record.error_id} in the server's log"
    assert "secret internals" in caplog.text


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (errno.ESTALE, f"{os.strerror(errno.ESTALE)}; is the volume's server up?"),
        (errno.EACCES, "permission denied: "),
    ],
)
def test_a_volume_that_does_not_answer_is_503(
    client: TestClient, runs_dir: Path, monkeypatch: pytest.MonkeyPatch, code: int, told: str
) -> None:
    (runs_dir / "train" / "helmet").mkdir(parents=True)

    def stale(path: Path, _: Path) -> Any:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr("yolo_api.runs.open_file", stale)
    answer = client.get("/download_model/helmet/weights/best.pt")
    assert (answer.status_code, answer.headers.get("retry-after")) == (503, "5")
    assert f"best.pt cannot be read: {told}" in answer.json()["detail"]


def test_a_volume_of_another_user_is_told_with_owner_and_cure(
    client: TestClient, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an install with another runAsUser, or of an old server's folders."""
    (runs_dir / "train" / "helmet").mkdir(parents=True)
    denial = Denial(runs_dir / "train", 0, 0, 0o700, 4711, (4711,))
    monkeypatch.setattr("yolo_api.errors.explain_denial", lambda _: denial)

    def deny(path: Path, _: Path) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("yolo_api.runs.open_file", deny)
    detail = client.get("/download_model/helmet/weights/best.pt").json()["detail"]
    assert f"{runs_dir / 'train'} belongs to 0:0" in detail
    assert "storage.chown.enabled=true" in detail


def test_an_api_server_that_is_away_is_503(
    client: TestClient, kube: Any, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: Any) -> Any:
        raise UnavailableError("the Kubernetes API cannot be reached")

    monkeypatch.setattr(kube, "create_training", away)
    answer = client.post("/start", json=body)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["detail"] == "the Kubernetes API cannot be reached"


def test_readyz_is_not_ready_until_the_trainings_are_listed(
    settings: Settings, kube: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> AsyncIterator[Page]:
        raise KubeError(0, "away")
        yield

    monkeypatch.setattr(kube, "pages", away)
    with TestClient(create_app(settings, kube)) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        answer = client.get("/readyz")
        monkeypatch.setattr("yolo_api.cache._SYNC_SECONDS", 0.01)
        status = client.get("/status")
    assert (answer.status_code, answer.json()["detail"]) == (503, "the trainings are not listed yet")
    assert (status.status_code, status.json()["detail"]) == (
        503,
        "the trainings are not listed yet; ask again",
    )


def test_readyz_is_not_ready_when_the_watch_is_silent(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    wait_until(lambda: client.get("/readyz").status_code == 200)
    monkeypatch.setattr("yolo_api.cache.FRESH_SECONDS", -1.0)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["detail"]) == (503, "the API server was not heard lately")


def test_readyz_tells_when_the_operator_last_wrote(
    client: TestClient, kube: Any, body: dict[str, Any], wait_until: Any
) -> None:
    """It stays ready without one: what is there can be read all the same."""
    wait_until(lambda: client.get("/readyz").status_code == 200)
    assert client.get("/readyz").json()["operator_seen_at"] is None
    client.post("/start", json=body)
    kube.set_status("helmet", run=1, phase="Queued", seenAt="2026-11-24T10:05:00Z")
    seen = "2026-11-24T10:05:00Z"
    wait_until(lambda: client.get("/readyz").json()["operator_seen_at"] == seen)
    model = client.get("/status").json()["models"]["helmet"]
    assert (model["updated_at"], model["stale"]) == (seen, True)
    kube.set_status("helmet", run=1, phase="Failed", completionTime="2026-11-24T10:06:00Z")
    wait_until(lambda: client.get("/readyz").json()["operator_seen_at"] is None)


def test_metrics_tell_requests_and_trainings(client: TestClient, body: dict[str, Any]) -> None:
    client.post("/start", json=body)
    client.get("/train_info/helmet")
    text = client.get("/metrics").text
    assert 'yolo_api_trainings{phase="Pending"} 1.0' in text
    assert 'yolo_api_request_seconds_count{method="GET",route="/train_info/{model}",status="200"} 1.0' in text
    assert "process_resident_memory_bytes" in text


def test_a_body_of_megabytes_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    answer = client.post("/start", json=body | {"labels": "x" * (2 << 20)})
    assert answer.status_code == 413
    assert answer.json()["detail"] == answer.json()["error"] == "the body is larger than 1048576 bytes"


def test_settings_read_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YOLO_API_LEGACY_ANONYMOUS_NETWORKS", '["10.0.0.0/8", "fd00::/8"]')
    monkeypatch.setenv("YOLO_API_RUNS_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_API_DEFAULT_MEMORY", "4Gi")
    monkeypatch.setenv("YOLO_API_TIME_ZONE", "Asia/Shanghai")
    settings = Settings()
    assert [str(network) for network in settings.legacy_anonymous_networks] == ["10.0.0.0/8", "fd00::/8"]
    assert settings.runs_dir == tmp_path
    assert settings.default_resources == {"memory": "4Gi"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIME_ZONE", "Mars/Olympus"),
        ("PORT", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("DEFAULT_MEMORY", "much"),
        ("LEGACY_ANONYMOUS_NETWORKS", '["10.0.0.1/8"]'),
    ],
)
def test_settings_refuse(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"YOLO_API_{name}", value)
    with pytest.raises(ValueError, match=name.lower()):
        Settings()


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("PORT", "0", "YOLO_API_PORT: Input should be greater than or equal to 1, got '0'"),
        ("TIME_ZONE", "Mars", "YOLO_API_TIME_ZONE: Value error, 'Mars' is no IANA time zone such as "),
        ("LEGACY_ANONYMOUS_NETWORKS", '["x"]', "YOLO_API_LEGACY_ANONYMOUS_NETWORKS.0: "),
        ("LEGACY_ANONYMOUS_NETWORKS", "10.0.0.0/8", "error parsing value for field"),
        ("FETCH", '{"ucdServer": "ucd:8080"}', "YOLO_API_FETCH.ucdServer: String should match pattern"),
        *(
            ("GPU_AGENTS", wrong, f"YOLO_API_GPU_AGENTS: Value error, {wrong!r} is no host or host:port ")
            for wrong in ("agents:99999", "agents:0", "agents:", "agents:http", "http://agents", "a..b", "-")
        ),
    ],
)
def test_main_says_which_setting_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, want: str
) -> None:
    monkeypatch.setenv(f"YOLO_API_{name}", value)
    assert main() == 2
    assert capsys.readouterr().err.startswith(want)


@pytest.mark.parametrize(
    "given", ["", "agents", "agents.gpus.svc:8085", "agents.gpus.svc.cluster.local.", "10.0.0.7"]
)
def test_settings_take_where_the_gpu_agents_are(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("YOLO_API_GPU_AGENTS", given)
    assert Settings().gpu_agents == given


def test_default_resources_reach_the_training(settings: Settings, kube: Any, body: dict[str, Any]) -> None:
    small = settings.model_copy(update={"default_cpu": "500m", "default_shared_memory": "1Gi"})
    with TestClient(create_app(small, kube)) as client:
        client.post("/start", json=body | {"device": "cpu"})
        told = {field["key"]: field["default"] for field in client.get("/help").json()["start"]}
    assert (told["cpu"], told["shared_memory"], told["memory"]) == ("500m", "1Gi", "16Gi")
    want = {"gpus": 0, "cpu": "500m", "sharedMemory": "1Gi"}
    assert kube.objects["helmet"]["spec"]["template"]["resources"] == want


def test_set_that_the_ucd_server_may_have_is_left_to_prepare(
    settings: Settings, client: TestClient, kube: Any, body: dict[str, Any]
) -> None:
    asked = body | {"train_ucd": "team\\remote"}
    assert client.post("/start", json=asked).status_code == 422
    fetching = settings.model_copy(update={"fetch": Fetch(ucd_server="http://ucd.example.org:8080")})
    with TestClient(create_app(fetching, kube)) as fetching_client:
        assert fetching_client.post("/start", json=asked).status_code == 200
    assert kube.objects["helmet"]["spec"]["template"]["data"]["train"] == "team/remote"
