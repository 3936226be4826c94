"""Kueue's Workload, which stands for a Job in a queue: a slim projection."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ConditionView:
    """One condition of a Workload. Their order is arbitrary; they are looked up by type."""

    true: bool
    reason: str
    message: str


@dataclass(frozen=True)
class WorkloadView:
    """What is told of a Workload."""

    name: str
    queue: str | None = None
    """The LocalQueue; None for a Job that names none, which Kueue may be set up to hold as well."""
    active: bool = True
    """False: Kueue gave it up, or an administrator took it out."""
    requeue_at: str | None = None
    """When it may be admitted again after its pods were not ready in time."""
    conditions: Mapping[str, ConditionView] = field(default_factory=dict)


@dataclass(frozen=True)
class Admission:
    """What was last read of Kueue about one Job."""

    workload: WorkloadView | None = None
    """None: Kueue has made none."""
    place: int | None = None
    """From 1, in the order of the ClusterQueue; None where nobody tells."""


def view_workload(body: Mapping[str, Any]) -> WorkloadView:
    """The projection of a Workload as the API server sends it (kueue.x-k8s.io/v1beta2)."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    return WorkloadView(
        name=body["metadata"]["name"],
        queue=spec.get("queueName") or None,
        active=spec.get("active", True),
        requeue_at=(status.get("requeueState") or {}).get("requeueAt"),
        conditions={
            c["type"]: ConditionView(c["status"] == "True", c.get("reason", ""), c.get("message", ""))
            for c in status.get("conditions") or ()
        },
    )
