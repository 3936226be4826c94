"""Labels and taints: words to what a node shall hold."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster import marks
from cluster.marks import NOTE, Mark, build_patch
from cluster.paths import ClusterError
from cluster.plan import Plan
from cluster.slots import Addresses

PLAN = Plan("local", Path("/state"), Addresses(3), nodes=2)
GPU = Mark(None, "gpu", "a100")
TAINT = Mark(None, "gpu", "", "NoSchedule")
FOREIGN = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("word", "want"),
    [
        ("gpu=a100", Mark(None, "gpu", "a100")),
        ("node-2:nvidia.com/gpu.product=A100-SXM4", Mark("node-2", "nvidia.com/gpu.product", "A100-SXM4")),
        ("zone=", Mark(None, "zone", "")),
    ],
)
def test_parse_label(word: str, want: Mark) -> None:
    assert marks.parse_label(word) == want


@pytest.mark.parametrize(
    ("word", "want"),
    [
        ("gpu=a100:NoSchedule", Mark(None, "gpu", "a100", "NoSchedule")),
        ("node-2:nvidia.com/gpu:NoExecute", Mark("node-2", "nvidia.com/gpu", "", "NoExecute")),
        ("node-2:NoSchedule", Mark(None, "node-2", "", "NoSchedule")),
    ],
)
def test_parse_taint(word: str, want: Mark) -> None:
    assert marks.parse_taint(word) == want


@pytest.mark.parametrize("word", ["gpu", "node-2:gpu", "=x", "a b=c", "node-2:gpu=a=b", "worker:gpu=a100"])
def test_parse_label_says_what_would_be_right(word: str) -> None:
    with pytest.raises(ClusterError, match="NODE:key=value, such as"):
        marks.parse_label(word)


@pytest.mark.parametrize("word", ["gpu=a100", "gpu=a100:Never", "node-2:gpu=a100"])
def test_parse_taint_says_what_would_be_right(word: str) -> None:
    with pytest.raises(ClusterError, match="NoSchedule, PreferNoSchedule, NoExecute"):
        marks.parse_taint(word)


def test_check_refuses_nodes_that_are_not_there() -> None:
    marks.check(Plan("local", Path("/state"), Addresses(3), nodes=2, labels=("node-2:gpu=a100",)))
    with pytest.raises(ClusterError, match="node-3"):
        marks.check(Plan("local", Path("/state"), Addresses(3), nodes=2, taints=("node-3:gpu=x:NoExecute",)))
    with pytest.raises(ClusterError, match="has none"):
        marks.check(Plan("local", Path("/state"), Addresses(3), nodes=0, labels=("gpu=a100",)))


def _node(labels: dict[str, str], taints: list[dict[str, str]], note: str | None = None) -> dict[str, Any]:
    annotations = {} if note is None else {NOTE: note}
    return {"metadata": {"labels": labels, "annotations": annotations}, "spec": {"taints": taints}}


def test_build_patch_leaves_nodes_alone_that_nobody_marked() -> None:
    assert build_patch(_node({"a": "b"}, [FOREIGN]), [], []) == {}
    assert build_patch({}, [], []) == {}


def test_build_patch_makes_a_new_node() -> None:
    note = json.dumps({"labels": ["gpu"], "taints": ["gpu:NoSchedule"]})
    want = {
        "metadata": {"labels": {"gpu": "a100"}, "annotations": {NOTE: note}},
        "spec": {"taints": [{"key": "gpu", "value": "", "effect": "NoSchedule"}]},
    }
    assert build_patch({}, [GPU], [TAINT]) == want


def test_build_patch_is_empty_on_a_node_that_has_all() -> None:
    note = json.dumps({"labels": ["gpu"], "taints": ["gpu:NoSchedule"]})
    # As the API server gives it back: without an empty value.
    taint = {"key": "gpu", "effect": "NoSchedule"}
    assert build_patch(_node({"gpu": "a100", "a": "b"}, [FOREIGN, taint], note), [GPU], [TAINT]) == {}


def test_build_patch_takes_back_only_what_is_ours() -> None:
    note = json.dumps({"labels": ["old"], "taints": ["old:NoExecute"]})
    old = {"key": "old", "value": "x", "effect": "NoExecute"}
    patch = build_patch(_node({"old": "1", "a": "b"}, [FOREIGN, old], note), [GPU], [])
    assert patch["metadata"]["labels"] == {"old": None, "gpu": "a100"}
    assert patch["spec"]["taints"] == [FOREIGN]


def test_build_patch_of_two_words_takes_the_later() -> None:
    patch = build_patch({}, [GPU, Mark("node-1", "gpu", "h100")], [])
    assert patch["metadata"]["labels"] == {"gpu": "h100"}


def test_build_tolerations_name_each_taint_once() -> None:
    plan = Plan("x", Path("/state"), Addresses(3), taints=("node-1:gpu=a:NoSchedule", "gpu=b:NoSchedule"))
    assert marks.build_tolerations(plan) == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert marks.build_tolerations(PLAN) == []


def test_plan_is_what_was_stored(tmp_path: Path) -> None:
    state = tmp_path / "local"
    want = Plan("local", state, Addresses(3), nodes=2, labels=("a=b",), taints=("node-1:c:NoExecute",))
    want.store()
    assert Plan.load(state) == want
