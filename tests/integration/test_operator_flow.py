"""The operator as a process against a real API server; the test plays scheduler, kubelet and trainer."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from demo.install import System
from integration.api_server import serve_api
from yolo_crds.conditions import Phase
from yolo_crds.meta import CONFIG_ENV, LABEL_ATTEMPT, LABEL_TRAINING, TRAINER_CONTAINER, Stage
from yolo_crds.status import Dataset, Weight, Weights
from yolo_crds.trainer import Result, TrainerConfig
from yolo_operator.rights import RBAC, RBAC_CLUSTER, RBAC_NODES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

NAME = "test-operator"
NODE = "node-1"
PATIENCE = 30.0
LOOK_AT_NODES = "operator-nodes"
"""The binding of the right to read nodes, which an installer need not give."""
Body = dict[str, Any]
T = TypeVar("T")


def until(what: str, look: Callable[[], T | None]) -> T:
    """What `look` finds as soon as it finds something. Raises AssertionError after `PATIENCE` seconds."""
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < end, f"{what}: not within {PATIENCE:.0f} s"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """An API server with the CRD and one node that nobody serves."""
    with serve_api(NAME) as system:
        make_node(system)
        grant(system)
        yield system


def make_node(system: System) -> None:
    """A node that nobody serves."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
    system.run_kubectl("create", "-f", "-", stdin=json.dumps(node))


def grant(system: System) -> None:
    """A service account with the rights that `yolo_operator.kube` lists, and no others."""
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
        for group, resource, verbs in (*RBAC, *RBAC_CLUSTER)
    ]
    system.kubectl("create", "serviceaccount", "operator")
    _grant(system, "operator", rules)
    ((group, resource, verbs),) = RBAC_NODES
    _grant(system, LOOK_AT_NODES, [{"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}])


def _grant(system: System, name: str, rules: list[Body]) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }
    system.run_kubectl("create", "-f", "-", stdin=json.dumps(role))
    subject = f"--serviceaccount={system.namespace}:operator"
    system.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", subject)


def log_in(system: System, folder: Path) -> Path:
    """A kubeconfig of that service account."""
    config = json.loads(system.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    token = system.kubectl("create", "token", "operator").strip()
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


class Operator:
    """The operator's process, with further settings by their environment variables."""

    def __init__(self, system: System, folder: Path, **settings: str) -> None:
        self._log = folder / "operator.log"
        self._env = system.environment | {
            "KUBECONFIG": str(log_in(system, folder)),
            "YOLO_OPERATOR_TRAINER_IMAGE": "trainer:1",
            "YOLO_OPERATOR_DATA_CLAIM": "yolo-data",
            "YOLO_OPERATOR_RUNS_CLAIM": "yolo-runs",
            "YOLO_OPERATOR_METRICS_PORT": "0",
            "YOLO_OPERATOR_HEALTH_PORT": "0",
            "YOLO_OPERATOR_PROGRESS_INTERVAL_SECONDS": "1",
            "TMPDIR": str(folder),  # a client that is killed leaves its keys there
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "yolo_operator"]
            self._process = subprocess.Popen(command, env=self._env, stdout=log, stderr=log, cwd=os.sep)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=30)

    def log(self) -> str:
        return self._log.read_text()


@pytest.fixture
def operator(system: System, tmp_path: Path) -> Iterator[Operator]:
    operator = Operator(system, tmp_path)
    operator.start()
    yield operator
    operator.kill()
    assert "orbidden" not in operator.log()


@contextmanager
def operate(system: System, tmp_path: Path, **settings: str) -> Iterator[Operator]:
    """An operator whose trainings and pods go with it: nobody serves the nodes, so pods would stay for ever,
    and hold what they hold."""
    operator = Operator(system, tmp_path, **settings)
    operator.start()
    yield operator
    system.kubectl("delete", "yt", "--all")
    system.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")
    operator.kill()
    assert "Traceback" not in operator.log()


class Hand:
    """One training, and the hand that plays the node for it."""

    def __init__(self, system: System, name: str) -> None:
        self.system = system
        self.name = name

    def create(self, **spec: Any) -> None:
        template = {"model": "yolo11n.yaml", "data": {"train": "cats"}, "epochs": 2}
        self._apply(
            {
                "apiVersion": "yolo.training/v1alpha1",
                "kind": "YoloTraining",
                "metadata": {"name": self.name},
                "spec": {"template": template, **spec},
            }
        )

    def change(self, **spec: Any) -> None:
        self.system.kubectl("patch", "yt", self.name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def training(self) -> Body:
        found: Body = json.loads(self.system.kubectl("get", "yt", self.name, "-o", "json"))
        return found

    def status(self) -> Body:
        """What an operator has written; without one the API server fills a status in."""
        found: Body = self.training().get("status", {})
        return {} if found.get("phase") == Phase.UNSERVED else found

    def pod_uids(self, known: AbstractSet[str] = frozenset()) -> set[str]:
        """Of all its pods but those."""
        return {pod["metadata"]["uid"] for pod in self.pods()} - known

    def jobs(self) -> list[str]:
        listed = self.system.kubectl("get", "jobs", "-l", f"{LABEL_TRAINING}={self.name}", "-o", "name")
        return sorted(line.partition("/")[2] for line in listed.split())

    def pods(self) -> list[Body]:
        text = self.system.kubectl("get", "pods", "-l", f"{LABEL_TRAINING}={self.name}", "-o", "json")
        found: list[Body] = json.loads(text)["items"]
        return found

    def wait_phase(self, phase: str) -> Body:
        def look() -> Body | None:
            status = self.status()
            return status if status.get("phase") == phase else None

        return until(f"{self.name} {phase}", look)

    def wait_attempt(self, attempt: int) -> Body:
        def look() -> Body | None:
            status = self.status()
            return status if status.get("attempt") == attempt else None

        return until(f"attempt {attempt}", look)

    def wait_pod(self, stage: Stage, attempt: int = 1) -> str:
        """Name of the stage's pod."""

        def look() -> str | None:
            for pod in self.pods():
                labels, name = pod["metadata"]["labels"], pod["metadata"]["name"]
                if labels[LABEL_ATTEMPT] == str(attempt) and f"-{stage}" in name:
                    return str(name)
            return None

        return until(f"pod {stage} of attempt {attempt}", look)

    def refuse(self, stage: Stage, message: str) -> str:
        """The scheduler finds no node."""
        pod = self.wait_pod(stage)
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
        }
        patch = {"status": {"conditions": [condition]}}
        self.system.kubectl(
            "patch", "pod", pod, "--subresource=status", "--type=strategic", "-p", json.dumps(patch)
        )
        return pod

    def start(self, stage: Stage, attempt: int = 1, ago: int = 0, node: str = NODE) -> str:
        """The scheduler finds a node, the kubelet starts the container (so many seconds ago)."""
        return self.start_pod(self.wait_pod(stage, attempt), ago, node)

    def start_pod(self, pod: str, ago: int = 0, node: str = NODE) -> str:
        """The same for a pod by its name."""
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod},
            "target": target,
        }
        path = f"/api/v1/namespaces/{self.system.namespace}/pods/{pod}/binding"
        self.system.run_kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(binding))
        self._set_status(pod, "Running", {"running": {"startedAt": _now(ago)}})
        return pod

    def end(
        self, pod: str, code: int = 0, message: str = "", reason: str = "Completed", ago: int = 0
    ) -> None:
        """The container, which started so many seconds ago, ends."""
        state = {
            "exitCode": code,
            "reason": reason,
            "message": message,
            "startedAt": _now(ago),
            "finishedAt": _now(),
        }
        self._set_status(pod, "Succeeded" if code == 0 else "Failed", {"terminated": state})

    def run_to_end(self, stage: Stage, code: int = 0, attempt: int = 1, **fields: Any) -> None:
        """The stage's pod runs and ends with a result."""
        pod = self.start(stage, attempt)
        uid = self.training()["metadata"]["uid"]
        result = Result(stage=stage, uid=uid, run=1, attempt=attempt, exit_code=code, **fields)
        self.end(pod, code, result.to_termination_message(), "Completed" if code == 0 else "Error")

    def patch_job(self, stage: Stage, **spec: Any) -> None:
        """Somebody else changes the first attempt's Job."""
        name = f"{self.name}-r1a1-{stage}"
        self.system.kubectl("patch", "job", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def remove(self, pod: str) -> None:
        """The kubelet has ended a deleted pod."""
        self.system.kubectl("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")

    def leave(self, pod: str, code: int = 143) -> None:
        """The deleted pod's container saves and exits in its grace period, or is killed after it (137)."""
        until(f"{pod} asked to leave", lambda: any("deletionTimestamp" in p["metadata"] for p in self.pods()))
        self.end(pod, code, reason="Error")
        self.remove(pod)

    def _set_status(self, pod: str, phase: str, state: Body) -> None:
        statuses = [
            {
                "name": TRAINER_CONTAINER,
                "state": state,
                "image": "trainer:1",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
            }
        ]
        patch = {"status": {"phase": phase, "containerStatuses": statuses}}
        self.system.kubectl(
            "patch", "pod", pod, "--subresource=status", "--type=merge", "-p", json.dumps(patch)
        )

    def _apply(self, manifest: Body) -> None:
        self.system.run_kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def _now(ago: int = 0) -> str:
    return (datetime.now(UTC) - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_operator_prepares_trains_and_succeeds(system: System, operator: Operator, tmp_path: Path) -> None:
    hand = Hand(system, "flow-good")
    hand.create()
    hand.wait_phase("Preparing")
    hand.run_to_end(Stage.PREPARE, dataset=Dataset(hash="abc", images=3))
    hand.wait_phase("Queued")
    pod = hand.start(Stage.TRAIN)
    assert hand.wait_phase("Running")["nodeName"] == NODE
    weights = Weights(best=Weight(path="train/flow-good/weights/best.pt", size=5, sha256="ab"))
    uid = hand.training()["metadata"]["uid"]
    done = Result(
        stage=Stage.TRAIN,
        uid=uid,
        run=1,
        attempt=1,
        exit_code=0,
        epochs_done=2,
        epochs=2,
        weights=weights,
        metrics={"metrics/mAP50-95(B)": 0.5},
    )
    hand.end(pod, 0, done.to_termination_message())
    status = hand.wait_phase("Succeeded")
    assert status["dataset"]["hash"] == "abc"
    assert status["weights"]["best"]["sha256"] == "ab"
    assert status["printed"] == {"epoch": "2/2", "metric": "mAP50-95 0.50"}
    until("the last Job alone", lambda: hand.jobs() == ["flow-good-r1a1-train"] and len(hand.pods()) == 1)
    assert hand.status()["podName"] == pod
    assert pod in hand.status()["logs"]
    system.kubectl("wait", "--for=condition=Complete", "yt/flow-good", "--timeout=5s")
    operator.kill()
    with operate(system, tmp_path, YOLO_OPERATOR_KEEP_FINISHED_JOB_SECONDS="1"):
        until("children gone", lambda: hand.jobs() == [] and hand.pods() == [])
        until("their names too", lambda: not {"jobName", "podName"} & hand.status().keys())
        assert hand.status()["nodeName"] == NODE
        assert "kubectl" not in hand.status()["logs"]
        metadata = hand.training()["metadata"]
    assert "finalizers" not in metadata
    assert not [k for k in metadata.get("annotations", {}) if "kopf" in k]


def test_status_tells_where_it_stands_and_when_the_operator_last_wrote(
    system: System, operator: Operator
) -> None:
    hand = Hand(system, "flow-told")

    def wait_message(want: str) -> Body:
        def look() -> Body | None:
            status = hand.status()
            return status if status.get("message", "").startswith(want) else None

        return until(want, look)

    hand.create()
    wait_message("the check of its data waits for a node")
    prepare = hand.start(Stage.PREPARE)
    wait_message(f"its data is checked on {NODE}, before a GPU is asked for")
    uid = hand.training()["metadata"]["uid"]
    warning = "3 images of whose labels none can be used were left out"
    prepared = Result(stage=Stage.PREPARE, uid=uid, run=1, attempt=1, exit_code=0, warnings=[warning])
    hand.end(prepare, 0, prepared.to_termination_message())
    wait_message("its data is ready; waits for a node; 1 warning, see status.warnings")
    pod = hand.start(Stage.TRAIN)
    seen = wait_message(f"trains on {NODE}: before the first epoch; 1 warning")["seenAt"]
    assert _cells(system, "flow-told")["REASON"] == "1 warning"

    operator.kill()
    hour_ago = _now(3600)
    patch = json.dumps({"status": {"seenAt": hour_ago}})
    system.kubectl("patch", "yt", "flow-told", "--subresource=status", "--type=merge", "-p", patch)
    assert _cells(system, "flow-told")["SEEN"] in {"60m", "61m"}
    operator.start()
    until("the operator's next word", lambda: hand.status()["seenAt"] >= seen)
    hand.end(pod, 4, reason="Error")
    status = hand.wait_phase("Failed")
    assert status["message"].startswith("the trainer ended with exit code 4")
    assert ("seenAt" in status, _cells(system, "flow-told")["SEEN"]) == (False, "")
    assert all(condition["message"] for condition in status["conditions"])


def _cells(system: System, name: str) -> dict[str, str]:
    """What plain `kubectl get` shows of a training, by column."""
    head, row = system.kubectl("get", "yt", name).splitlines()
    starts = [found.start() for found in re.finditer(r"\S+", head)]
    ends = [*starts[1:], None]
    return {head[a:b].strip(): row[a:b].strip() for a, b in zip(starts, ends, strict=True)}


def test_operator_says_why_prepare_failed_and_takes_no_gpu(system: System, operator: Operator) -> None:
    hand = Hand(system, "flow-bad-data")
    hand.create()
    hand.run_to_end(Stage.PREPARE, 3, reason="InvalidData", message="no labels", hint="add some")
    failure = hand.wait_phase("Failed")["failure"]
    assert (failure["reason"], failure["message"], failure["hint"]) == (
        "InvalidData",
        "no labels",
        "add some; then raise spec.run",
    )
    assert hand.jobs() == ["flow-bad-data-r1a1-prepare"]


def test_people_see_what_changed_as_events_each_once(system: System, operator: Operator) -> None:
    hand = Hand(system, "flow-events")
    hand.create()
    hand.run_to_end(Stage.PREPARE)
    hand.wait_phase("Queued")
    hand.refuse(Stage.TRAIN, "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    until("Unschedulable", lambda: hand.status().get("failure", {}).get("reason") == "Unschedulable")
    pod = hand.start(Stage.TRAIN)
    hand.wait_phase("Running")
    hand.end(pod, 137, reason="OOMKilled")
    hand.wait_attempt(2)
    hand.run_to_end(Stage.PREPARE, attempt=2)
    hand.wait_pod(Stage.TRAIN, 2)
    operator.kill()
    operator.start()
    pod = hand.start(Stage.TRAIN, 2)
    hand.wait_phase("Running")
    hand.end(pod)
    hand.wait_phase("Succeeded")
    want = ["Unschedulable", "Started", "Restarting", "Started", "Succeeded"]

    def reasons() -> list[str]:
        told = system.kubectl("events", "--for", "yt/flow-events", "--no-headers").splitlines()
        return [line.split()[2] for line in told]

    until("all events", lambda: sorted(reasons()) == sorted(want))
    operator.kill()
    operator.start()
    hand.change(lifecycle={"ttlSecondsAfterFinished": 9999})
    until("seen", lambda: hand.status()["observedGeneration"] == hand.training()["metadata"]["generation"])
    assert sorted(reasons()) == sorted(want)
    described = system.kubectl("describe", "yt", "flow-events").partition("Events:")[2]
    shown = [line.split()[1] for line in described.splitlines()[3:]]
    assert sorted(shown) == sorted(want), described
    assert "<unknown>" not in described
    assert "OOMKilled" in described


def test_a_namesake_does_not_trip_over_the_kept_job(system: System, operator: Operator) -> None:
    hand = Hand(system, "flow-namesake")
    hand.create()
    hand.run_to_end(Stage.PREPARE, 3, reason="InvalidData", message="no labels")
    hand.wait_phase("Failed")
    for _ in range(3):
        known = hand.pod_uids()
        system.kubectl("delete", "yt", hand.name, "--wait=false")
        hand.create()
        until("another prepare", partial(hand.pod_uids, known))
        assert "failure" not in hand.wait_phase("Preparing")
        hand.run_to_end(Stage.PREPARE, 3, reason="InvalidData", message="no labels")
        hand.wait_phase("Failed")
    assert "InternalError" not in operator.log()


def test_operator_killed_at_each_step_goes_on(system: System, operator: Operator) -> None:
    hand = Hand(system, "flow-crash")
    operator.kill()
    hand.create()
    operator.start()
    hand.wait_phase("Preparing")
    operator.kill()
    hand.run_to_end(Stage.PREPARE, dataset=Dataset(hash="abc"))
    operator.start()
    hand.wait_phase("Queued")
    operator.kill()
    pod = hand.start(Stage.TRAIN)
    operator.start()
    hand.wait_phase("Running")
    operator.kill()
    hand.end(pod)
    operator.start()
    hand.wait_phase("Succeeded")
    assert hand.status()["attempt"] == 1
    until("the last Job alone", lambda: hand.jobs() == ["flow-crash-r1a1-train"])


def test_operator_resumes_in_another_attempt_after_oom(system: System, operator: Operator) -> None:
    hand = Hand(system, "flow-oom")
    hand.create()
    hand.run_to_end(Stage.PREPARE)
    pod = hand.start(Stage.TRAIN)
    hand.wait_phase("Running")
    hand.end(pod, 137, reason="OOMKilled")
    again = hand.wait_attempt(2)
    assert (again["restarts"], again["failure"]["reason"]) == (1, "OOMKilled")
    hand.run_to_end(Stage.PREPARE, attempt=2)
    hand.wait_pod(Stage.TRAIN, 2)
    job = json.loads(system.kubectl("get", "job", "flow-oom-r1a2-train", "-o", "json"))
    config = json.loads(job["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"])
    assert (config["attempt"], config["overrides"]) == (2, {"workers": "1"})


def test_stop_ends_the_pods_and_a_higher_run_goes_on(system: System, operator: Operator) -> None:
    hand = Hand(system, "flow-stop")
    hand.create()
    hand.run_to_end(Stage.PREPARE)
    pod = hand.start(Stage.TRAIN)
    hand.wait_phase("Running")
    hand.change(stop=True)
    until("train Job gone", lambda: "flow-stop-r1a1-train" not in hand.jobs())
    assert hand.status()["phase"] == "Running"
    hand.leave(pod)
    assert hand.wait_phase("Terminated").get("failure") is None
    hand.change(stop=False, run=2, resume=True)
    status = hand.wait_phase("Preparing")
    assert (status["run"], status["attempt"]) == (2, 1)
    assert [run["phase"] for run in status["runs"]] == ["Terminated"]
    assert "startTime" not in status


def test_suspend_frees_the_gpu_and_goes_on_later(system: System, operator: Operator) -> None:
    hand = Hand(system, "flow-suspend")
    hand.create()
    hand.run_to_end(Stage.PREPARE)
    pod = hand.start(Stage.TRAIN)
    hand.wait_phase("Running")
    hand.change(suspend=True)
    hand.leave(pod)
    hand.wait_phase("Suspended")
    assert hand.jobs() == []
    hand.change(suspend=False)
    hand.wait_pod(Stage.PREPARE, 2)
    assert hand.wait_phase("Preparing")["restarts"] == 0


def test_job_deleted_by_hand_is_replaced_once_its_pod_is_gone(system: System, operator: Operator) -> None:
    hand = Hand(system, "flow-deleted")
    hand.create()
    hand.run_to_end(Stage.PREPARE)
    pod = hand.start(Stage.TRAIN)
    hand.wait_phase("Running")
    system.kubectl("delete", "job", "flow-deleted-r1a1-train", "--wait=false")
    status = hand.wait_attempt(2)
    assert (status["failure"]["reason"], status["restarts"]) == ("PodDeleted", 0)
    hand.leave(pod)
    hand.wait_pod(Stage.PREPARE, 2)


def test_active_deadline_counts_all_attempts_though_the_operator_is_killed(
    system: System, operator: Operator
) -> None:
    hand = Hand(system, "flow-active")
    hand.create(lifecycle={"activeDeadlineSeconds": 3600})
    assert hand.training()["spec"]["lifecycle"]["activeDeadlineScope"] == "Run"
    hand.run_to_end(Stage.PREPARE)
    pod = hand.start(Stage.TRAIN, ago=1000)
    hand.wait_phase("Running")
    operator.kill()
    hand.end(pod, 143, reason="Error", ago=1000)
    operator.start()
    used = hand.wait_attempt(2)["activeSeconds"]
    assert 1000 <= used < 1100
    operator.kill()
    operator.start()
    hand.run_to_end(Stage.PREPARE, attempt=2)
    name = hand.start(Stage.TRAIN, 2, ago=500)
    (env,) = (p["spec"]["containers"][0]["env"] for p in hand.pods() if p["metadata"]["name"] == name)
    config = TrainerConfig.model_validate_json(env[0]["value"])
    assert config.active_deadline_seconds == 3600 - used
    started = until("start stored", lambda: hand.status().get("attemptStartTime"))
    assert started < _now(400)
    system.kubectl("delete", "job", "flow-active-r1a2-train", "--wait=false")
    again = hand.wait_attempt(3)
    assert 500 <= again["activeSeconds"] - used < 600
    assert "attemptStartTime" not in again
    hand.leave(name)


def test_name_mismatch_is_refused_with_the_right_name(system: System, operator: Operator) -> None:
    hand = Hand(system, "flow-misnamed")
    hand.create(modelName="Other Name")
    failure = hand.wait_phase("Failed")["failure"]
    assert failure["reason"] == "NameMismatch"
    assert "other-name-" in failure["message"]
    assert hand.jobs() == []


def test_job_that_the_api_server_calls_invalid_ends_the_run(system: System, operator: Operator) -> None:
    hand = Hand(system, "flow-invalid-job")
    template = {"model": "yolo11n.yaml", "data": {"train": "cats"}}
    hand.create(template=template | {"scheduling": {"nodeSelector": {"not a label!": "x"}}})
    hand.run_to_end(Stage.PREPARE)
    failure = hand.wait_phase("Failed")["failure"]
    assert failure["reason"] == "InvalidSpec"
    assert "nodeSelector" in failure["message"]
    assert hand.jobs() == ["flow-invalid-job-r1a1-prepare"]


def test_cuda_out_of_memory_is_tried_again_with_half_the_batch(system: System, operator: Operator) -> None:
    hand = Hand(system, "flow-remedy")
    hand.create()
    hand.run_to_end(Stage.PREPARE)
    hand.run_to_end(Stage.TRAIN, 4, reason="CudaOutOfMemory", message="CUDA out of memory")
    (remedy,) = hand.wait_attempt(2)["remedies"]
    assert (remedy["argument"], remedy["before"], remedy["after"]) == ("batch", "16", "8")
    hand.run_to_end(Stage.PREPARE, attempt=2)
    name = hand.wait_pod(Stage.TRAIN, 2)
    (pod,) = (pod for pod in hand.pods() if pod["metadata"]["name"] == name)
    env = {entry["name"]: entry.get("value") for entry in pod["spec"]["containers"][0]["env"]}
    assert TrainerConfig.model_validate_json(env[CONFIG_ENV] or "").overrides == {"batch": "8"}


def test_quota_is_told_while_the_training_waits(system: System, operator: Operator) -> None:
    hand = Hand(system, "flow-quota")
    system.kubectl("create", "quota", "no-pods", "--hard=pods=0")
    try:
        until(
            "quota in force",
            lambda: system.kubectl("get", "quota", "no-pods", "-o", "jsonpath={.status.hard}"),
        )
        hand.create()
        found = until("reason", lambda: hand.status().get("failure"))
        assert found["reason"] == "ExceedsQuota"
        assert "no-pods" in found["message"]
    finally:
        system.kubectl("delete", "quota", "no-pods")


def test_job_that_somebody_else_suspends_is_told_and_goes_on(system: System, operator: Operator) -> None:
    hand = Hand(system, "flow-held")
    hand.create()
    hand.wait_pod(Stage.PREPARE)
    hand.patch_job(Stage.PREPARE, suspend=True)
    status = hand.wait_phase("Queued")
    assert status["failure"]["reason"] == "SuspendedByOthers"
    assert "flow-held-r1a1-prepare is suspended by somebody else" in status["failure"]["message"]
    assert "limits in time do not count meanwhile" in status["failure"]["hint"]
    since = until("since when", lambda: hand.status().get("queue", {}).get("since"))

    def told() -> bool:
        return f"since {since}: by the client kubectl-patch" in hand.status()["failure"]["message"]

    until("since when and by whom", told)
    system.kubectl("wait", "--for=condition=Admitted=False", "yt/flow-held", "--timeout=5s")
    hand.patch_job(Stage.PREPARE, suspend=False)
    assert "failure" not in hand.wait_phase("Preparing")
    hand.run_to_end(Stage.PREPARE)
    hand.wait_pod(Stage.TRAIN)


@pytest.mark.parametrize("away", [False, True])
def test_preempted_training_keeps_its_attempt(system: System, operator: Operator, away: bool) -> None:
    hand = Hand(system, f"flow-preempted-{away}".lower())
    template = {"model": "yolo11n.yaml", "data": {"train": "cats"}, "scheduling": {"queueName": "gpus"}}
    hand.create(template=template)
    hand.run_to_end(Stage.PREPARE)
    pod = hand.start(Stage.TRAIN)
    hand.wait_phase("Running")
    hand.change(lifecycle={"pendingDeadlineSeconds": 1})
    if away:
        operator.kill()
    hand.patch_job(Stage.TRAIN, suspend=True)
    hand.leave(pod)
    until("pod gone", lambda: pod not in [p["metadata"]["name"] for p in hand.pods()])
    if away:
        operator.start()
    held = hand.wait_phase("Queued")
    assert (held["attempt"], held["restarts"], held["failure"]["reason"]) == (1, 0, "SuspendedByOthers")
    hand.patch_job(Stage.TRAIN, suspend=False)
    second = hand.start(Stage.TRAIN)
    assert hand.wait_phase("Running")["attempt"] == 1
    if away:
        return
    # A drained node: nobody suspends the Job, and its policy ignores the pod's end.
    hand.end(second, 143, reason="Error")
    third = until("another pod", lambda: [n for n in _names(hand) if n not in (pod, second)])[0]
    assert hand.status()["attempt"] == 1
    assert third.startswith(f"{hand.name}-r1a1-train")


def _names(hand: Hand) -> list[str]:
    return [p["metadata"]["name"] for p in hand.pods() if "-train" in p["metadata"]["name"]]


def test_webhook_that_is_down_is_told_until_it_answers(system: System, operator: Operator) -> None:
    hand = Hand(system, "flow-webhook")
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"], "operations": ["CREATE"]}
    webhook = {
        "name": "jobs.example.org",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [rule],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "objectSelector": {"matchLabels": {LABEL_TRAINING: hand.name}},
    }
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "down"},
        "webhooks": [webhook],
    }
    system.run_kubectl("create", "-f", "-", stdin=json.dumps(configuration))
    try:
        hand.create()
        found = until("reason", lambda: hand.status().get("failure"))
        assert found["reason"] == "WebhookFailed"
        assert "the admission webhook jobs.example.org does not answer" in found["message"]
    finally:
        system.run_kubectl("delete", "mutatingwebhookconfiguration", "down")
    assert "failure" not in hand.wait_phase("Preparing")


def test_operator_ends_on_sigterm_and_leaves_settled_objects_alone(
    system: System, operator: Operator
) -> None:
    hand = Hand(system, "flow-settled")
    hand.create(modelName="Bad One")
    hand.wait_phase("Failed")
    version = hand.training()["metadata"]["resourceVersion"]
    assert operator.stop() == 0
    operator.start()
    other = Hand(system, "flow-other")
    other.create()
    other.wait_phase("Preparing")
    assert hand.training()["metadata"]["resourceVersion"] == version
    assert "Traceback" not in operator.log()
