"""Objects as the API server sends them, for the operator's tests."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from yolo_crds import meta
from yolo_crds.meta import Stage
from yolo_crds.trainer import Result
from yolo_crds.training import YoloTraining
from yolo_operator.jobs import build_prepare_job, build_train_job
from yolo_operator.settings import Settings
from yolo_operator.snapshot import Snapshot, print_time, view_job, view_pod, view_training

Body = dict[str, Any]

START = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
UID = "0a1b2c3d-0000-4000-8000-000000000001"
SETTINGS = Settings(
    trainer_image="trainer:1",
    data_claim="yolo-data",
    runs_claim="yolo-runs",
    run_as_user=1000,
    run_as_group=1000,
)


def at(seconds: float) -> str:
    """RFC 3339 time so many seconds after `START`."""
    return print_time(START + timedelta(seconds=seconds))


def make_training(name: str = "cats", status: Mapping[str, Any] | None = None, **spec: Any) -> Body:
    """A YoloTraining as stored; `spec` is merged over a minimal one."""
    minimal = {"template": {"model": "yolo11n.yaml", "data": {"train": "cats"}, "epochs": 100}}
    return {
        "apiVersion": meta.API_VERSION,
        "kind": meta.KIND,
        "metadata": {
            "name": name,
            "namespace": "lab",
            "uid": UID,
            "generation": 1,
            "resourceVersion": "10",
            "creationTimestamp": at(0),
        },
        "spec": minimal | spec,
        "status": dict(status or {}),
    }


def make_job(training: Body, stage: Stage, attempt: int = 1, seconds: float = 1) -> Body:
    """The Job that the operator builds, as stored."""
    parsed = YoloTraining.model_validate(view_training(training))
    build = build_prepare_job if stage == Stage.PREPARE else build_train_job
    job = build(parsed, attempt, SETTINGS)
    job["metadata"] |= {
        "uid": f"job-{job['metadata']['name']}",
        "creationTimestamp": at(seconds),
        "resourceVersion": "20",
    }
    job["status"] = {}
    return job


def end_job(job: Body, type_: str, seconds: float, reason: str = "", message: str = "") -> Body:
    """The Job with a condition `Complete` or `Failed`."""
    condition = {
        "type": type_,
        "status": "True",
        "lastTransitionTime": at(seconds),
        "reason": reason,
        "message": message,
    }
    return job | {"status": {"conditions": [condition]}}


def make_pod(job: Body, seconds: float = 2, **status: Any) -> Body:
    """The Job's pod, not scheduled yet unless `status` says so."""
    template = job["spec"]["template"]
    return {
        "metadata": {
            "name": f"{job['metadata']['name']}-x1",
            "namespace": job["metadata"]["namespace"],
            "uid": f"pod-{job['metadata']['name']}",
            "labels": dict(template["metadata"]["labels"]),
            "ownerReferences": [
                {
                    "kind": "Job",
                    "name": job["metadata"]["name"],
                    "uid": job["metadata"]["uid"],
                    "controller": True,
                }
            ],
            "creationTimestamp": at(seconds),
            "resourceVersion": "30",
        },
        "spec": {"containers": template["spec"]["containers"]},
        "status": {"phase": "Pending"} | status,
    }


def make_pods(job: Body, seconds: float = 2, **status: Any) -> list[Body]:
    """The pods of an Indexed Job, as its controller names and labels them."""
    pods = [make_pod(job, seconds, **status) for _ in range(job["spec"]["completions"])]
    for index, pod in enumerate(pods):
        pod["metadata"]["name"] = f"{job['metadata']['name']}-{index}-x1"
        pod["metadata"]["uid"] += f"-{index}"
        pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] = str(index)
    return pods


def schedule(pod: Body, node: str = "node-1", seconds: float | None = None) -> Body:
    """The pod with a node; with `seconds` it tells since when."""
    placed = pod | {"spec": pod["spec"] | {"nodeName": node}}
    if seconds is None:
        return placed
    condition = {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(seconds)}
    return placed | {"status": pod["status"] | {"conditions": [condition]}}


def unschedule(pod: Body, message: str = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.") -> Body:
    """The pod for which the scheduler finds no node."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod | {"status": pod["status"] | {"conditions": [condition]}}


def with_state(pod: Body, phase: str, **state: Any) -> Body:
    """The pod with its trainer container in a state."""
    containers = [{"name": meta.TRAINER_CONTAINER, "state": state}]
    return pod | {"status": pod["status"] | {"phase": phase, "containerStatuses": containers}}


def start(pod: Body, seconds: float = 5) -> Body:
    """The pod running on a node."""
    return with_state(schedule(pod), "Running", running={"startedAt": at(seconds)})


def end(
    pod: Body,
    code: int = 0,
    seconds: float = 60,
    result: Result | None = None,
    reason: str = "",
    message: str = "",
) -> Body:
    """The pod ended with an exit code and a termination message."""
    state = {
        "exitCode": code,
        "reason": reason or ("Completed" if code == 0 else "Error"),
        "message": result.to_termination_message() if result else message,
        "startedAt": at(5),
        "finishedAt": at(seconds),
    }
    return with_state(schedule(pod), "Succeeded" if code == 0 else "Failed", terminated=state)


def make_result(stage: Stage, code: int = 0, attempt: int = 1, **fields: Any) -> Result:
    """How the trainer tells its end."""
    return Result(stage=stage, uid=UID, run=1, attempt=attempt, exit_code=code, **fields)


def make_view(
    training: Body, jobs: Sequence[Body] = (), pods: Sequence[Body] = (), seconds: float = 100, **more: Any
) -> Snapshot:
    """What the operator sees of these objects so many seconds after `START`."""
    return Snapshot(
        training=view_training(training),
        jobs=tuple(seen for job in jobs if (seen := view_job(job))),
        pods=tuple(found for pod in pods if (found := view_pod(pod))),
        now=START + timedelta(seconds=seconds),
        **more,
    )


def sicken(pod: Body, device: str, resource: str = "nvidia.com/gpu") -> Body:
    """The pod with a GPU that its node's device plugin calls unhealthy."""
    (container,) = pod["status"]["containerStatuses"]
    devices = [{"resourceID": device, "health": "Unhealthy"}, {"resourceID": "GPU-b", "health": "Healthy"}]
    told = container | {"allocatedResourcesStatus": [{"name": resource, "resources": devices}]}
    return pod | {"status": pod["status"] | {"containerStatuses": [told]}}
