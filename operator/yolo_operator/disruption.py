"""Pods that end since somebody wants their place or their node: who, and what follows.

None of it is the training's fault, so it costs no restart.
"""

from collections.abc import Iterable

from yolo_crds.conditions import Reason

from .snapshot import EventView, PodView

_BY_KUBELET = "TerminationByKubelet"
_BY_TAINT = "DeletionByTaintManager"
# Reasons of the condition DisruptionTarget (Kubernetes, "Pod disruption conditions").
_DISRUPTIONS = {
    "PreemptionByScheduler": Reason.PREEMPTED,
    _BY_TAINT: Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
    "DeletionByDeviceTaintManager": Reason.GPU_FAULT,
    "EvictionByEvictionAPI": Reason.EVICTED,
    _BY_KUBELET: Reason.EVICTED,
}
POD_REASONS = {
    "Evicted": Reason.EVICTED,
    "Preempting": Reason.PREEMPTED,
    "NodeLost": Reason.NODE_LOST,
    "NodeShutdown": Reason.NODE_LOST,
    "Terminated": Reason.NODE_LOST,
    "Shutdown": Reason.NODE_LOST,
    "DeadlineExceeded": Reason.DEADLINE_EXCEEDED,
}
"""`status.reason` of a pod that the kubelet or the node controller ended."""
# Events about a pod: the scheduler's (`Preempted by pod … on node …`), the node controller's, the kubelet's.
_EVENTS = {
    "Preempted": Reason.PREEMPTED,
    "Preempting": Reason.PREEMPTED,
    "TaintManagerEviction": Reason.NODE_LOST,
    "Evicted": Reason.EVICTED,
}
_TAKEN_BACK = "Cancel"
"""How the node controller begins when it spares a pod after all (`TaintManagerEviction` as well)."""
_HINTS = {
    "EvictionByEvictionAPI": "somebody drained the node or evicted the pod; the next attempt resumes where "
    "there is room",
    _BY_TAINT: "its node got a taint (NoExecute) that training pods do not tolerate; the next attempt "
    "resumes where there is room",
}
Told = tuple[Reason, str, str | None]
"""Reason, message, and the hint where the reason's own does not do."""


def explain_disruption(pod: PodView) -> Told | None:
    """By the pod's condition DisruptionTarget and its reason; None where nobody wanted it to go.

    The kubelet's condition is the same for all that it ends, so there the pod's reason says more. The taint
    manager deletes pods of a node that does not answer, and of one that answers and is tainted by a person:
    there the kubelet tells how the container ended.
    """
    by_kubelet = pod.disruption == _BY_KUBELET and pod.reason in POD_REASONS
    if pod.disruption in _DISRUPTIONS and not by_kubelet:
        reason = _DISRUPTIONS[pod.disruption]
        if pod.disruption == _BY_TAINT and pod.terminated is not None:
            return Reason.EVICTED, pod.disruption_message or pod.disruption, _HINTS[_BY_TAINT]
        return reason, pod.disruption_message or pod.disruption, _HINTS.get(pod.disruption)
    if pod.reason in POD_REASONS:
        return POD_REASONS[pod.reason], pod.message or pod.disruption_message or pod.reason, None
    return None


def explain_gone(events: Iterable[EventView]) -> Told | None:
    """By the events of a pod that is gone before anybody saw its end; None where they do not say why."""
    for event in events:
        if event.reason in _EVENTS and not event.message.startswith(_TAKEN_BACK):
            return _EVENTS[event.reason], event.message or event.reason, None
    return None
