"""The nodes as far as they matter to a pod that waits for one: whether it may go there, and what is free."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from functools import cached_property

from yolo_crds import meta
from yolo_crds.quantities import UNIT, parse_amounts

from .ask import Amounts, Ask, Wire, add, is_device, view_ask
from .sharing import SHARED_STRATEGIES, STRATEGY_LABEL, told_strategy

ITSELF = "another pod of it"
"""Name of a holder that is of the same training as the pod that waits."""
_NOUNS = {
    "nvidia.com/gpu": "GPU",
    "cpu": "CPU",
    "pods": "pod",
    "memory": "GiB of memory",
    "ephemeral-storage": "GiB of disk",
}
_BLOCKING = frozenset({"NoSchedule", "NoExecute"})
_TOLD_OTHERWISE = ("node.kubernetes.io/unschedulable", "node.kubernetes.io/not-ready")
_CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
"""The taint that the scheduler sees in a cordoned node, whether it stands there or not."""
_PASSING = "node.kubernetes.io/"
"""How taints begin that Kubernetes sets and takes away by itself."""
_NAME_FIELD = "metadata.name"


@dataclass(frozen=True)
class Node:
    """What is told of a node."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Wire, ...] = ()
    cordoned: bool = False
    ready: bool = True
    allocatable: Amounts = field(default_factory=dict)
    unusable: Amounts = field(default_factory=dict)
    """Devices that the node has but does not give, since they are unhealthy or their plugin is away."""


@dataclass(frozen=True)
class Holder:
    """A training's pod that has a node."""

    name: str
    """As it may be told to the one that waits."""
    node: str
    requests: Amounts
    ends_at: datetime | None = None
    """By its own ETA, or where it was asked to leave by its grace period; None while nothing tells."""
    leaving: bool = False


@dataclass(frozen=True)
class Rival:
    """Another training that waits for a node, or for several."""

    since: str
    """As `turn_of` gives it."""
    ask: Ask
    pods: int = 1


@dataclass(frozen=True)
class Surroundings:
    """What is known around a training: empty where nothing is, since nothing may be read."""

    nodes: tuple[Node, ...] = ()
    others: Mapping[str, Amounts] | None = None
    """By node, what pods take that are no trainings of ours; None: not known."""
    holders: tuple[Holder, ...] = ()
    rivals: tuple[Rival, ...] = ()

    @cached_property
    def holders_by_node(self) -> dict[str, list[Holder]]:
        found: dict[str, list[Holder]] = {}
        for holder in self.holders:
            found.setdefault(holder.node, []).append(holder)
        return found


class Kind(IntEnum):
    """What stands in a pod's way on a node, the one that is nearest to fitting first."""

    NOTHING = 0
    IN_USE = 1
    CORDONED = 2
    TAINTED = 3
    AVOIDED = 4
    SHARED = 5
    LABELS = 6
    NOT_READY = 7
    TOO_SMALL = 8
    NO_DEVICE = 9


@dataclass(frozen=True)
class Obstacle:
    """Why a pod may not go to a node, whatever is free there; `words` go on after the node's name."""

    kind: Kind
    words: str


def view_node(body: Wire) -> Node:
    """A node of the API server."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    allocatable, capacity = parse_amounts(status.get("allocatable")), parse_amounts(status.get("capacity"))
    missing = {name: n - allocatable.get(name, 0) for name, n in capacity.items() if is_device(name)}
    return Node(
        name=body["metadata"]["name"],
        labels=body["metadata"].get("labels") or {},
        taints=tuple(spec.get("taints") or ()),
        cordoned=bool(spec.get("unschedulable")),
        ready=conditions.get("Ready", "True") == "True",
        allocatable=allocatable,
        unusable={name: amount for name, amount in missing.items() if amount > 0},
    )


def sum_others(pods: Iterable[Wire], served: Iterable[str], sums: dict[str, dict[str, int]]) -> None:
    """Add to `sums`, by node, what pods ask for that are no trainings in `served` (none: all)."""
    namespaces = frozenset(served)
    for pod in pods:
        metadata, spec = pod["metadata"], pod["spec"]
        ours = _is_watched(metadata.get("labels") or {})
        ended = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
        node = spec.get("nodeName")
        if not node or ended or (ours and (not namespaces or metadata["namespace"] in namespaces)):
            continue
        sums[node] = add(sums.get(node, {}), view_ask(spec).requests)


def turn_of(pods: Iterable[tuple[str, str]]) -> str:
    """By what waiting pods of a training, given as when they were created and their uids, are sorted among
    those of others. Times are whole seconds: two of one second must not both be promised what is free next.
    """
    return " ".join(min(pods))


def _is_watched(labels: Mapping[str, str]) -> bool:
    """Whether the operator's watch keeps a pod with these labels; anybody may give a pod some of them."""
    try:
        meta.parse_labels(labels)
    except (KeyError, ValueError):
        return False
    return meta.LABEL_TRAINING in labels


def find_obstacle(node: Node, ask: Ask) -> Obstacle | None:
    """What keeps the pod from the node for good, as the scheduler's filters would; None when room decides."""
    device = ask.device
    if device is not None and not node.allocatable.get(device):
        if broken := node.unusable.get(device):
            return Obstacle(
                Kind.NOT_READY, f"has {print_amount(device, broken)}, none of which can be used now"
            )
        return Obstacle(Kind.NO_DEVICE, f"has no {device}")
    if not node.ready:
        return Obstacle(Kind.NOT_READY, "is not ready")
    if node.cordoned and not any(_tolerates(toleration, _CORDON) for toleration in ask.tolerations):
        return Obstacle(Kind.CORDONED, "is cordoned")
    for taint in node.taints:
        told = taint.get("key") not in _TOLD_OTHERWISE and taint.get("effect") in _BLOCKING
        if told and not any(_tolerates(toleration, taint) for toleration in ask.tolerations):
            return Obstacle(Kind.TAINTED, f"is tainted {print_taint(taint)}")
    if (unlabelled := _find_label(node, ask)) is not None:
        return unlabelled
    if ask.node_terms and not any(_term_holds(term, node) for term in ask.node_terms):
        return _explain_affinity(node, ask)
    if device is not None and ask.requests[device] > 1000 and (how := told_strategy(node.labels, device)):
        return Obstacle(Kind.SHARED, f"shares its GPUs ({how}) and gives a pod one")
    short = [name for name, amount in ask.requests.items() if node.allocatable.get(name, 0) < amount]
    if short:
        return Obstacle(Kind.TOO_SMALL, f"has {_print_all(node, short)} in all")
    return None


def _find_label(node: Node, ask: Ask) -> Obstacle | None:
    """Which label is asked for that the node lacks, or has otherwise."""
    for key, value in ask.node_selector.items():
        if node.labels.get(key) != value:
            has = f"has {key}={node.labels[key]}" if key in node.labels else f"has no label {key}"
            return Obstacle(Kind.LABELS, f"{has}, asked for is {value}")
    if ask.together and ask.together not in node.labels:
        return Obstacle(Kind.LABELS, f"has no label {ask.together}")
    return None


def as_when_well(node: Node) -> Node:
    """The node as it is again when what passes by itself has passed: a cordon, a kubelet or a device plugin
    that is away, and the taints that Kubernetes sets for them.
    """
    taints = tuple(taint for taint in node.taints if not str(taint.get("key")).startswith(_PASSING))
    whole = add(node.allocatable, node.unusable)
    return replace(node, ready=True, cordoned=False, taints=taints, allocatable=whole, unusable={})


def print_taint(taint: Wire) -> str:
    """As `kubectl taint` takes it."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"


def print_amount(resource: str, amount: int) -> str:
    """Such as `2 GPUs`, `1 GPU`, `1.5 CPUs`, `3.2 GiB of memory`, `3 nvidia.com/mig-1g.10gb`."""
    number = f"{max(0, amount) / scale_of(resource):.4g}"
    noun = _NOUNS.get(resource, resource)
    return f"{number} {noun}s" if noun in {"GPU", "CPU", "pod"} and number != "1" else f"{number} {noun}"


def scale_of(resource: str) -> int:
    """What an amount is divided by to be told."""
    return UNIT << 30 if resource in {"memory", "ephemeral-storage"} else UNIT


def order_of_telling(resource: str) -> int:
    """GPUs first, for they are what is scarce."""
    return 0 if is_device(resource) else 1


def _print_all(node: Node, resources: Iterable[str]) -> str:
    name = min(resources, key=order_of_telling)
    return print_amount(name, node.allocatable.get(name, 0))


def _tolerates(toleration: Wire, taint: Wire) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint.get("key"):
        return False
    return toleration.get("operator") == "Exists" or (toleration.get("value") or "") == (
        taint.get("value") or ""
    )


def _term_holds(term: Wire, node: Node) -> bool:
    """Whether all of a term's requirements hold; an empty term holds nowhere."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    names = {_NAME_FIELD: node.name}
    return all(_holds(one, node.labels) for one in expressions) and all(_holds(one, names) for one in fields)


def _holds(requirement: Wire, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(requirement["key"]), requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            try:
                found, bound = int(value or ""), int("".join(values))
            except ValueError:
                return False
            return found > bound if operator == "Gt" else found < bound
        case _:
            return False


def _explain_affinity(node: Node, ask: Ask) -> Obstacle:
    """Which of the operator's own requirements does not hold, else that there are others."""
    for term in ask.node_terms:
        for one in term.get("matchFields") or ():
            if not _holds(one, {_NAME_FIELD: node.name}):
                return Obstacle(Kind.AVOIDED, "is avoided, since a GPU failed there")
    if node.labels.get(STRATEGY_LABEL) in SHARED_STRATEGIES:
        how = node.labels[STRATEGY_LABEL]
        return Obstacle(Kind.SHARED, f"shares its GPUs ({how}) and gives a pod one")
    return Obstacle(Kind.LABELS, "does not match the pod's node affinity")
