"""Labels and taints of nodes: from words such as `node-2:gpu=a100` to what the API server holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .api import Api
from .paths import ClusterError
from .plan import Plan

Manifest = dict[str, Any]

# Which of a node's labels and taints are ours, so that they go when they are no longer wanted.
NOTE = "local-cluster/marks"
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NODE = r"(?:(?P<node>node-\d+):)?"
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY = rf"(?P<key>(?:[a-z0-9][a-z0-9.-]*/)?{_NAME})"
LABEL = re.compile(rf"{_NODE}{_KEY}=(?P<value>(?:{_NAME})?)")
TAINT = re.compile(rf"{_NODE}{_KEY}(?:=(?P<value>(?:{_NAME})?))?:(?P<effect>{'|'.join(EFFECTS)})")


@dataclass(frozen=True)
class Mark:
    """A label, or with an effect a taint, for one node or for all."""

    node: str | None
    key: str
    value: str
    effect: str = ""

    def is_for(self, node: str) -> bool:
        return self.node in (None, node)

    @property
    def taint(self) -> Manifest:
        return {"key": self.key, "value": self.value, "effect": self.effect}


def parse_label(word: str) -> Mark:
    """`[NODE:]key=value`; raises ClusterError that says so for anything else."""
    if not (found := LABEL.fullmatch(word)):
        raise ClusterError(f"label {word!r}: should be key=value or NODE:key=value, such as node-2:gpu=a100")
    return Mark(found["node"], found["key"], found["value"])


def parse_taint(word: str) -> Mark:
    """`[NODE:]key[=value]:Effect`; raises ClusterError that says so for anything else."""
    if not (found := TAINT.fullmatch(word)):
        raise ClusterError(
            f"taint {word!r}: should be key=value:Effect or NODE:key=value:Effect, with one of the effects "
            f"{', '.join(EFFECTS)}"
        )
    return Mark(found["node"], found["key"], found["value"] or "", found["effect"])


def check(plan: Plan) -> None:
    """Raises ClusterError for a word that cannot be read, or that names a node the plan has not."""
    for mark in (*map(parse_label, plan.labels), *map(parse_taint, plan.taints)):
        if not plan.nodes:
            raise ClusterError("labels and taints are for nodes: an API server alone has none")
        if mark.node and mark.node not in plan.node_names:
            raise ClusterError(f"no node {mark.node!r} here to mark: there are node-1 to node-{plan.nodes}")


def build_tolerations(plan: Plan) -> list[Manifest]:
    """What a pod needs to run on every node of the plan."""
    taints = dict.fromkeys((mark.key, mark.effect) for mark in map(parse_taint, plan.taints))
    return [{"key": key, "operator": "Exists", "effect": effect} for key, effect in taints]


def build_patch(node: Manifest, labels: Iterable[Mark], taints: Iterable[Mark]) -> Manifest:
    """The merge patch that leaves a node exactly these marks of ours, beside those of others.

    Empty if it has them; `node` may be empty too. Of two words for one thing the later one counts.
    """
    metadata, spec = node.get("metadata", {}), node.get("spec", {})
    note = metadata.get("annotations", {}).get(NOTE)
    ours = json.loads(note) if note else {"labels": [], "taints": []}
    want_labels = {mark.key: mark.value for mark in labels}
    want_taints = {f"{mark.key}:{mark.effect}": mark.taint for mark in taints}
    if not (ours["labels"] or ours["taints"] or want_labels or want_taints):
        return {}
    has = spec.get("taints", [])
    doomed = {*ours["taints"], *want_taints}
    foreign = [taint for taint in has if f"{taint['key']}:{taint['effect']}" not in doomed]
    new_note = json.dumps({"labels": sorted(want_labels), "taints": sorted(want_taints)})
    set_labels = {**dict.fromkeys(ours["labels"]), **want_labels}
    same_labels = all(metadata.get("labels", {}).get(key) == value for key, value in set_labels.items())
    have = {f"{taint['key']}:{taint['effect']}": taint.get("value", "") for taint in has}
    same_taints = len(foreign) + len(want_taints) == len(has) and all(
        have.get(key) == taint["value"] for key, taint in want_taints.items()
    )
    if note == new_note and same_labels and same_taints:
        return {}
    return {
        "metadata": {"labels": set_labels, "annotations": {NOTE: new_note}},
        "spec": {"taints": [*foreign, *want_taints.values()]},
    }


def ensure(plan: Plan, api: Api, kubectl: Callable[..., str]) -> None:
    """Marks every node, also one that is not there yet: no pod gets onto it before its taints.

    A taint that a controller sets in the same instant may be lost; the controller then sets it again.
    """
    labels, taints = [*map(parse_label, plan.labels)], [*map(parse_taint, plan.taints)]
    for name in plan.node_names:
        node = api.object(f"/api/v1/nodes/{name}")
        patch = build_patch(
            node,
            [mark for mark in labels if mark.is_for(name)],
            [mark for mark in taints if mark.is_for(name)],
        )
        if patch and node:
            kubectl("patch", "node", name, "--type=merge", "-p", json.dumps(patch))
        elif patch:
            patch["metadata"]["name"] = name
            kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Node", **patch}))
