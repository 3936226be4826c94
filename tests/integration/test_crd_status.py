"""The operator's own statuses on a real API server, as kubectl and other tools read them."""

import json
import os
import re
import subprocess
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.install import System
from integration.trainings_api import TrainingsApi
from operator_objects import (
    SETTINGS,
    Body,
    end,
    make_job,
    make_pod,
    make_result,
    make_training,
    make_view,
    schedule,
    start,
)
from yolo_crds.arguments import HEADLINE
from yolo_crds.conditions import Phase
from yolo_crds.meta import ANNOTATION_WARNINGS, API_VERSION, KIND, Stage, object_name
from yolo_crds.models import infer_task
from yolo_crds.status import UNSERVED
from yolo_crds.trainer import ProgressLine
from yolo_operator.decision import decide
from yolo_operator.patch import status_patch
from yolo_operator.snapshot import Snapshot, print_time

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "kubectl-get-yt.txt"
NAMESPACE = "crd-status"
HELMET = "安全帽 v1.2"


def _training(name: str, model: str = "yolo11n.pt", warnings: Sequence[str] = (), **spec: Any) -> Body:
    template = {"model": model, "data": {"train": "cats"}, "epochs": 300}
    training = make_training(name, template=template, **spec)
    training["metadata"]["annotations"] = {ANNOTATION_WARNINGS: json.dumps(warnings)}
    return training


def _line(training: Body, epoch: int, value: float, eta: int) -> ProgressLine:
    metrics: dict[str, float | None] = {_headline(training): value}
    return ProgressLine(
        seq=1, time=1_795_514_500.0, stage="epoch", epoch=epoch, epochs=300, eta_seconds=eta, metrics=metrics
    )


def _headline(training: Body) -> str:
    return HEADLINE[infer_task(training["spec"]["template"]["model"])][0]


def _course(training: Body, *pods: Body, line: ProgressLine | None = None) -> Snapshot:
    """What the operator sees when prepare has ended and the train Job has these pods."""
    prepare = make_job(training, Stage.PREPARE)
    prepared = end(
        make_pod(prepare), seconds=20, result=make_result(Stage.PREPARE, dataset={"hash": "abc", "images": 9})
    )
    progress = {pod["metadata"]["uid"]: line for pod in pods if line}
    jobs = [prepare, make_job(training, Stage.TRAIN, seconds=21)]
    return make_view(training, jobs, [prepared, *pods], progress=progress)


def _pod(training: Body, attempt: int = 1) -> Body:
    return make_pod(make_job(training, Stage.TRAIN, attempt, seconds=21), seconds=22)


def _after(first: Snapshot, second: Snapshot) -> Snapshot:
    """The second view, with the status that was stored after the first one."""
    status = decide(first, SETTINGS).status.to_wire()
    return replace(second, training={**second.training, "status": status})


def _running(training: Body, epoch: int, value: float, eta: int) -> Snapshot:
    return _course(training, start(_pod(training)), line=_line(training, epoch, value, eta))


def _pending() -> Snapshot:
    return make_view(_training("gloves"))


def _preparing() -> Snapshot:
    training = _training("forklifts-2026", "yolo11m.pt")
    prepare = make_job(training, Stage.PREPARE)
    return make_view(training, [prepare], [start(make_pod(prepare))])


def _queued() -> Snapshot:
    training = _training("pallets", "yolo11x.pt", lifecycle={"maxRestarts": 0})
    no_gpu = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    no_gpu["message"] = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    pod = _pod(training)
    return _course(training, pod | {"status": pod["status"] | {"conditions": [no_gpu]}})


def _starting() -> Snapshot:
    training = _training("welds-seg", "yolo11s-seg.pt")
    return _course(training, schedule(_pod(training), "gpu-a100-07"))


def _running_now() -> Snapshot:
    return _running(_training(object_name(HELMET), "yolo11s-seg.pt", modelName=HELMET), 45, 0.614, 7500)


def _suspended() -> Snapshot:
    return _left("cranes", "yolo11l.pt", suspend=True)


def _succeeded() -> Snapshot:
    training = _training("helmets-v2", "yolo11n.yaml", ["3 images were left out", "box is scaled"])
    metrics: dict[str, float | None] = {_headline(training): 0.871}
    result = make_result(Stage.TRAIN, epochs_done=300, epochs=300, metrics=metrics)
    return _after(
        _running(training, 299, 0.87, 30), _course(training, end(_pod(training), result=result, seconds=90))
    )


def _failed() -> Snapshot:
    training = _training("potholes", "yolo11n-obb.pt", ["1 row was left out"], lifecycle={"maxRestarts": 0})
    killed = end(_pod(training), 137, reason="OOMKilled")
    return _after(_running(training, 3, 0.012, 86_000), _course(training, killed))


def _terminated() -> Snapshot:
    return _left("line-4-defects", "yolo11n-cls.pt", stop=True)


def _left(name: str, model: str, **asked: Any) -> Snapshot:
    """A training that ran until a person asked for something else, and whose Jobs are gone."""
    told = make_view(_training(name, model, **asked))
    return _after(_after(_running(_training(name, model), 120, 0.402, 5400), told), told)


VIEWS = {
    Phase.UNSERVED: make_view(_training("bolts")),
    Phase.PENDING: _pending(),
    Phase.PREPARING: _preparing(),
    Phase.QUEUED: _queued(),
    Phase.STARTING: _starting(),
    Phase.RUNNING: _running_now(),
    Phase.SUSPENDED: _suspended(),
    Phase.SUCCEEDED: _succeeded(),
    Phase.FAILED: _failed(),
    Phase.TERMINATED: _terminated(),
}
"""One training in each phase, as the operator sees it; the first one is not seen by any."""
NAMES = {phase: str(view.training["metadata"]["name"]) for phase, view in VIEWS.items()}


@pytest.fixture(scope="module")
def shown(system: System) -> Iterator[System]:
    """A namespace with one training in each phase, its status as the operator writes it."""
    system.kubectl("create", "namespace", NAMESPACE)
    here = replace(system, namespace=NAMESPACE)
    _write(here, VIEWS.values())
    yield here
    system.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def _write(system: System, views: Collection[Snapshot]) -> None:
    """Create the trainings and store their statuses."""
    bodies = [_manifest(view) for view in views]
    system.run_kubectl("create", "-f", "-", stdin=_list(bodies))
    now = datetime.now(UTC)
    statuses = [
        body | {"status": status_patch({}, decide(view, SETTINGS).status, now)}
        for body, view in zip(bodies, views, strict=True)
        if view is not VIEWS[Phase.UNSERVED]
    ]
    system.run_kubectl("replace", "--subresource=status", "-f", "-", stdin=_list(statuses))


def _manifest(view: Snapshot) -> Body:
    training = view.training
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": training["metadata"]["name"]},
        "spec": training["spec"],
    }


def _list(bodies: Sequence[Body]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})


def _stored(system: System) -> dict[str, Body]:
    """Phase → object."""
    items = json.loads(system.kubectl("get", "yt", "-o", "json"))["items"]
    return {item["status"]["phase"]: item for item in items}


# kubectl get


def test_kubectl_get_shows_each_phase_on_120_columns(shown: System) -> None:
    short = _of_any_age(shown.kubectl("get", "yt"))
    wide = _of_any_age(shown.kubectl("get", "yt", "-o", "wide"))
    shown_now = f"$ kubectl get yt\n{short}\n$ kubectl get yt -o wide\n{wide}"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(shown_now)
    assert max(map(len, short.splitlines())) <= 120
    assert shown_now == GOLDEN.read_text()


def _of_any_age(table: str) -> str:
    """The table with the same ages in each row, without blanks at the ends of its lines."""
    head, *rows = table.splitlines()
    for at in (head.index("SEEN"), head.index("AGE")):
        rows = [row[:at] + re.sub(r"^\S+", lambda age: "1s".ljust(len(age[0])), row[at:]) for row in rows]
    return "".join(f"{line.rstrip()}\n" for line in (head, *rows))


# kubectl describe


@pytest.mark.parametrize("phase", Phase)
def test_kubectl_describe_says_something_in_each_line(shown: System, phase: Phase) -> None:
    """No condition without words, none that only denies what is out of the ordinary, no empty list."""
    told = shown.kubectl("describe", "yt", NAMES[phase])
    lines = told[told.index("\nStatus:") : told.index("\nEvents:")].splitlines()
    assert not [line for line in lines if re.fullmatch(r" +Message: *", line)]
    conditions = [line.split()[-1] for line in lines if re.match(r" +Type: ", line)]
    unusual = {"Stalled": Phase.FAILED, "Failed": Phase.FAILED, "Suspended": Phase.SUSPENDED}
    assert {one for one, at in unusual.items() if at == phase} == set(conditions) & unusual.keys()
    deeper = [len(line) - len(line.lstrip()) for line in [*lines[1:], ""]]
    empty = [line for line, here, after in zip(lines[2:], deeper[1:], deeper[2:], strict=False)
             if line.endswith(":") and after <= here]  # fmt: skip
    assert empty == []


MESSAGES = {
    Phase.UNSERVED: UNSERVED["message"],
    Phase.PENDING: "accepted; its data is checked next",
    Phase.PREPARING: "its data is checked on node-1, before a GPU is asked for",
    Phase.QUEUED: "no node has enough nvidia.com/gpu: 0/1 nodes are available: 1 Insufficient "
    "nvidia.com/gpu. What helps: lower spec.template.resources and raise spec.run, free the named resource, "
    "or add a node that has it",
    Phase.STARTING: "its pod starts on gpu-a100-07: the image and the volumes come",
    Phase.RUNNING: "trains on node-1: epoch 45/300, mask mAP50-95 0.61, 2h05m left",
    Phase.SUSPENDED: "suspended at epoch 120/300; goes on from the last checkpoint when spec.suspend is "
    "false",
    Phase.SUCCEEDED: "trained 300/300 epochs, mAP50-95 0.87; 2 warnings, see status.warnings",
    Phase.FAILED: "the pod used more memory than spec.template.resources.memory allows. What helps: raise "
    "spec.template.resources.memory, lower batch or workers, or set cache to none; raise spec.run, with "
    "spec.resume to go on from what is saved; 1 warning, see status.warnings",
    Phase.TERMINATED: "stopped at epoch 120/300; to go on from the last checkpoint set spec.stop: false, "
    "spec.resume: true and spec.run: 2",
}


@pytest.mark.parametrize("phase", Phase)
def test_status_has_one_sentence_of_where_it_stands_and_what_to_do(shown: System, phase: Phase) -> None:
    message = shown.kubectl("get", "yt", NAMES[phase], "-o", "jsonpath={.status.message}")
    assert message == MESSAGES[phase]


def test_the_age_of_the_status_is_that_of_the_operators_last_write(shown: System) -> None:
    """So an operator that is gone is seen; what has ended, or is held by a person, is not written again."""
    stored = _stored(shown)
    hour_ago = print_time(datetime.now(UTC) - timedelta(hours=1, minutes=5))
    old = VIEWS[Phase.RUNNING]
    body = _manifest(old) | {"metadata": {"name": "left-alone"}}
    body["spec"] = {**body["spec"], "modelName": "left-alone"}
    shown.run_kubectl("create", "-f", "-", stdin=json.dumps(body))
    try:
        _store(shown, body | {"status": decide(old, SETTINGS).status.to_wire() | {"seenAt": hour_ago}})
        head, row = shown.kubectl("get", "yt", "left-alone").splitlines()
        assert row[head.index("SEEN") :].split()[0] == "65m"
    finally:
        shown.kubectl("delete", "yt", "left-alone")
    active = {Phase.PENDING, Phase.PREPARING, Phase.QUEUED, Phase.STARTING, Phase.RUNNING}
    assert {phase for phase, body in stored.items() if "seenAt" in body["status"]} == active


@pytest.mark.parametrize("phase", Phase)
def test_kubectl_selects_by_phase(shown: System, phase: Phase) -> None:
    found = shown.kubectl("get", "yt", "--field-selector", f"status.phase={phase}", "-o", "name")
    assert found.split() == [f"yolotraining.yolo.training/{NAMES[phase]}"]


def test_kubectl_selects_by_model_name_and_by_two_fields(shown: System) -> None:
    running = [f"yolotraining.yolo.training/{NAMES[Phase.RUNNING]}"]
    for selector, want in (
        (f"spec.modelName={HELMET}", running),
        (f"spec.modelName={HELMET},status.phase=Running", running),
        (f"spec.modelName={HELMET},status.phase!=Running", []),
    ):
        found = shown.kubectl("get", "yt", "--field-selector", selector, "-o", "name")
        assert found.split() == want, selector


# kubectl wait


@pytest.mark.parametrize(
    ("phase", "condition"),
    [
        (Phase.SUCCEEDED, "condition=Complete"),
        (Phase.SUCCEEDED, "condition=Finished"),
        (Phase.FAILED, "condition=Failed"),
        (Phase.TERMINATED, "condition=Finished"),
        (Phase.SUSPENDED, "condition=Suspended"),
        (Phase.RUNNING, "condition=Complete=False"),
        (Phase.RUNNING, "jsonpath={.status.phase}=Running"),
        (Phase.SUCCEEDED, "jsonpath={.status.progress.percent}=100"),
        (Phase.FAILED, "jsonpath={.status.failure.reason}=OOMKilled"),
    ],
)
def test_kubectl_wait_finds(shown: System, phase: Phase, condition: str) -> None:
    shown.kubectl("wait", f"yt/{NAMES[phase]}", f"--for={condition}", "--timeout=5s")


def test_kubectl_wait_returns_when_the_training_completes(shown: System) -> None:
    """It waits for the run that is asked for: the `Complete` of the one before does not count."""
    first = VIEWS[Phase.SUCCEEDED]
    name = "waited-for"
    training = {**first.training, "metadata": {**first.training["metadata"], "name": name}}
    done: Body = decide(first, SETTINGS).status.to_wire()
    body = _manifest(replace(first, training=training))
    shown.run_kubectl("create", "-f", "-", stdin=json.dumps(body))
    try:
        _store(shown, body | {"status": done})
        shown.kubectl("patch", "yt", name, "--type=merge", "-p", json.dumps({"spec": {"run": 2}}))
        wait = ("kubectl", "-n", NAMESPACE, "wait", f"yt/{name}", "--for=condition=Complete")
        early = shown.run(*wait, "--timeout=1s", check=False)
        assert "timed out waiting for the condition" in early.stderr

        waiting = subprocess.Popen([*wait, "--timeout=20s"], env=shown.environment, stdout=subprocess.PIPE)
        again = [condition | {"observedGeneration": 2} for condition in done["conditions"]]
        _store(shown, body | {"status": done | {"run": 2, "observedGeneration": 2, "conditions": again}})
        assert waiting.communicate(timeout=25)[0].decode().endswith("condition met\n")
        assert waiting.returncode == 0
    finally:
        shown.kubectl("delete", "yt", name)


def _store(system: System, body: Body) -> None:
    system.run_kubectl("replace", "--subresource=status", "-f", "-", stdin=json.dumps(body))


# kstatus


def kstatus(body: Body) -> str:
    """What Flux, Helm and `kpt live` make of an object of a kind that they do not know.

    The rules, in their order: https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus
    """
    metadata, status = body["metadata"], body.get("status", {})
    if "deletionTimestamp" in metadata:
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"


@pytest.mark.parametrize("phase", Phase)
def test_kstatus_reads_each_phase(shown: System, phase: Phase) -> None:
    """Whatever has not come to where it is wanted is in progress; a suspended training has."""
    want = {
        Phase.SUSPENDED: "Current",
        Phase.SUCCEEDED: "Current",
        Phase.TERMINATED: "Current",
        Phase.FAILED: "Failed",
    }
    assert kstatus(_stored(shown)[phase]) == want.get(phase, "InProgress")


def test_kstatus_waits_for_the_operator_to_see_a_change(shown: System) -> None:
    succeeded = _stored(shown)[Phase.SUCCEEDED]
    succeeded["metadata"]["generation"] += 1
    assert kstatus(succeeded) == "InProgress"


def test_kstatus_waits_for_the_operator_to_see_a_new_object(trainings: TrainingsApi) -> None:
    body = _manifest(VIEWS[Phase.PENDING])
    body["metadata"]["name"] = "crd-unseen"
    created = trainings.create(body).json()
    try:
        assert [kstatus(created), kstatus(trainings.get("crd-unseen"))] == ["InProgress", "InProgress"]
    finally:
        trainings.delete("crd-unseen")
