"""What LimitRanges and quotas of the namespace leave to one training pod: pure functions of their objects.

A training that comes in by REST seldom says how much memory it takes; the custom resource's default may be
more than the namespace ever gives. Kubernetes' rules: plugin/pkg/admission/limitranger and
pkg/quota/v1/evaluator/core/pods.go of 1.36.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from yolo_crds.meta import ANNOTATION_WARNINGS, LABEL_TRAINING
from yolo_crds.quantities import parse_amount, to_cpu, to_memory
from yolo_crds.training import Resources

Manifest = dict[str, Any]
Given = Mapping[str, Any]

_TO_TEXT = {"cpu": to_cpu, "memory": to_memory}
_USUAL = {
    name: str(amount)
    for name, amount in Resources().to_wire().items()
    if name in {"cpu", "memory", "sharedMemory"}
}
"""The custom resource's defaults."""
_SCOPES = frozenset({"NotBestEffort", "NotTerminating"})
"""Scopes of a quota that training pods are in, whatever they ask for; one of others may not count them."""
_COUNTED = {
    "memory": "memory",
    "requests.memory": "memory",
    "limits.memory": "memory",
    "cpu": "cpu",
    "requests.cpu": "cpu",
}
"""What a quota counts → what of a training it bounds; memory is request and limit alike."""


@dataclass(frozen=True)
class Bound:
    """Most that one training pod may have of a resource, in thousandths, and who says so."""

    most: int
    said: str


@dataclass(frozen=True)
class Room:
    """The least bound of each resource (`cpu`, `memory`), as far as there is one."""

    bounds: Mapping[str, Bound]
    wants_cpu_limit: bool = False
    """Whether pods are refused that state no CPU limit."""


def to_room(ranges: Iterable[Given], quotas: Iterable[Given], pods: Iterable[Given]) -> Room:
    """What the namespace's objects leave; its `pods` that are no training's hold their part of a quota."""
    limits = [(found, item) for found in ranges for item in found["spec"].get("limits") or ()]
    counting = [found for found in quotas if _counts_trainings(found["spec"])]
    services = [pod for pod in pods if LABEL_TRAINING not in (pod["metadata"].get("labels") or {})]
    least: dict[str, Bound] = {}
    for resource, bound in (*_of_ranges(limits), *_of_quotas(counting, services)):
        if resource not in least or bound.most < least[resource].most:
            least[resource] = bound
    defaulted = any("cpu" in (item.get("default") or {}) for _, item in limits)
    wanted = any("limits.cpu" in (found["spec"].get("hard") or {}) for found in counting)
    wanted = wanted or any(item["type"] == "Pod" and "cpu" in (item.get("max") or {}) for _, item in limits)
    return Room(least, wanted and not defaulted)


def bounds_amounts(quotas: Iterable[Given]) -> bool:
    """Whether a quota bounds what pods may have together, so that it counts what others hold."""
    counting = (found["spec"] for found in quotas if _counts_trainings(found["spec"]))
    return any(_COUNTED.keys() & (spec.get("hard") or {}).keys() for spec in counting)


def fit_defaults(defaults: Mapping[str, str], room: Room) -> dict[str, str]:
    """The installation's defaults, and the custom resource's where these are more than fits."""
    usual = _USUAL | dict(defaults)
    fitted = dict(defaults)
    for resource, bound in room.bounds.items():
        if 0 < bound.most < parse_amount(usual[resource]):
            fitted[resource] = _TO_TEXT[resource](bound.most)
    if "memory" in fitted:
        half = parse_amount(fitted["memory"]) // 2
        if parse_amount(usual["sharedMemory"]) > half:
            fitted["sharedMemory"] = to_memory(half)
    if room.wants_cpu_limit:
        fitted["cpuLimit"] = fitted.get("cpu", usual["cpu"])
    return fitted


def advise(manifest: Manifest, defaults: Mapping[str, str], fitted: Mapping[str, str], room: Room) -> None:
    """Says in the training's warnings which default was lowered, and what of it never fits."""
    usual = _USUAL | dict(defaults)
    resources = manifest["spec"]["template"].get("resources") or {}
    told = []
    for resource, bound in room.bounds.items():
        asked = resources.get(resource, usual[resource])
        if parse_amount(asked) > bound.most:
            told.append(f"{resource}: {asked} never fits, since {bound.said}")
        elif asked == fitted.get(resource) != usual[resource]:
            told.append(f"{resource}: {asked} instead of {usual[resource]}, since {bound.said}")
    if told:
        annotations = manifest["metadata"].setdefault("annotations", {})
        known = json.loads(annotations.get(ANNOTATION_WARNINGS, "[]"))
        annotations[ANNOTATION_WARNINGS] = json.dumps([*known, *told], ensure_ascii=False)


def _of_ranges(limits: Iterable[tuple[Given, Given]]) -> Iterator[tuple[str, Bound]]:
    """A container without a CPU limit gets the default as one, which its request may not pass."""
    for found, item in limits:
        if item["type"] not in {"Container", "Pod"}:
            continue
        most = dict(item.get("max") or {})
        if "cpu" in (default := item.get("default") or {}):
            most["cpu"] = default["cpu"]
        for resource in _TO_TEXT:
            if resource in most:
                said = f"the LimitRange {found['metadata']['name']} allows {most[resource]}"
                yield resource, Bound(parse_amount(most[resource]), said)


def _of_quotas(quotas: Iterable[Given], services: list[Given]) -> Iterator[tuple[str, Bound]]:
    for found in quotas:
        for counted, hard in (found["spec"].get("hard") or {}).items():
            if (resource := _COUNTED.get(counted)) is None:
                continue
            kind = "limits" if counted.startswith("limits.") else "requests"
            held = sum(_held(pod, kind, resource) for pod in services)
            most = max(0, parse_amount(hard) - held)
            less = f", of which other pods hold {_TO_TEXT[resource](held)}" if held else ""
            said = f"the quota {found['metadata']['name']} has {counted} {hard}{less}"
            yield resource, Bound(most, said)


def _held(pod: Given, kind: str, resource: str) -> int:
    containers = pod["spec"].get("containers") or ()
    return sum(
        parse_amount(((one.get("resources") or {}).get(kind) or {}).get(resource)) for one in containers
    )


def _counts_trainings(spec: Given) -> bool:
    return set(spec.get("scopes") or ()) <= _SCOPES and not spec.get("scopeSelector")
