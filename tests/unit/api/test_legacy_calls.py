"""Each call as an old client makes it, and the whole answer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from yolo_api.models import list_model_types
from yolo_api.schemas import StartRequest
from yolo_crds.meta import object_name

NAME = "安全帽 v1"


@pytest.fixture
def trained(runs_dir: Path) -> str:
    """An adopted folder of the old server."""
    weights = runs_dir / "train" / NAME / "weights"
    weights.mkdir(parents=True)
    (weights / "best.pt").write_bytes(b"0123456789")
    (runs_dir / "train" / NAME / "opt.yaml").write_text("weights: yolov5s.pt\nepochs: 2\n")
    logs = runs_dir / "train_info" / NAME / "logs"
    logs.mkdir(parents=True)
    (logs / "train_std.log").write_text(
        "* start train 1/2 , 2024-01-01 10:00:00\n* start train 2/2 , 2024-01-01 10:01:00\n"
        "* train finished, 2024-01-01 10:02:00\n"
    )
    (logs / "train_err.log").write_bytes(b"0%\r100%\n")
    (runs_dir / "train_info" / "prepared only").mkdir()
    return NAME


INFO: dict[str, Any] = {
    "train_log_std": [
        "* start train 1/2 , 2024-01-01 10:00:00",
        "* start train 2/2 , 2024-01-01 10:01:00",
        "* train finished, 2024-01-01 10:02:00",
    ],
    "opt_yaml": ["weights: yolov5s.pt", "epochs: 2"],
    "train_log_err": ["0%", "100%"],
}
READS: list[tuple[str, Any]] = [
    (
        "/status",
        {"Running": [], "Pending": [], "Succeeded": [], "Failed": [], "Terminated": [], "models": {}},
    ),
    ("/train_info/{m}", INFO),
    ("/train_info/prepared only", {"train_log_std": None, "opt_yaml": None, "train_log_err": None}),
    ("/cache_info", {"train_info": ["prepared only", NAME], "train": [NAME]}),
    ("/gpu_info", []),
    ("/get_gpu_info", []),
    ("/get_model_name_has_cahce", {"status": "success", "model_name_list": [NAME]}),
    ("/get_model_name_in_training", {"status": "success", "model_name_list": []}),
    ("/get_train_process/{m}", {"status": "success", "info": ["2/2"]}),
    ("/get_train_detail/{m}", {"status": "success", "info": INFO["train_log_std"]}),
    ("/get_train_param/{m}", {"status": "success", "info": INFO["opt_yaml"]}),
    ("/get_train_param/prepared only", {"status": "success", "info": []}),
    ("/get_model_type", {"status": "success", "model_type_list": list_model_types()}),
]


@pytest.mark.parametrize(("path", "want"), READS)
def test_reads_answer_the_union_of_the_old_keys(
    client: TestClient, trained: str, path: str, want: Any
) -> None:
    answer = client.get(path.format(m=quote(trained)))
    assert (answer.status_code, answer.json()) == (200, want)


def test_get_model_type_begins_with_the_old_servers() -> None:
    types = list_model_types()
    assert types[:5] == ["yolov5n", "yolov5s", "yolov5m", "yolov5l", "yolov5x"]
    assert {"yolov8n", "yolo11s", "yolo26n", "rtdetr-l", "yolo11n-seg", "yolo11n.yaml"} <= set(types)
    assert len(types) == len(set(types))


def test_start_as_an_old_client_does(client: TestClient, kube: Any) -> None:
    answer = client.post(
        "/start",
        json={
            "model_type": "yolov5s",
            "batch_size": "16",
            "device": "0",
            "epochs": "100",
            "imgsz": "640",
            "workers": "8",
            "model_name": NAME,
            "train_ucd": "helmet_demo",
            "val_ucd": "None",
            "labels": "helmet,person",
            "continue_train": False,
            "hyp_dict": {},
        },
    )
    (stored,) = kube.objects.values()
    want = {
        "message": "Training started",
        "safe_code": {NAME: stored["metadata"]["uid"]},
        "model_name": NAME,
        "warnings": [],
    }
    assert (answer.status_code, answer.json()) == (200, want)
    assert stored["spec"]["modelName"] == NAME
    assert kube.calls.count("create") == 1


def test_start_takes_json_without_a_content_type(client: TestClient, body: dict[str, Any]) -> None:
    assert client.post("/start", content=json.dumps(body)).status_code == 200


def test_start_says_that_it_reads_utf_8(client: TestClient, body: dict[str, Any]) -> None:
    text = json.dumps(body | {"labels": "安全帽"}, ensure_ascii=False).encode("gbk")
    answer = client.post("/start", content=text)
    want = "the body cannot be read; send JSON in UTF-8"
    assert (answer.status_code, answer.json()) == (400, {"detail": want, "error": want})


@pytest.mark.parametrize("labels", ["", []])
def test_start_says_what_empty_labels_should_be(
    client: TestClient, body: dict[str, Any], labels: object
) -> None:
    answer = client.post("/start", json=body | {"labels": labels})
    assert answer.status_code == 422
    assert answer.json()["detail"].endswith("the path of a file with one name a line; these name no class")


def test_start_from_an_earlier_runs_model(
    client: TestClient, kube: Any, body: dict[str, Any], trained: str
) -> None:
    """Whether it is there is known at once; what is in it, prepare tells."""
    other = body | {"model_name": "from-earlier"}
    for model_type, why in [
        (f"run:{trained}/last", f"{trained!r} has no weights/last.pt yet"),
        (f"run:{trained}s/best", f"there is no model '{trained}s'; did you mean {trained!r}?"),
    ]:
        refused = client.post("/start", json=other | {"model_type": model_type})
        assert refused.status_code == 422
        assert refused.json()["detail"].startswith(f"model_type: {why}")
    assert client.post("/start", json=other | {"model_type": f"run:{trained}/best"}).status_code == 200
    (stored,) = kube.objects.values()
    assert stored["spec"]["template"]["model"] == f"run:{trained}/best"


def test_start_is_in_status_at_once(client: TestClient, body: dict[str, Any]) -> None:
    client.post("/start", json=body)
    want_model: dict[str, Any] = {
        "phase": "Pending",
        "reason": "Accepted",
        "message": "accepted; the operator has not taken it up yet",
        "updated_at": None,
        "stale": False,
        "epoch": None,
        "epochs": 30,
        "percent": None,
        "eta_seconds": None,
        "metrics": {},
        "headline": None,
        "restarts": 0,
        "waiting": None,
        "started_at": None,
        "finished_at": None,
        "warnings": [],
    }
    assert client.get("/status").json() == {
        "Running": ["helmet"],
        "Pending": ["helmet"],
        "Succeeded": [],
        "Failed": [],
        "Terminated": [],
        "models": {"helmet": want_model},
    }
    assert client.get("/get_model_name_in_training").json()["model_name_list"] == ["helmet"]
    assert client.get("/get_train_process/helmet").json() == {"status": "success", "info": ["Pending"]}
    assert client.get("/train_info/helmet").json() == dict.fromkeys(
        ("train_log_std", "opt_yaml", "train_log_err")
    )


def test_status_of_one_model_is_its_entry_of_the_whole(
    client: TestClient, kube: Any, body: dict[str, Any], wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    client.post("/start", json=body)
    client.post("/start", json=body | {"model_name": "another"})
    kube.set_status("helmet", phase="Running", progress={"epoch": 1, "epochs": 3})
    wait_until(lambda: bool(client.get("/status/helmet").json()["epoch"] == 1))
    assert client.get("/status/helmet").json() == client.get("/status").json()["models"]["helmet"]


def test_status_of_one_model_looks_past_a_cache_that_has_not_heard_of_it(
    client: TestClient, kube: Any, body: dict[str, Any]
) -> None:
    client.post("/start", json=body)
    made = kube.objects["helmet"]
    made["metadata"]["name"] = "unseen"
    made["spec"]["modelName"] = "unseen"
    kube.objects["unseen"] = made  # no event of a watch tells it
    assert client.get("/status/unseen").json()["phase"] == "Pending"


@pytest.mark.parametrize(
    ("path", "want"),
    [
        (
            "/status/helmt",
            "there is no model 'helmt'; did you mean 'helmet'? GET /status and /cache_info list",
        ),
        (
            "/train_info/helmt",
            "there is no model 'helmt'; did you mean 'helmet'? GET /status and /cache_info",
        ),
        ("/terminate/prepared onl", "there is no model 'prepared onl'; did you mean 'prepared only'? GET "),
        ("/status/zzz", "there is no model 'zzz'; GET /status and /cache_info list them"),
        (
            "/status/prepared only",
            "'prepared only' has a run folder and no training; /train_info/prepared only",
        ),
    ],
)
def test_an_unknown_model_is_told_with_what_was_meant(
    client: TestClient, trained: str, body: dict[str, Any], path: str, want: str
) -> None:
    client.post("/start", json=body)
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith(want)


@pytest.mark.parametrize("verb", ["get", "post", "delete"])
def test_terminate(
    client: TestClient, kube: Any, body: dict[str, Any], verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yolo_api.trainings.TERMINATE_SECONDS", 0.3)
    client.post("/start", json=body)
    answer = client.request(verb, "/terminate/helmet")
    assert (answer.status_code, answer.json()) == (200, {"message": "Process terminated"})
    assert kube.objects["helmet"]["spec"]["stop"] is True


@pytest.mark.parametrize("verb", ["get", "post", "delete"])
def test_clear_train_cache(client: TestClient, trained: str, runs_dir: Path, verb: str) -> None:
    answer = client.request(verb, f"/clear_train_cache/{quote(trained)}")
    want = {"message": "Cleared 1 of 1", "clear_cache_success": [NAME], "clear_cache_failed": {}}
    assert (answer.status_code, answer.json()) == (200, want)
    assert client.get("/cache_info").json() == {"train_info": ["prepared only"], "train": []}


def test_clear_train_cache_of_all_leaves_what_runs(
    client: TestClient,
    kube: Any,
    trained: str,
    body: dict[str, Any],
    runs_dir: Path,
    wait_until: Callable[[Callable[[], bool]], None],
) -> None:
    client.post("/start", json=body)
    (runs_dir / "train" / "helmet").mkdir()
    client.post("/start", json=body | {"model_name": "done"})
    kube.set_status("done", phase="Succeeded")
    wait_until(lambda: client.get("/status").json()["Succeeded"] == ["done"])
    answer = client.get("/clear_train_cache/*")
    want = {
        "message": "Cleared 3 of 4",
        "clear_cache_success": ["done", "prepared only", NAME],
        "clear_cache_failed": {"helmet": "'helmet' is running (Pending); terminate it first"},
    }
    assert (answer.status_code, answer.json()) == (200, want)
    assert client.get("/cache_info").json() == {"train_info": [], "train": ["helmet"]}
    assert "helmet" in kube.objects


def test_download_model(client: TestClient, trained: str) -> None:
    path = f"/download_model/{quote(trained)}/weights/best.pt"
    whole = client.get(path)
    assert (whole.status_code, whole.content) == (200, b"0123456789")
    assert whole.headers["content-type"] == "application/octet-stream"
    assert whole.headers["content-disposition"] == 'attachment; filename="best.pt"'
    assert whole.headers["accept-ranges"] == "bytes"
    part = client.get(path, headers={"Range": "bytes=4-", "If-Range": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, b"456789")
    assert part.headers["content-range"] == "bytes 4-9/10"
    other = client.get(path, headers={"Range": "bytes=4-", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, b"0123456789")
    head = client.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "10")
    for known in (whole.headers["etag"], f'"another", W/{whole.headers["etag"]}', "*"):
        unchanged = client.get(path, headers={"If-None-Match": known})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert client.get(path, headers={"If-None-Match": '"another"'}).content == b"0123456789"


@pytest.mark.parametrize(
    ("asked", "code", "want"),
    [
        ("bytes=99-", 416, "Range: 'bytes=99-' does not begin within the file's 10 bytes"),
        ("bytes=4-2", 400, "Range: 'bytes=4-2' is no range of bytes; give one such as bytes=0-9"),
        ("lines=1-2", 400, "Range: 'lines=1-2' is no range of bytes; give one such as bytes=0-9"),
    ],
)
def test_download_model_refuses_a_bad_range_in_the_common_form(
    client: TestClient, trained: str, asked: str, code: int, want: str
) -> None:
    answer = client.get(f"/download_model/{quote(trained)}/weights/best.pt", headers={"Range": asked})
    assert (answer.status_code, answer.json()) == (code, {"detail": want, "error": want})
    assert answer.headers.get("content-range") == ("bytes */10" if code == 416 else None)


def test_reads_do_not_show_an_object_that_belongs_to_another_model(
    client: TestClient, kube: Any, trained: str, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    """Its name is the one that this model's object would have; its spec names another model."""
    name = object_name(trained)
    spec = {"modelName": "other", "template": {"model": "yolo11n.pt", "data": {"train": "demo"}, "epochs": 9}}
    kube.store({"metadata": {"name": name, "namespace": "team"}, "spec": spec})
    kube.set_status(name, phase="Running", progress={"epoch": 7, "epochs": 9})
    wait_until(lambda: client.get("/status").json()["models"].get(name, {}).get("phase") == "Running")
    answer = client.get(f"/get_train_process/{quote(trained)}")
    assert (answer.status_code, answer.json()["info"]) == (200, ["2/2"])
    assert client.get(f"/terminate/{quote(trained)}").status_code == 409
    assert client.get(f"/clear_train_cache/{quote(trained)}").json()["clear_cache_success"] == [trained]
    assert name in kube.objects


def test_help_is_a_page_for_a_browser_and_an_index_for_others(client: TestClient) -> None:
    page = client.get("/help", headers={"Accept": "text/html,*/*"})
    assert page.headers["content-type"].startswith("text/html")
    for call in ("POST /start", "GET /status", "GET /terminate/{model}", "GET /gpu_info", "GET /help"):
        assert call in page.text
    index = client.get("/help").json()
    assert {"method": "GET", "path": "/status"}.items() <= index["calls"][2].items()
    assert {call["path"].split("/")[1] for call in index["calls"]} >= {
        path.split("/")[1] for path, _ in READS
    }


def test_help_lists_what_start_takes(client: TestClient) -> None:
    fields = {field["key"]: field for field in client.get("/help").json()["start"]}
    assert fields.keys() == StartRequest.model_fields.keys()
    assert next(iter(fields)) == "model_name"
    shown = {key: (fields[key]["type"], fields[key]["default"], fields[key]["required"]) for key in fields}
    assert shown["model_name"] == ("string", None, True)
    assert shown["labels"] == ("string or list of string", None, True)
    assert shown["epochs"] == ("integer", 30, False)
    assert shown["memory"] == ("integer or string", "16Gi", False)
    assert shown["cache"] == ('"none" or "ram" or "disk"', "none", False)
    assert shown["node_selector"] == ("object", {}, False)
    assert shown["save_interval"] == ("object of epochs, minutes", {"epochs": 1, "minutes": 10}, False)
    for key, field in fields.items():
        assert len(field["description"]) > 10, key
        assert "spec" not in field["description"], field
        assert "template." not in field["description"], field
    page = client.get("/help", headers={"Accept": "text/html"}).text
    assert "<code>queue_name</code>" in page


def test_openapi_describes_every_call_and_its_errors(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            assert call["description"], (method, path)
    start = document["paths"]["/start"]["post"]
    assert {"200", "401", "403", "409", "422", "503"} <= start["responses"].keys()
    assert start["security"] == [{"HTTPBearer": []}]


UNKNOWN = "there is no model 'nope'; GET /status and /cache_info list them"
SHORT = "model_name: a model name has 2 to 128 characters, this one has 1"


@pytest.mark.parametrize(
    ("method", "path", "code", "want"),
    [
        ("GET", "/terminate/nope", 404, UNKNOWN),
        ("GET", "/train_info/nope", 404, UNKNOWN),
        ("GET", "/clear_train_cache/nope", 404, UNKNOWN),
        ("GET", "/get_train_process/nope", 404, UNKNOWN),
        ("GET", "/get_train_detail/nope", 404, UNKNOWN),
        ("GET", "/get_train_param/nope", 404, UNKNOWN),
        ("GET", "/terminate/" + quote(NAME), 409, f"{NAME!r} is not running"),
        ("GET", "/download_model/nope/weights/best.pt", 404, "there is no run folder of 'nope'"),
        (
            "GET",
            f"/download_model/{quote(NAME)}/weights/args.yaml",
            404,
            "'args.yaml' is no checkpoint; there are last.pt and best.pt",
        ),
        ("GET", "/terminate/x", 422, SHORT),
        ("GET", "/train_info/x", 422, SHORT),
        ("GET", "/clear_train_cache/x", 422, SHORT),
        ("GET", "/stop", 404, "there is no call GET /stop; GET /help lists the calls"),
        ("PUT", "/status", 405, "/status cannot be called with PUT; GET /help lists the calls"),
        (
            "POST",
            "/start",
            422,
            'body: must be a JSON object, sent with "Content-Type: application/json"',
        ),
    ],
)
def test_errors_have_codes_and_the_same_text_twice(
    client: TestClient, trained: str, method: str, path: str, code: int, want: str
) -> None:
    """Fault 6: errors were answered with 200, short names with 500."""
    form = {"model_name": "x"} if method == "POST" else None
    answer = client.request(method, path, data=form)
    assert answer.status_code == code
    got = answer.json()
    assert (got["detail"], got["error"]) == (want, want)
    assert got.keys() <= {"detail", "error", "errors"}
