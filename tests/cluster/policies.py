"""NetworkPolicies as rules of nftables: a pure function of the objects and of who is on the node.

What a policy means: the API reference of NetworkPolicy (networking.k8s.io/v1). Rules stand in the node's
forward hook. All of a pod's traffic passes there, to pods of the same node too, since pods are routed; by
then a service's address is already a pod's. What goes between a pod and its node (probes) is always allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TABLE = "yolo_policies"
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Pod:
    """Of a pod what rules need; its address may come from the CNI plugin before the kubelet reports it."""

    namespace: str
    address: str
    node: str
    labels: Mapping[str, str]
    named_ports: Mapping[tuple[str, str], int]  # protocol and name -> number


@dataclass(frozen=True)
class View:
    """What a node's agent sees of the cluster."""

    policies: Sequence[Object]
    pods: Sequence[Pod]
    namespaces: Mapping[str, Mapping[str, str]]  # name -> labels


@dataclass(frozen=True)
class Direction:
    """One of a policy's two halves, in the words of the API and of nftables."""

    policy_type: str
    rules: str
    peers: str
    own: str
    peer: str
    chain: str


INGRESS = Direction("Ingress", "ingress", "from", "daddr", "saddr", "in")
EGRESS = Direction("Egress", "egress", "to", "saddr", "daddr", "out")


def to_pod(found: Object, addresses: Mapping[str, str]) -> Pod | None:
    """A Pod of the API; None for one that has no address of its own (yet, any more, or the node's).

    `addresses`: by the pod's uid, what the CNI plugin of this node gave.
    """
    spec, status, meta = found["spec"], found.get("status", {}), found["metadata"]
    address = status.get("podIP") or addresses.get(meta["uid"])
    if not address or spec.get("hostNetwork") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    ports = {
        (port.get("protocol", "TCP"), port["name"]): port["containerPort"]
        for container in spec["containers"]
        for port in container.get("ports", ())
        if "name" in port
    }
    return Pod(meta["namespace"], address, spec.get("nodeName", ""), meta.get("labels", {}), ports)


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches; an empty one matches everything."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for expression in selector.get("matchExpressions", ()):
        key = expression["key"]
        match expression["operator"]:
            case "In":
                holds = labels.get(key) in expression["values"]
            case "NotIn":
                holds = labels.get(key) not in expression["values"]
            case "Exists":
                holds = key in labels
            case _:
                holds = key not in labels
        if not holds:
            return False
    return True


def render(view: View, node: str, node_pods: str) -> str:
    """The whole table, for `nft -f -`: it replaces the one before in one step.

    An address of the node's range that belongs to no pod known here has no network: a pod whose labels are
    not yet known may be one that must have none.
    """
    local = sorted((pod for pod in view.pods if pod.node == node), key=lambda pod: pod.address)
    chains, jumps = [], []
    for direction in (EGRESS, INGRESS):
        verdicts = []
        for pod in local:
            policies = _policies_of(view, pod, direction)
            if policies:
                name = f"{direction.chain}_{pod.address.replace('.', '_')}"
                allowed = [rule for policy in policies for rule in _rules(view, policy, pod, direction)]
                chains.append(_block(f"chain {name}", [*dict.fromkeys(allowed), "drop"]))
                verdicts.append(f"{pod.address} : jump {name}")
        if verdicts:
            jumps.append(f"ip {direction.own} vmap {_set(verdicts)}")
    known = [pod.address for pod in local]
    forward = [
        "type filter hook forward priority 10; policy accept;",
        "ct state established,related accept",
        # A pod cannot be cut from itself; through a service it comes this way.
        *([f"ip saddr . ip daddr {_set(f'{own} . {own}' for own in known)} accept"] if known else []),
        *(_drop_unknown(end, node_pods, known) for end in ("saddr", "daddr")),
        *jumps,
    ]
    table = _block(f"table ip {TABLE}", [*chains, _block("chain forward", forward)])
    return f"table ip {TABLE}\ndelete table ip {TABLE}\n{table}\n"


def _drop_unknown(end: str, node_pods: str, known: Sequence[str]) -> str:
    but = f" ip {end} != {_set(known)}" if known else ""
    return f"ip {end} {node_pods}{but} drop"


def _policies_of(view: View, pod: Pod, direction: Direction) -> list[Object]:
    """Those that isolate `pod` in this direction. The API server fills in policyTypes."""
    return [
        policy
        for policy in sorted(view.policies, key=lambda policy: str(policy["metadata"]["name"]))
        if policy["metadata"]["namespace"] == pod.namespace
        and direction.policy_type in policy["spec"]["policyTypes"]
        and selects(policy["spec"].get("podSelector", {}), pod.labels)
    ]


def _rules(view: View, policy: Object, pod: Pod, direction: Direction) -> Iterator[str]:
    """What `policy` allows `pod`; `return` hands on to the other direction's rules."""
    for rule in policy["spec"].get(direction.rules) or ():
        peers = rule.get(direction.peers)
        for port in rule.get("ports") or [{}]:
            named = isinstance(port.get("port"), str)
            if named and direction is EGRESS:
                yield from _named_port_rules(view, policy, peers, port)
                continue
            number = pod.named_ports.get(_port_name(port)) if named else port.get("port")
            if named and number is None:
                continue
            what = _traffic({**port, "port": number} if port else port)
            for whom in _peers(view, policy, peers, direction):
                yield " ".join(part for part in (whom, what, "return") if part)


def _named_port_rules(
    view: View, policy: Object, peers: Sequence[Object] | None, port: Object
) -> Iterator[str]:
    """A name means each receiving pod's own number."""
    pods = view.pods if not peers else [pod for peer in peers for pod in _selected(view, policy, peer)]
    for pod in sorted(pods, key=lambda pod: pod.address):
        if number := pod.named_ports.get(_port_name(port)):
            yield f"ip daddr {pod.address} {_traffic({**port, 'port': number})} return"


def _port_name(port: Object) -> tuple[str, str]:
    return port.get("protocol", "TCP"), str(port["port"])


def _traffic(port: Object) -> str:
    """Protocol and port in nftables' words; nothing for a rule without ports."""
    if not port:
        return ""
    protocol = port.get("protocol", "TCP").lower()
    if port.get("port") is None:
        return f"meta l4proto {protocol}"
    last = f"-{port['endPort']}" if "endPort" in port else ""
    return f"{protocol} dport {port['port']}{last}"


def _peers(view: View, policy: Object, peers: Sequence[Object] | None, direction: Direction) -> Iterator[str]:
    """The other side's addresses: nothing to say where anyone may, no line where nobody is meant."""
    if not peers:
        yield ""
        return
    addresses: set[str] = set()
    for peer in peers:
        block = peer.get("ipBlock")
        if block is None:
            addresses.update(pod.address for pod in _selected(view, policy, peer))
        elif ":" not in block["cidr"]:  # the cluster speaks IPv4 alone
            without = (f" ip {direction.peer} != {excepted}" for excepted in block.get("except") or ())
            yield f"ip {direction.peer} {block['cidr']}{''.join(without)}"
    if addresses:
        yield f"ip {direction.peer} {_set(sorted(addresses))}"


def _selected(view: View, policy: Object, peer: Object) -> list[Pod]:
    """The pods that a peer names: of the policy's namespace unless it selects namespaces."""
    if "ipBlock" in peer:
        return []
    if "namespaceSelector" in peer:
        namespaces = {
            name for name, labels in view.namespaces.items() if selects(peer["namespaceSelector"], labels)
        }
    else:
        namespaces = {policy["metadata"]["namespace"]}
    selector = peer.get("podSelector", {})
    return [pod for pod in view.pods if pod.namespace in namespaces and selects(selector, pod.labels)]


def _set(members: Iterable[str]) -> str:
    return f"{{ {', '.join(members)} }}"


def _block(head: str, lines: Sequence[str]) -> str:
    inside = "\n".join(f"  {line}" for part in lines for line in part.splitlines())
    return f"{head} {{\n{inside}\n}}"
