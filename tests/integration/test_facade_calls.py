"""The façade as a process of its own, against a real API server; the operator's part is played by kubectl."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from demo.install import System
from start_bodies import bodies
from yolo_api.spec_keys import OPTIONS

BODY = {
    "model_type": "yolov5s",
    "train_ucd": "helmet_demo",
    "val_ucd": "None",
    "labels": "helmet,person",
    "epochs": "3",
    "device": "cpu",
}
IDLE_RSS_MB = 130


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
    return found


class Facade:
    """A running `python -m yolo_api`."""

    def __init__(self, system: System, root: Path, *, anonymous: bool) -> None:
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = root / f"facade-{port}.log"
        environment = {
            "YOLO_API_HOST": "127.0.0.1",
            "YOLO_API_PORT": str(port),
            "YOLO_API_DATA_DIR": str(root / "data"),
            "YOLO_API_RUNS_DIR": str(root / "runs"),
            "YOLO_API_NAMESPACE": system.namespace,
            "YOLO_API_LEGACY_ANONYMOUS": str(anonymous),
            "TMPDIR": str(root),
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "yolo_api"],
                env=system.environment | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.http = httpx2.Client(base_url=self.url, timeout=40)
        _until(self._is_ready, 60)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.http.get("/readyz").status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False

    def rss_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def stop(self) -> int:
        """The exit code after a SIGTERM."""
        self.http.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("volumes")
    for folder in ("data/ucd", "data/weights", "runs/train", "runs/train_info"):
        (root / folder).mkdir(parents=True)
    (root / "data/ucd/helmet_demo.json").write_text("{}")
    (root / "data/weights/yolov5su.pt").touch()
    return root


@pytest.fixture(scope="module")
def facade(system: System, root: Path) -> Iterator[Facade]:
    facade = Facade(system, root, anonymous=True)
    yield facade
    assert facade.stop() == 0
    for line in facade.log.read_text().splitlines():
        assert json.loads(line)["level"] in ("INFO", "WARNING"), line


def _set_status(system: System, name: str, **status: Any) -> None:
    patch = json.dumps({"status": {"run": system.training(name)["spec"]["run"], **status}})
    system.kubectl("patch", "yt", name, "--subresource=status", "--type=merge", "-p", patch)


def _model(facade: Facade, name: str) -> Any:
    return facade.http.get("/status").json()["models"].get(name)


def test_idle_memory_is_small(facade: Facade) -> None:
    assert facade.rss_mb() < IDLE_RSS_MB


def test_a_training_from_start_to_clear(system: System, facade: Facade, root: Path) -> None:
    name = "facade-whole"
    hyp_dict = {"lr0": "0.02", "box": 0.05, "obj": 1.0}
    answer = facade.http.post("/start", json=BODY | {"model_name": name, "hyp_dict": hyp_dict})
    assert answer.json()["safe_code"] == {name: system.training(name)["metadata"]["uid"]}
    model = _model(facade, name)
    assert model["phase"] == "Pending"
    assert [warning.split(":")[0] for warning in model["warnings"]] == ["hyp_dict", "hyp_dict", "optimizer"]
    again = facade.http.post("/start", json=BODY | {"model_name": name})
    assert again.status_code == httpx2.codes.CONFLICT

    assert (model["updated_at"], model["stale"]) == (None, False)
    _set_status(system, name, phase="Running", seenAt="2026-11-24T10:05:00Z", printed={"metric": "mIoU 0.5"})
    _until(lambda: _model(facade, name)["stale"])
    assert _model(facade, name)["headline"] == "mIoU 0.5"
    assert facade.http.get("/readyz").json()["operator_seen_at"] is not None

    _set_status(system, name, phase="Succeeded", progress={"epoch": 3, "epochs": 3})
    _until(lambda: _model(facade, name)["phase"] == "Succeeded")
    assert not _model(facade, name)["stale"]
    going_on = BODY | {"model_name": name, "continue_train": True, "epochs": 9, "hyp_dict": {}}
    assert facade.http.post("/start", json=going_on).status_code == httpx2.codes.OK
    spec = system.training(name)["spec"]
    assert (spec["run"], spec["resume"], spec["template"]["epochs"]) == (2, True, 9)
    assert spec["template"].get("hyperparameters", {}) == {}
    assert (_model(facade, name)["phase"], _model(facade, name)["warnings"]) == ("Pending", [])

    (root / "runs/train" / name).mkdir()
    refused = facade.http.get(f"/clear_train_cache/{name}").json()
    assert refused["clear_cache_success"] == []
    _set_status(system, name, phase="Failed", failure={"reason": "InvalidData", "message": "no image"})
    _until(lambda: _model(facade, name)["reason"] == "InvalidData")
    cleared = facade.http.get(f"/clear_train_cache/{name}").json()
    assert cleared["clear_cache_success"] == [name]
    assert _model(facade, name) is None
    assert not (root / "runs/train" / name).exists()
    once_more = facade.http.post("/start", json=BODY | {"model_name": name}).json()
    assert once_more["safe_code"] != answer.json()["safe_code"]


def test_continue_train_does_not_lose_to_a_moving_status(system: System, facade: Facade) -> None:
    """The patch carries the resource version that was read; a status written meanwhile makes it stale."""
    name = "facade-stale"
    facade.http.post("/start", json=BODY | {"model_name": name})
    _set_status(system, name, phase="Succeeded")
    _until(lambda: _model(facade, name)["phase"] == "Succeeded")
    for restarts in range(1, 4):
        _set_status(system, name, phase="Succeeded", restarts=restarts)  # perhaps not seen by the cache yet
        answer = facade.http.post("/start", json=BODY | {"model_name": name, "continue_train": True})
        assert answer.status_code == httpx2.codes.OK, answer.text
        _set_status(system, name, phase="Succeeded")
        _until(lambda: _model(facade, name)["phase"] == "Succeeded")
    assert system.training(name)["spec"]["run"] == 4


def test_terminate_asks_to_stop_and_waits_for_the_pods(system: System, facade: Facade) -> None:
    name = "facade-stop"
    facade.http.post("/start", json=BODY | {"model_name": name})
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"yolo.training/training": name}},
        "spec": {"containers": [{"name": "trainer", "image": "none"}]},
    }
    system.run_kubectl("create", "serviceaccount", "default", check=False)
    system.run_kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    refused = facade.http.get(f"/clear_train_cache/{name}").json()["clear_cache_failed"]
    assert name in refused
    with httpx2.Client(base_url=facade.url, timeout=40) as other:
        started = time.monotonic()
        operator = subprocess.Popen(
            ["sh", "-c", _OPERATOR], env=system.environment | {"NAME": name, "NS": system.namespace}
        )
        answer = other.get(f"/terminate/{name}")
        assert operator.wait(30) == 0
    assert answer.json() == {"message": "Process terminated"}
    assert time.monotonic() - started < 19
    assert system.pods(name) == []
    assert system.training(name)["spec"]["stop"] is True
    assert facade.http.get(f"/terminate/{name}").status_code == httpx2.codes.CONFLICT


# Waits for the stop, then ends the pod and says so, as the operator does.
_OPERATOR = """
set -eu
until [ "$(kubectl -n "$NS" get yt "$NAME" -o jsonpath='{.spec.stop}')" = true ]; do sleep 0.1; done
kubectl -n "$NS" delete pod "$NAME" --force --grace-period=0 >/dev/null 2>&1
kubectl -n "$NS" patch yt "$NAME" --subresource=status --type=merge \
    -p '{"status": {"run": 1, "phase": "Terminated"}}' >/dev/null
"""


EVERY_OPTION: dict[str, Any] = {
    "max_restarts": "5",
    "pending_deadline_seconds": 60,
    "active_deadline_seconds": 3600,
    "active_deadline_scope": "Attempt",
    "stall_timeout_seconds": 600,
    "ttl_seconds_after_finished": 86_400,
    "termination_grace_period_seconds": 30,
    "task": "detect",
    "data_image": "registry.example.org/sets/helmet:1",
    "crowd": "take",
    "val_fraction": 0.1,
    "data_seed": 7,
    "verify": "header",
    "copy_images": True,
    "patience": 10,
    "optimizer": "AdamW",
    "seed": 3,
    "cache": True,
    "amp": "false",
    "time": 1.5,
    "save_period": 5,
    "save_interval": {"epochs": 2, "minutes": 0},
    "gpus": "2",
    "nodes": 2,
    "gpu_resource": "nvidia.com/mig-1g.10gb",
    "cpu": 4,
    "cpu_limit": "8",
    "memory": "32Gi",
    "shared_memory": "4Gi",
    "cache_storage": "30Gi",
    "queue_name": "trainings",
    "prepare_queue_name": "checks",
    "workload_priority_class": "high",
    "node_selector": {"disk": "fast"},
    "tolerations": [{"key": "gpu", "operator": "Exists", "toleration_seconds": 5}],
    "priority_class_name": "high",
    "runtime_class_name": "nvidia",
    "required_topology": "topology.example.org/rack",
}


def test_every_option_reaches_the_object(system: System, facade: Facade) -> None:
    """The API server takes each, and stores it at the field of its name."""
    assert EVERY_OPTION.keys() == OPTIONS.keys()
    body = {key: value for key, value in BODY.items() if key != "device"}
    own = {"model_name": "facade-options", "batch_size": 8}  # two GPUs of two nodes share them
    answer = facade.http.post("/start", json=body | EVERY_OPTION | own)
    assert (answer.status_code, answer.json().get("warnings")) == (200, []), answer.text
    spec = system.training("facade-options")["spec"]
    missing = []
    for key in EVERY_OPTION:
        found: Any = spec
        for part in OPTIONS[key]:
            found = found.get(part, {})
        if found in ({}, None):
            missing.append(key)
    assert missing == []
    assert spec["template"]["resources"]["gpus"] == 2
    assert spec["template"]["cache"] == "ram"


def test_arguments_warnings_and_the_status_of_one_model(system: System, facade: Facade) -> None:
    hyp_dict = {"dropout": 0.1, "close_mosaic": "5", "patience": 7, "optimizer": "auto", "lr0": 0.01}
    body = BODY | {"model_name": "facade-arguments", "labels": ["helmet", "person"], "colour": "red"}
    answer = facade.http.post("/start", json=body | {"hyp_dict": hyp_dict})
    want = [
        "ignored the unknown field 'colour'",
        "optimizer auto ignores lr0; name an optimizer, such as SGD or AdamW",
    ]
    assert (answer.status_code, answer.json().get("warnings")) == (200, want), answer.text
    template = system.training("facade-arguments")["spec"]["template"]
    assert template["hyperparameters"] == {"dropout": 0.1, "close_mosaic": 5, "lr0": 0.01}
    assert (template["patience"], template["optimizer"]) == (7, "auto")
    one = facade.http.get("/status/facade-arguments")
    assert one.json() == _model(facade, "facade-arguments")
    unknown = facade.http.get("/status/facade-argumnets")
    assert unknown.status_code == httpx2.codes.NOT_FOUND
    assert "did you mean 'facade-arguments'?" in unknown.json()["detail"]
    failure = {"reason": "OOMKilled", "message": "too much", "hint": "raise spec.template.resources.memory"}
    _set_status(system, "facade-arguments", phase="Failed", failure=failure)
    _until(lambda: _model(facade, "facade-arguments")["phase"] == "Failed")
    assert facade.http.get("/status/facade-arguments").json()["message"] == "too much (raise memory)"


def test_no_body_is_an_unexpected_error(system: System, facade: Facade) -> None:
    """What the façade lets through is nothing that the API server refuses in words of its own."""
    taken = []
    for number, text in enumerate(bodies(BODY | {"model_name": "facade-odd"}, 400, seed=99)):
        text = text.replace(b'"facade-odd"', b'"facade-odd-%d"' % number)
        answer = facade.http.post("/start", content=text)
        assert answer.status_code in (200, 400, 422), (text[:2000], answer.text)
        if answer.status_code == httpx2.codes.OK:
            taken.append(next(iter(answer.json()["safe_code"])))
        else:
            assert "spec." not in answer.json()["detail"].replace("'spec.run'", ""), (
                text[:2000],
                answer.text,
            )
    assert len(taken) > 20
    system.kubectl("delete", "yt", *(name for name in taken if name.startswith("facade-odd-")))


def test_what_the_namespace_never_gives_is_not_asked_for(system: System, facade: Facade) -> None:
    limits = {"limits": [{"type": "Container", "max": {"memory": "6Gi", "cpu": "1500m"}}]}
    hard = {"hard": {"limits.memory": "5Gi", "limits.cpu": "4"}}
    for kind, spec in (("LimitRange", limits), ("ResourceQuota", hard)):
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "small"}, "spec": spec}
        system.run_kubectl("apply", "-f", "-", stdin=json.dumps(body))
    try:
        facade.http.post("/start", json={**BODY, "model_name": "fitting"}).raise_for_status()
        asked = system.training("fitting")["spec"]["template"]["resources"]
        assert (asked["cpu"], asked["memory"], asked["sharedMemory"]) == ("1500m", "5Gi", "2560Mi")
        warnings = facade.http.get("/status").json()["models"]["fitting"]["warnings"]
        assert "memory: 5Gi instead of 16Gi, since the quota small has limits.memory 5Gi" in warnings
        assert "cpu: 1500m instead of 2, since the LimitRange small allows 1500m" in warnings
    finally:
        system.kubectl("delete", "limitrange,resourcequota", "small")
        facade.http.post("/clear_train_cache/fitting")


def test_what_kubectl_does_is_seen(system: System, facade: Facade) -> None:
    manifest = {
        "apiVersion": "yolo.training/v1alpha1",
        "kind": "YoloTraining",
        "metadata": {"name": "by-kubectl"},
        "spec": {"template": {"model": "yolo11n.yaml", "data": {"train": "x"}}},
    }
    system.run_kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    _until(lambda: _model(facade, "by-kubectl"))
    system.kubectl("delete", "yt", "by-kubectl")
    _until(lambda: _model(facade, "by-kubectl") is None)


def test_tokens_and_rights_are_the_clusters(system: System, root: Path) -> None:
    for command in (
        ("create", "serviceaccount", "anna"),
        ("create", "role", "see-trainings", "--verb=get,list", "--resource=yolotrainings.yolo.training"),
        (
            "create",
            "rolebinding",
            "anna",
            "--role=see-trainings",
            f"--serviceaccount={system.namespace}:anna",
        ),
    ):
        system.kubectl(*command)
    token = system.kubectl("create", "token", "anna", "--audience=yolo-api").strip()
    other = system.kubectl("create", "token", "anna", "--audience=elsewhere").strip()
    closed = Facade(system, root, anonymous=False)
    try:
        assert closed.http.get("/status").status_code == httpx2.codes.UNAUTHORIZED
        wrong = closed.http.get("/status", headers={"Authorization": f"Bearer {other}"})
        assert wrong.status_code == httpx2.codes.UNAUTHORIZED
        anna = {"Authorization": f"Bearer {token}"}
        assert closed.http.get("/status", headers=anna).status_code == httpx2.codes.OK
        denied = closed.http.post("/start", json=BODY | {"model_name": "denied"}, headers=anna)
        assert denied.status_code == httpx2.codes.FORBIDDEN
        assert "may not create yolotrainings" in denied.json()["detail"]
        assert token not in closed.log.read_text()
    finally:
        assert closed.stop() == 0
