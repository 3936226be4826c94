"""Trainings from start to end on a real node: over REST, over kubectl, and with things that go wrong."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from demo.client import CallFailedError, OldClient
from demo.install import System
from e2e.audited import Audit
from e2e.trainings import SMALL, until_training

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_DEADLINE = 300


def _finish(client: OldClient, name: str) -> dict[str, Any]:
    *_, last = client.watch(name, deadline=_DEADLINE)
    return last


def test_start_to_best_pt(system: System, client: OldClient, tmp_path: Path) -> None:
    name = "e2e first 安全"
    answer = client.start(**SMALL, model_name=name, epochs=2, hyp_dict={"lr0": 0.01, "obj": 1.0})
    assert answer["message"] == "Training started"
    assert set(answer["safe_code"]) == {name}
    assert client.get("/status")["models"][name]["phase"] in ("Pending", "Preparing")
    with pytest.raises(CallFailedError) as twice:
        client.start(**SMALL, model_name=name, epochs=2)
    assert twice.value.code == httpx2.codes.CONFLICT

    last = _finish(client, name)
    assert (last["phase"], last["epoch"], last["epochs"]) == ("Succeeded", 2, 2), last
    assert name in client.get("/status")["Succeeded"]
    assert "metrics/mAP50(B)" in last["metrics"]

    training = system.training(name)
    digest = client.download(name, "best.pt", tmp_path / "best.pt")
    assert digest == training["status"]["weights"]["best"]["sha256"]
    assert training["status"]["dataset"]["classes"]
    assert any("obj" in warning for warning in training["status"]["warnings"])

    info = client.get(f"/train_info/{name}")
    assert any(line.startswith("* start train 2/2 , ") for line in info["train_log_std"])
    assert any(line.startswith("* train finished") for line in info["train_log_std"])
    assert any("yolo11n.yaml" in line for line in info["opt_yaml"])
    assert client.get("/cache_info")["train"].count(name) == 1

    cleared = client.get(f"/clear_train_cache/{name}")
    assert cleared["clear_cache_success"] == [name]
    assert client.model(name) is None
    assert client.start(**SMALL, model_name=name, epochs=1)["safe_code"] != answer["safe_code"]
    assert _finish(client, name)["phase"] == "Succeeded"


def test_continue_train_extends_the_epochs(client: OldClient) -> None:
    client.start(**SMALL, model_name="e2e-extend", epochs=1)
    assert _finish(client, "e2e-extend")["phase"] == "Succeeded"
    client.start(**SMALL, model_name="e2e-extend", epochs=3, continue_train=True)
    last = _finish(client, "e2e-extend")
    assert (last["phase"], last["epoch"], last["epochs"]) == ("Succeeded", 3, 3), last
    log = client.get("/train_info/e2e-extend")["train_log_std"]
    starts = [line.split(" , ")[0] for line in log if line.startswith("* start train")]
    assert starts[-2:] == ["* start train 2/3", "* start train 3/3"]


def test_two_at_once_do_not_disturb_each_other(client: OldClient) -> None:
    for name in ("e2e-twin-a", "e2e-twin-b"):
        client.start(**SMALL, model_name=name, epochs=2)
    for name in ("e2e-twin-a", "e2e-twin-b"):
        last = _finish(client, name)
        assert (last["phase"], last["epoch"]) == ("Succeeded", 2), last


def test_terminate_ends_the_pods_and_continue_train_goes_on(system: System, client: OldClient) -> None:
    client.start(**SMALL, model_name="e2e-stop", epochs=500)
    reached = until_training(client, "e2e-stop", epoch=3)["epoch"]
    assert client.get("/terminate/e2e-stop") == {"message": "Process terminated"}
    assert system.pods("e2e-stop") == []
    assert _finish(client, "e2e-stop")["phase"] == "Terminated"
    with pytest.raises(CallFailedError) as again:
        client.get("/terminate/e2e-stop")
    assert again.value.code == httpx2.codes.CONFLICT
    client.start(**SMALL, model_name="e2e-stop", epochs=reached + 1, continue_train=True)
    last = _finish(client, "e2e-stop")
    assert last["phase"] == "Succeeded", last


def test_bad_data_fails_before_a_training_pod_exists(system: System, client: OldClient, audit: Audit) -> None:
    system.put("ucd/e2e-bad.json", json.dumps({"uc_list": ["Fuczzzz"], "shapes": {}}))
    client.start(**SMALL | {"train_ucd": "e2e-bad"}, model_name="e2e-bad-data", epochs=1)
    last = _finish(client, "e2e-bad-data")
    assert (last["phase"], last["reason"]) == ("Failed", "InvalidData"), last
    failure = system.training("e2e-bad-data")["status"]["failure"]
    assert failure["hint"]
    assert "Fuczzzz" in failure["message"] or "image" in failure["message"]
    assert audit.stages("e2e-bad-data") == {"prepare"}


def test_killed_worker_is_started_again_and_resumes(system: System, client: OldClient) -> None:
    client.start(**SMALL, model_name="e2e-pod-killed", epochs=15)
    until_training(client, "e2e-pod-killed", epoch=3)
    (pod,) = system.pods("e2e-pod-killed")
    system.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    last = _finish(client, "e2e-pod-killed")
    assert (last["phase"], last["epoch"]) == ("Succeeded", 15), last
    status = system.training("e2e-pod-killed")["status"]
    assert status["attempt"] == 2
    log = client.get("/train_info/e2e-pod-killed")["train_log_std"]
    epochs = [line.split(" , ")[0] for line in log if line.startswith("* start train")]
    assert epochs.count("* start train 1/15") == 1, "the second attempt began at the first epoch again"


def test_operator_killed_in_the_middle_loses_nothing(system: System, client: OldClient) -> None:
    client.start(**SMALL, model_name="e2e-operator-killed", epochs=12)
    until_training(client, "e2e-operator-killed")
    system.kill_component("operator")
    last = _finish(client, "e2e-operator-killed")
    assert (last["phase"], last["epoch"], last["restarts"]) == ("Succeeded", 12, 0), last
    assert system.training("e2e-operator-killed")["status"]["attempt"] == 1


def test_facade_killed_in_the_middle_loses_nothing(system: System, client: OldClient) -> None:
    client.start(**SMALL, model_name="e2e-facade-killed", epochs=12)
    until_training(client, "e2e-facade-killed")
    system.kill_component("api")
    system.wait_ready()
    assert "e2e-facade-killed" in client.get("/status")["models"]
    assert _finish(client, "e2e-facade-killed")["phase"] == "Succeeded"


@pytest.mark.parametrize("file", ["digits.yaml", "digits-ucd.yaml"])
def test_examples_train_by_plain_kubectl(system: System, file: str) -> None:
    name = file.removesuffix(".yaml")
    system.kubectl("apply", "-f", str(EXAMPLES / file))
    system.kubectl("wait", "--for=condition=Complete", f"yt/{name}", f"--timeout={_DEADLINE}s")
    columns = system.kubectl("get", "yt", name)
    assert "Succeeded" in columns
    assert "mAP50-95" in columns


def test_example_gpu_says_why_it_waits(system: System) -> None:
    """`weights/yolo11s.pt` is a name to be filled in by a user: without it, the answer is WeightsMissing."""
    system.kubectl("apply", "-f", str(EXAMPLES / "gpu.yaml"))
    system.kubectl("wait", "--for=condition=Failed", "yt/helmet", f"--timeout={_DEADLINE}s")
    failure = system.training("helmet")["status"]["failure"]
    assert failure["reason"] == "WeightsMissing"
    assert "yolo11s.pt" in failure["message"]


def test_gpu_that_no_node_has_is_named(system: System, client: OldClient) -> None:
    client.start(**SMALL | {"device": 0}, model_name="e2e-no-gpu", epochs=1)
    for state in client.watch("e2e-no-gpu", deadline=_DEADLINE):
        if state["reason"] == "Unschedulable":
            break
    assert "nvidia.com/gpu" in state["message"]
    assert state["phase"] == "Queued"
    assert client.get("/terminate/e2e-no-gpu") == {"message": "Process terminated"}


def test_memory_limit_is_named_as_oom(system: System) -> None:
    manifest = {
        "apiVersion": "yolo.training/v1alpha1",
        "kind": "YoloTraining",
        "metadata": {"name": "e2e-oom"},
        "spec": {
            "lifecycle": {"maxRestarts": 0},
            "template": {
                "model": "yolo11n.yaml",
                "data": {"train": "datasets/digits"},
                "epochs": 1,
                "workers": 0,
                "resources": {"gpus": 0, "cpu": "100m", "memory": "400Mi", "sharedMemory": "16Mi"},
            },
        },
    }
    system.run_kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    system.kubectl("wait", "--for=condition=Failed", "yt/e2e-oom", f"--timeout={_DEADLINE}s")
    failure = system.training("e2e-oom")["status"]["failure"]
    assert failure["reason"] == "OOMKilled"
    assert "memory" in failure["hint"]


def test_writes_of_one_training_are_few_and_reads_cost_none(client: OldClient, audit: Audit) -> None:
    client.start(**SMALL, model_name="e2e-writes", epochs=2)
    assert _finish(client, "e2e-writes")["phase"] == "Succeeded"
    writes = audit.writes("e2e-writes")
    assert writes.pop("create yolotrainings") == 1
    assert writes.pop("create jobs") == 2
    assert writes.pop("patch yolotrainings/status") <= 16
    assert writes.pop("delete jobs") == 1, "the last one is kept"
    assert writes == {}

    assert audit.facade_calls()["create yolotrainings"] >= 1
    before = audit.end
    for path in ("/status", "/cache_info", "/train_info/e2e-writes", "/get_train_process/e2e-writes"):
        client.get(path)
    told = audit.facade_calls(since=before)
    told.pop("watch yolotrainings", None)  # ends once a minute
    assert told == {}, "what clients read costs no call"
