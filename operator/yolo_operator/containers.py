"""What a pod's spec and status say of its containers: the trainer's, and those that others put beside it."""

from collections.abc import Iterable, Mapping
from typing import Any

from yolo_crds import meta

Wire = Mapping[str, Any]


def find_trainer(containers: Iterable[Wire] | None) -> Wire:
    """The container, or container status, of the trainer; empty where there is none."""
    empty: Wire = {}
    return next((c for c in containers or () if c["name"] == meta.TRAINER_CONTAINER), empty)


def others_run(status: Wire) -> bool:
    """Whether the pod is only still there for containers that the operator does not know.

    Without any the kubelet tells the trainer's end a moment before the pod's. A pod is Pending as long as one
    of its containers has never started, whatever the others do (`getPhase` in pkg/kubelet/kubelet_pods.go).
    """
    others = [c for c in status.get("containerStatuses") or () if c["name"] != meta.TRAINER_CONTAINER]
    ended = status.get("phase") in {"Succeeded", "Failed"}
    return not ended and any("terminated" not in c.get("state", {}) for c in others)


def phase_of(status: Wire, terminated: Wire | None, *, lingers: bool) -> str:
    """The pod's phase, by the trainer's container alone as soon as that has ended."""
    phase = str(status.get("phase", "Pending"))
    if terminated is not None and (lingers or phase == "Failed"):
        return "Succeeded" if terminated["exitCode"] == 0 else "Failed"
    return phase


def find_obstruction(status: Wire) -> str | None:
    """The first container before the trainer's that does not end well; the operator's pods have none."""
    for container in status.get("initContainerStatuses") or ():
        state = container.get("state", {})
        waiting, ended = state.get("waiting", {}), state.get("terminated", {})
        if waiting.get("reason", "PodInitializing") != "PodInitializing":
            why = f"{waiting['reason']}: {waiting.get('message', '')}"
        elif ended.get("exitCode", 0) != 0:
            why = f"it ended with exit code {ended['exitCode']} {ended.get('message', '')}"
        else:
            continue
        return (
            f"the container {container['name']}, which somebody injected into the pod, does not start: {why}"
        )
    return None


def find_predecessor(spec: Wire, status: Wire) -> Wire:
    """The status of the container before the trainer's that runs and keeps it waiting; empty where none does.

    A sidecar (an init container that is restarted always) does so until it has started.
    """
    sidecars = {c["name"] for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}
    container: Wire
    for container in status.get("initContainerStatuses") or ():
        let_go = container["name"] in sidecars and container.get("started") is True
        if "running" in container.get("state", {}) and not let_go:
            return container
    return {}


def unhealthy_devices(container: Wire, gpu: str | None) -> Iterable[str]:
    """Ids of a container's devices that are unhealthy, of the resource that stands for GPUs.

    Kubernetes tells from 1.36 on (KEP-4680).
    """
    for resource in container.get("allocatedResourcesStatus") or ():
        if resource["name"] != gpu:
            continue
        for device in resource.get("resources") or ():
            if device.get("health") == "Unhealthy":
                yield str(device.get("resourceID", ""))


def data_image_of(volumes: Iterable[Wire] | None) -> str:
    """Reference of the image volume; empty where there is none."""
    return next((str(v["image"].get("reference", "")) for v in volumes or () if "image" in v), "")


def unscheduled_message(status: Wire) -> str | None:
    """What the scheduler says while it finds no node; None once there is one, or before it has looked."""
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message") or condition.get("reason") or "no node was found")
    return None
