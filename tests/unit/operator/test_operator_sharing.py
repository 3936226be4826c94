"""Shared GPUs, as nodes' labels and resources' names tell them."""

import pytest

from yolo_crds.training import Resources
from yolo_operator.sharing import build_affinity, refuse_parts, replicas, smallest_share, told_strategy

GPU = "nvidia.com/gpu"


@pytest.mark.parametrize(
    ("labels", "resource", "want"),
    [
        ({}, GPU, None),
        ({f"{GPU}.sharing-strategy": "none", f"{GPU}.replicas": "1"}, GPU, None),
        ({f"{GPU}.sharing-strategy": "mps"}, GPU, "mps"),
        ({f"{GPU}.sharing-strategy": "time-slicing", f"{GPU}.replicas": "4"}, GPU, "time-slicing"),
        ({f"{GPU}.replicas": "4"}, GPU, "time-slicing or MPS"),
        ({f"{GPU}.product": "Tesla-T4-SHARED"}, GPU, "time-slicing or MPS"),
        ({}, f"{GPU}.shared", "time-slicing or MPS"),
        ({f"{GPU}.product": "A100-SXM4-40GB-MIG-1g.5gb", "nvidia.com/mig.strategy": "single"}, GPU, "MIG"),
        ({}, "nvidia.com/mig-1g.5gb", "MIG"),
        ({"nvidia.com/mig-1g.5gb.replicas": "2"}, "nvidia.com/mig-1g.5gb", "time-slicing or MPS"),
        ({"nvidia.com/mig-1g.5gb.replicas": "2"}, GPU, None),
    ],
)
def test_told_strategy(labels: dict[str, str], resource: str, want: str | None) -> None:
    assert told_strategy(labels, resource) == want


@pytest.mark.parametrize(
    ("text", "want"), [("4", 4), ("0", 1), ("1", 1), ("", 1), ("many", 1), ("9" * 5000, 1)]
)
def test_replicas_of_any_label(text: str, want: int) -> None:
    assert replicas({f"{GPU}.replicas": text}, GPU) == want
    assert replicas({f"{GPU}.replicas": text}, f"{GPU}.shared") == want


def test_smallest_share_is_safe_on_each_node() -> None:
    assert smallest_share([{f"{GPU}.replicas": "2"}, {f"{GPU}.replicas": "8"}, {}], GPU) == 1 / 8
    assert smallest_share([{}, {f"{GPU}.replicas": "1"}], GPU) is None
    assert smallest_share([], GPU) is None


@pytest.mark.parametrize(
    ("gpus", "resource", "refused"),
    [(1, "nvidia.com/mig-1g.5gb", False), (2, "nvidia.com/mig-1g.5gb", True), (2, f"{GPU}.shared", True),
     (2, GPU, False), (0, f"{GPU}.shared", False), (2, "amd.com/gpu", False)],
)  # fmt: skip
def test_refuse_parts(gpus: int, resource: str, refused: bool) -> None:
    assert bool(refuse_parts(Resources(gpus=gpus, gpu_resource=resource))) == refused


def test_several_gpus_keep_away_from_nodes_that_share_them() -> None:
    """The scheduler refuses such a node; one that says nothing of sharing is open."""
    affinity = build_affinity([], Resources(gpus=2))
    assert affinity is not None
    terms = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    ((key, operator, values),) = [tuple(one.values()) for one in terms[0]["matchExpressions"]]
    assert (key, operator, values) == (f"{GPU}.sharing-strategy", "NotIn", ["mps", "time-slicing"])
    assert build_affinity([], Resources(gpus=1)) is None
    assert build_affinity([], Resources(gpus=1, nodes=2)) == affinity
    assert build_affinity([], Resources(gpus=2, gpu_resource="amd.com/gpu")) is None
    # One term, since terms are alternatives.
    both = build_affinity(["a", "b"], Resources(gpus=2))
    assert both is not None
    (term,) = both["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [one["values"] for one in term["matchFields"]] == [["a"], ["b"]]
    assert term["matchExpressions"] == terms[0]["matchExpressions"]
