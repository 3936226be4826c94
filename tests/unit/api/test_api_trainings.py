"""Start, go on, end and clear through the calls, with other clients about."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from yolo_crds.meta import object_name

Wait = Callable[[Callable[[], bool]], None]
TAKEN = "'helmet' is there already; clear it with /clear_train_cache, or go on from its last checkpoint with "


def detail(answer: Any, code: int) -> str:
    assert answer.status_code == code, answer.text
    return str(answer.json()["detail"])


@pytest.fixture
def finished(client: TestClient, kube: Any, body: dict[str, Any], wait_until: Wait) -> str:
    """A training that has succeeded, uid in the return value, seen by the façade."""
    uid: str = client.post("/start", json=body | {"epochs": 5}).json()["safe_code"]["helmet"]
    kube.set_status("helmet", phase="Succeeded")
    wait_until(lambda: client.get("/status").json()["Succeeded"] == ["helmet"])
    return uid


def test_start_of_a_taken_name_says_what_to_do(
    client: TestClient, body: dict[str, Any], finished: str
) -> None:
    assert detail(client.post("/start", json=body), 409).startswith(TAKEN)


def test_start_of_a_running_name(client: TestClient, body: dict[str, Any]) -> None:
    client.post("/start", json=body)
    want = "'helmet' is running (Pending); wait for its end, or terminate it"
    assert detail(client.post("/start", json=body), 409) == want


def test_start_where_another_replica_was_quicker(client: TestClient, kube: Any, body: dict[str, Any]) -> None:
    """The API server's create is the lock: the cache does not know the object yet."""
    client.post("/start", json=body | {"model_name": "other"})
    template = kube.objects["other"]
    kube.objects["helmet"] = template | {"metadata": template["metadata"] | {"name": "helmet", "uid": "u2"}}
    kube.objects["helmet"]["spec"] = template["spec"] | {"modelName": "helmet"}
    assert "'helmet' is running" in detail(client.post("/start", json=body), 409)


def test_start_of_a_name_whose_object_belongs_to_another_model(
    client: TestClient, kube: Any, body: dict[str, Any]
) -> None:
    name = object_name("Helm Et")
    client.post("/start", json=body)
    taken = kube.objects["helmet"]
    kube.store(
        {**taken, "metadata": {"name": name, "uid": "u3"}, "spec": taken["spec"] | {"modelName": "Other"}}
    )
    answer = client.post("/start", json=body | {"model_name": "Helm Et"})
    assert (
        detail(answer, 409) == f"'Helm Et' cannot be used: its object {name!r} belongs to the model 'Other'"
    )


def test_start_of_an_existing_run_folder_needs_continue_train(
    client: TestClient, kube: Any, body: dict[str, Any], runs_dir: Path
) -> None:
    (runs_dir / "train" / "helmet").mkdir(parents=True)
    assert detail(client.post("/start", json=body), 409).startswith("'helmet' has a run folder already; ")
    answer = client.post("/start", json=body | {"continue_train": True})
    assert answer.status_code == 200
    assert kube.objects["helmet"]["spec"]["resume"] is True


def test_start_says_all_that_is_missing_on_the_data_volume_at_once(
    client: TestClient, kube: Any, body: dict[str, Any]
) -> None:
    answer = client.post("/start", json=body | {"train_ucd": "a", "val_ucd": "b", "model_type": "yolov5m"})
    detail(answer, 422)
    assert [error["field"] for error in answer.json()["errors"]] == ["train_ucd", "val_ucd", "model_type"]
    assert "create" not in kube.calls


def test_start_takes_labels_from_a_file(
    client: TestClient, kube: Any, body: dict[str, Any], data_dir: Path
) -> None:
    (data_dir / "classes.txt").write_text("b\na\n")
    client.post("/start", json=body | {"labels": "classes.txt"})
    assert kube.objects["helmet"]["spec"]["template"]["data"]["labels"] == ["b", "a"]


def test_data_in_an_image_is_not_looked_for_on_the_volume(
    client: TestClient, kube: Any, body: dict[str, Any], wait_until: Any
) -> None:
    asked = body | {"train_ucd": "set/train", "data_image": "registry.example.org/set:1"}
    assert client.post("/start", json=asked).status_code == 200
    kube.set_status("helmet", phase="Succeeded")
    wait_until(lambda: client.get("/status").json()["Succeeded"] == ["helmet"])
    going_on = body | {"train_ucd": "set/train", "continue_train": True}
    assert client.post("/start", json=going_on).status_code == 200
    data = kube.objects["helmet"]["spec"]["template"]["data"]
    assert (data["image"], data["train"]) == ("registry.example.org/set:1", "set/train")


def test_continue_train_is_the_next_run_with_the_new_options(
    client: TestClient, kube: Any, body: dict[str, Any], finished: str
) -> None:
    """Fault 2: it resumed any model's newest checkpoint, and ignored the new options."""
    answer = client.post(
        "/start", json=body | {"continue_train": True, "epochs": 9, "hyp_dict": {"obj": 1, "lr0": 0.02}}
    )
    assert answer.json()["safe_code"] == {"helmet": finished}
    spec = kube.objects["helmet"]["spec"]
    assert (spec["run"], spec["resume"], spec["stop"]) == (2, True, False)
    assert (spec["template"]["epochs"], spec["template"]["hyperparameters"]) == (9, {"lr0": 0.02})
    assert "optimizer" not in spec["template"], "nobody named one"
    shown = client.get("/status").json()["models"]["helmet"]
    assert (shown["phase"], shown["epochs"]) == ("Pending", 9)
    want = [
        "hyp_dict: ignored obj: Ultralytics has no counterpart",
        "optimizer: took SGD, since auto ignores lr0",
    ]
    assert shown["warnings"] == answer.json()["warnings"] == want


def test_continue_train_of_what_runs_is_refused(client: TestClient, kube: Any, body: dict[str, Any]) -> None:
    client.post("/start", json=body)
    want = "'helmet' is running (Pending); terminate it first"
    assert detail(client.post("/start", json=body | {"continue_train": True}), 409) == want
    assert kube.objects["helmet"]["spec"]["run"] == 1


def test_continue_train_with_another_model_is_refused(
    client: TestClient, body: dict[str, Any], finished: str
) -> None:
    answer = client.post("/start", json=body | {"continue_train": True, "model_type": "yolov5n"})
    assert "is a 'yolov5s' and cannot go on as 'yolov5n'" in detail(answer, 409)


def test_continue_train_survives_a_status_that_moves_meanwhile(
    client: TestClient, kube: Any, body: dict[str, Any], finished: str
) -> None:
    kube.before_write = lambda: kube.set_status("helmet", phase="Succeeded", restarts=1)
    assert client.post("/start", json=body | {"continue_train": True}).status_code == 200
    assert kube.objects["helmet"]["spec"]["run"] == 2


def test_continue_train_does_not_overwrite_what_somebody_else_asked_for(
    client: TestClient, kube: Any, body: dict[str, Any], finished: str
) -> None:
    def change() -> None:
        current = kube.objects["helmet"]
        metadata = current["metadata"] | {"generation": 7}
        kube.store({**current, "metadata": metadata, "spec": current["spec"] | {"run": 5}})

    kube.before_write = change
    answer = client.post("/start", json=body | {"continue_train": True})
    assert detail(answer, 409) == "'helmet' was changed by somebody else meanwhile; look and ask again"
    assert kube.objects["helmet"]["spec"]["run"] == 5


def test_continue_train_of_nothing_starts_and_asks_to_resume(
    client: TestClient, kube: Any, body: dict[str, Any]
) -> None:
    """The trainer finds no checkpoint, starts afresh, and says so in the status."""
    answer = client.post("/start", json=body | {"continue_train": True, "model_type": "yolov5m"})
    assert answer.status_code == 200
    assert kube.objects["helmet"]["spec"]["resume"] is True


def test_terminate_waits_for_the_pods(
    client: TestClient, kube: Any, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yolo_api.trainings._POLL_SECONDS", 0.01)
    client.post("/start", json=body)
    asked: list[int] = []
    answers = [["helmet-r1a1-train-x"], ["helmet-r1a1-train-x"], []]

    async def pods(_: str) -> list[str]:
        asked.append(1)
        return answers[min(len(asked), len(answers)) - 1]

    monkeypatch.setattr(kube, "list_unfinished_pods", pods)
    original = kube.patch_training

    async def stop(name: str, operations: list[Any]) -> Any:
        await original(name, operations)
        kube.set_status(name, phase="Terminated")
        return kube.objects[name]

    monkeypatch.setattr(kube, "patch_training", stop)
    answer = client.get("/terminate/helmet")
    assert (answer.status_code, answer.json()) == (200, {"message": "Process terminated"})
    assert len(asked) == 3
    assert detail(client.get("/terminate/helmet"), 409) == "'helmet' is not running"
    assert client.get("/status").json()["Terminated"] == ["helmet"]


def test_terminate_clear_start_in_a_row(
    client: TestClient, kube: Any, body: dict[str, Any], runs_dir: Path, wait_until: Wait
) -> None:
    first = client.post("/start", json=body).json()["safe_code"]["helmet"]
    (runs_dir / "train" / "helmet").mkdir(parents=True)
    kube.set_status("helmet", phase="Running")

    def operator_ends_it() -> None:
        kube.objects["helmet"]["spec"]["stop"] = True
        kube.set_status("helmet", phase="Terminated")

    kube.before_write = operator_ends_it
    assert client.get("/terminate/helmet").status_code == 200
    wait_until(lambda: client.get("/status").json()["Terminated"] == ["helmet"])
    assert client.get("/clear_train_cache/helmet").json()["clear_cache_success"] == ["helmet"]
    assert client.get("/status").json()["models"] == {}
    second = client.post("/start", json=body).json()["safe_code"]["helmet"]
    assert second != first


def test_calls_in_a_row_that_reach_two_replicas(
    client: TestClient, kube: Any, body: dict[str, Any], finished: str
) -> None:
    """What one of them did a moment ago holds for the other, which has not heard of it yet."""
    kube.silent = True
    kube.remove("helmet")
    second = client.post("/start", json=body).json()["safe_code"]["helmet"]
    assert second != finished
    kube.set_status("helmet", phase="Terminated")
    assert client.get("/clear_train_cache/helmet").json()["clear_cache_success"] == ["helmet"]


def test_terminate_of_what_another_replica_just_continued(
    client: TestClient, kube: Any, body: dict[str, Any], finished: str
) -> None:
    kube.silent = True
    kube.objects["helmet"]["spec"]["run"] = 2
    kube.set_status("helmet", phase="Running")

    def operator_ends_it() -> None:
        kube.objects["helmet"]["spec"]["stop"] = True
        kube.set_status("helmet", phase="Terminated")
        kube.silent = False

    kube.before_write = operator_ends_it
    assert client.get("/terminate/helmet").status_code == 200
    assert detail(client.get("/terminate/helmet"), 409) == "'helmet' is not running"


def test_continue_train_of_what_another_replica_just_cleared(
    client: TestClient, kube: Any, body: dict[str, Any], finished: str
) -> None:
    kube.silent = True
    kube.remove("helmet")
    answer = client.post("/start", json=body | {"continue_train": True})
    assert answer.json()["safe_code"]["helmet"] != finished


def test_clear_of_what_runs_deletes_nothing(
    client: TestClient, kube: Any, body: dict[str, Any], runs_dir: Path
) -> None:
    client.post("/start", json=body)
    (runs_dir / "train" / "helmet").mkdir(parents=True)
    answer = client.get("/clear_train_cache/helmet")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "message": "Cleared 0 of 1",
            "clear_cache_success": [],
            "clear_cache_failed": {"helmet": "'helmet' is running (Pending); terminate it first"},
        },
    )
    assert "helmet" in kube.objects
    assert (runs_dir / "train" / "helmet").is_dir()


def test_clear_is_refused_while_a_pod_lives(
    client: TestClient, kube: Any, finished: str, runs_dir: Path
) -> None:
    (runs_dir / "train" / "helmet").mkdir(parents=True)
    kube.pods["helmet"] = ["helmet-r1a2-train-abc"]
    failed = client.get("/clear_train_cache/helmet").json()["clear_cache_failed"]
    assert failed == {"helmet": "'helmet' still has a pod that has not ended: helmet-r1a2-train-abc"}
    assert (runs_dir / "train" / "helmet").is_dir()
    del kube.objects["helmet"]  # nor without the object, whose pod may outlive it
    assert client.get("/clear_train_cache/helmet").json()["clear_cache_failed"] == failed


def test_clear_looks_again_when_the_training_was_started_meanwhile(
    client: TestClient, kube: Any, finished: str, runs_dir: Path
) -> None:
    (runs_dir / "train" / "helmet").mkdir(parents=True)

    def start_again() -> None:
        current = kube.objects["helmet"]
        kube.store({**current, "spec": current["spec"] | {"run": 2}})

    kube.before_write = start_again
    failed = client.get("/clear_train_cache/helmet").json()["clear_cache_failed"]
    assert failed == {"helmet": "'helmet' is running (Pending); terminate it first"}
    assert "helmet" in kube.objects
    assert (runs_dir / "train" / "helmet").is_dir()


def test_clear_deletes_in_the_background_what_it_renamed(
    client: TestClient, runs_dir: Path, wait_until: Wait
) -> None:
    (runs_dir / "train" / "old(1)" / "weights").mkdir(parents=True)  # a name that no new model may have
    assert client.post("/clear_train_cache/old(1)").json()["clear_cache_success"] == ["old(1)"]
    wait_until(lambda: list((runs_dir / ".trash").iterdir()) == [])


def test_leftovers_of_an_earlier_process_are_deleted_at_start(
    runs_dir: Path, request: pytest.FixtureRequest, wait_until: Wait
) -> None:
    (runs_dir / ".trash" / "uid" / "train").mkdir(parents=True)
    request.getfixturevalue("client")
    wait_until(lambda: list((runs_dir / ".trash").iterdir()) == [])


def test_a_misnamed_object_does_not_hide_a_model(
    client: TestClient, kube: Any, finished: str, wait_until: Wait
) -> None:
    impostor = kube.objects["helmet"] | {"metadata": {"name": "impostor"}, "status": {}}
    kube.store(impostor)
    wait_until(lambda: "impostor" in client.get("/status").json()["models"])
    assert client.get("/status").json()["Succeeded"] == ["helmet"]
