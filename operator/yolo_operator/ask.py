"""What a pod asks of a node, read from the pod itself: whoever changed it on its way is taken in."""

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from yolo_crds import meta
from yolo_crds.quantities import UNIT, parse_amounts

Wire = Mapping[str, Any]
Amounts = Mapping[str, int]
"""Thousandths of each resource: of a CPU, a byte, a GPU."""

_LIKE_A_GPU = re.compile(r"gpu|/mig-")


@dataclass(frozen=True)
class Ask:
    """What one pod wants of its node."""

    requests: Amounts = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Wire, ...] = ()
    node_terms: tuple[Wire, ...] = ()
    """`nodeSelectorTerms` of its required node affinity, of which one must hold."""
    priority: int = 0
    together: str = ""
    """Key of the node label of which all pods of its training must find one value (`requiredTopology`)."""

    @cached_property
    def key(self) -> str:
        """The same for two pods that ask alike."""
        return repr(self)

    def only(self, resources: Container[str]) -> "Ask":
        """The same without resources that are not among these."""
        return replace(self, requests={name: n for name, n in self.requests.items() if name in resources})

    @property
    def device(self) -> str | None:
        """The extended resource that stands for its GPUs; None when it needs none.

        A webhook may have added others, as for a network card: what is named like a GPU goes before them.
        """
        devices = [name for name in self.requests if is_device(name)]
        return min(devices, key=lambda name: _LIKE_A_GPU.search(name) is None, default=None)


def is_device(resource: str) -> bool:
    """Whether a resource is an extended one, as GPUs are."""
    return "/" in resource and "kubernetes.io/" not in resource


def view_ask(spec: Wire) -> Ask:
    """What a pod with this spec asks for."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return Ask(
        requests=_requests(spec),
        node_selector=spec.get("nodeSelector") or {},
        tolerations=tuple(spec.get("tolerations") or ()),
        node_terms=tuple(required.get("nodeSelectorTerms") or ()),
        priority=int(spec.get("priority") or 0),
        together=_together(spec),
    )


def _together(spec: Wire) -> str:
    """Of the affinity to the pods of its own training, as `jobs` writes it."""
    affinity = (spec.get("affinity") or {}).get("podAffinity") or {}
    for term in affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ():
        if meta.LABEL_TRAINING in ((term.get("labelSelector") or {}).get("matchLabels") or {}):
            return str(term["topologyKey"])
    return ""


def _requests(spec: Wire) -> dict[str, int]:
    """As the scheduler counts: all containers together, or more where an init container wants more alone."""
    total = add(*(_of(container) for container in spec.get("containers") or ()))
    sidecars: dict[str, int] = {}
    most: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            sidecars = add(sidecars, _of(container))
            alone: Amounts = sidecars
        else:
            alone = add(sidecars, _of(container))
        most = {name: max(most.get(name, 0), alone.get(name, 0)) for name in {*most, *alone}}
    total = add(total, sidecars)
    total = {name: max(total.get(name, 0), most.get(name, 0)) for name in (*total, *most)}
    total = add(total, parse_amounts(spec.get("overhead")), {"pods": UNIT})
    return {name: amount for name, amount in total.items() if amount}


def _of(container: Wire) -> dict[str, int]:
    resources = container.get("resources") or {}
    return parse_amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def add(*parts: Amounts) -> dict[str, int]:
    """The sum of amounts."""
    total: dict[str, int] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, 0) + amount
    return total


def subtract(amounts: Amounts, taken: Iterable[Amounts]) -> dict[str, int]:
    """What is left; less than nothing where more was taken than there is."""
    left = dict(amounts)
    for part in taken:
        for name, amount in part.items():
            if name in left:
                left[name] -= amount
    return left
