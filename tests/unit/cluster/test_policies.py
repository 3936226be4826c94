"""What a NetworkPolicy becomes, as text for nft."""

from typing import Any

import pytest

from cluster.policies import Pod, View, render, selects, to_pod

NODE_PODS = "10.100.1.0/24"
TRAIN = Pod("default", "10.100.1.5", "node-1", {"app": "train"}, {})
WEB = Pod("default", "10.100.2.7", "node-2", {"app": "web"}, {("TCP", "http"): 8080})
DNS = Pod("kube-system", "10.100.1.2", "node-1", {"app": "dns"}, {("UDP", "dns"): 1053})
NAMESPACES = {"default": {"name": "default"}, "kube-system": {"name": "kube-system"}}
# The end of the forward chain where no pod of the node is isolated.
OPEN = "addr != { 10.100.1.2, 10.100.1.5 } drop\n  }\n}\n"


def _policy(**spec: Any) -> dict[str, Any]:
    selector = {"matchLabels": {"app": "train"}}
    return {"metadata": {"namespace": "default", "name": "p"}, "spec": {"podSelector": selector, **spec}}


def _render(*policies: dict[str, Any], node: str = "node-1") -> str:
    return render(View(policies, [TRAIN, WEB, DNS], NAMESPACES), node, NODE_PODS)


def _chain(text: str, name: str) -> list[str]:
    """The lines of one chain."""
    inside = text.split(f"chain {name} {{\n")[1].split("\n  }")[0]
    return [line.strip() for line in inside.splitlines()]


def test_render_denies_what_an_empty_policy_selects() -> None:
    want = """\
table ip yolo_policies
delete table ip yolo_policies
table ip yolo_policies {
  chain out_10_100_1_5 {
    drop
  }
  chain in_10_100_1_5 {
    drop
  }
  chain forward {
    type filter hook forward priority 10; policy accept;
    ct state established,related accept
    ip saddr . ip daddr { 10.100.1.2 . 10.100.1.2, 10.100.1.5 . 10.100.1.5 } accept
    ip saddr 10.100.1.0/24 ip saddr != { 10.100.1.2, 10.100.1.5 } drop
    ip daddr 10.100.1.0/24 ip daddr != { 10.100.1.2, 10.100.1.5 } drop
    ip saddr vmap { 10.100.1.5 : jump out_10_100_1_5 }
    ip daddr vmap { 10.100.1.5 : jump in_10_100_1_5 }
  }
}
"""
    assert _render(_policy(policyTypes=["Ingress", "Egress"])) == want


def test_render_gives_an_unknown_pod_no_network() -> None:
    text = render(View([], [], {}), "node-1", NODE_PODS)
    assert "ip saddr 10.100.1.0/24 drop\n    ip daddr 10.100.1.0/24 drop\n" in text


def test_render_leaves_other_nodes_and_namespaces_alone() -> None:
    deny = _policy(policyTypes=["Ingress", "Egress"])
    elsewhere = {**deny, "metadata": {"namespace": "kube-system", "name": "p"}}
    assert _render(elsewhere).endswith(OPEN)
    assert "jump" not in _render(deny, node="node-2")


def test_render_isolates_only_in_the_directions_of_the_policy() -> None:
    text = _render(_policy(policyTypes=["Egress"]))
    assert "jump out_10_100_1_5" in text
    assert "jump in_" not in text


ANY: list[dict[str, Any]] = [{}]
HTTP = [{"protocol": "TCP", "port": "http"}]


@pytest.mark.parametrize(
    ("rule", "want"),
    [
        ({}, ["return"]),
        ({"to": [{"podSelector": {}}]}, ["ip daddr { 10.100.1.5, 10.100.2.7 } return"]),
        (
            {"to": [{"podSelector": {"matchLabels": {"app": "dns"}}}]},
            [],  # of the policy's own namespace, where there is none
        ),
        (
            {"to": [{"namespaceSelector": {"matchLabels": {"name": "kube-system"}}}]},
            ["ip daddr { 10.100.1.2 } return"],
        ),
        (
            {
                "to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "dns"}}}],
                "ports": [{"protocol": "UDP", "port": 1053}, {"port": 8000, "endPort": 8010}],
            },
            [
                "ip daddr { 10.100.1.2 } udp dport 1053 return",
                "ip daddr { 10.100.1.2 } tcp dport 8000-8010 return",
            ],
        ),
        (
            {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.1.2.0/24"]}}]},
            ["ip daddr 10.0.0.0/8 ip daddr != 10.1.0.0/16 ip daddr != 10.1.2.0/24 return"],
        ),
        ({"to": [{"ipBlock": {"cidr": "fd00::/8"}}]}, []),
        ({"ports": [{"protocol": "UDP"}]}, ["meta l4proto udp return"]),
        ({"ports": HTTP}, ["ip daddr 10.100.2.7 tcp dport 8080 return"]),
        ({"to": [{"podSelector": {"matchLabels": {"app": "train"}}}], "ports": HTTP}, []),
    ],
)
def test_render_egress_rule(rule: dict[str, Any], want: list[str]) -> None:
    text = _render(_policy(policyTypes=["Egress"], egress=[rule]))
    assert _chain(text, "out_10_100_1_5") == [*want, "drop"]


def test_render_ingress_rule_names_the_pods_own_port() -> None:
    policy = _policy(policyTypes=["Ingress"], ingress=[{"from": [{"podSelector": {}}], "ports": HTTP}])
    policy["spec"]["podSelector"] = {}
    text = _render(policy, node="node-2")
    assert _chain(text, "in_10_100_2_7") == [
        "ip saddr { 10.100.1.5, 10.100.2.7 } tcp dport 8080 return",
        "drop",
    ]
    assert _chain(_render(policy), "in_10_100_1_5") == ["drop"], "it has no port of that name"


def test_render_adds_policies_up() -> None:
    deny = _policy(policyTypes=["Egress"])
    allow = _policy(policyTypes=["Egress"], egress=ANY)
    assert _chain(_render(deny, allow, allow), "out_10_100_1_5") == ["return", "drop"]


@pytest.mark.parametrize(
    ("operator", "values", "want"),
    [
        ("In", ["a", "b"], True),
        ("In", ["b"], False),
        ("NotIn", ["b"], True),
        ("NotIn", ["a"], False),
        ("Exists", None, True),
        ("DoesNotExist", None, False),
    ],
)
def test_selects_by_expression(operator: str, values: list[str] | None, want: bool) -> None:
    expression = {"key": "x", "operator": operator, "values": values}
    assert selects({"matchExpressions": [expression]}, {"x": "a"}) is want


def test_selects_wants_every_label() -> None:
    assert selects({}, {"x": "a"})
    assert not selects({"matchLabels": {"x": "a", "y": "b"}}, {"x": "a"})
    assert selects({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["a"]}]}, {})


def _found(status: dict[str, str], **spec: Any) -> dict[str, Any]:
    meta = {"namespace": "default", "uid": "u-1", "labels": {"app": "web"}}
    ports = [{"name": "http", "containerPort": 8080}, {"containerPort": 9}]
    return {
        "metadata": meta,
        "spec": {"nodeName": "node-2", "containers": [{"ports": ports}], **spec},
        "status": status,
    }


def test_to_pod_takes_the_address_that_comes_first() -> None:
    assert to_pod(_found({"podIP": "10.100.2.7", "phase": "Running"}), {}) == WEB
    assert to_pod(_found({"phase": "Pending"}), {"u-1": "10.100.2.7"}) == WEB
    assert to_pod(_found({"phase": "Pending"}), {"u-2": "10.100.2.7"}) is None


def test_to_pod_leaves_out_who_has_no_address_of_its_own() -> None:
    assert to_pod(_found({"podIP": "10.100.2.7", "phase": "Succeeded"}), {}) is None
    assert to_pod(_found({"podIP": "172.30.0.12", "phase": "Running"}, hostNetwork=True), {}) is None
