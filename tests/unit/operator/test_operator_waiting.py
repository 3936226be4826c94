"""What a training that has no node is told: words and numbers, place, forecast, advice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from yolo_crds.conditions import HINTS, Reason
from yolo_crds.quantities import UNIT, parse_amount
from yolo_crds.status import Failure, Waiting
from yolo_operator.ask import Ask, view_ask
from yolo_operator.nodes import (
    ITSELF,
    Holder,
    Node,
    Rival,
    Surroundings,
    find_obstacle,
    sum_others,
    view_node,
)
from yolo_operator.waiting import MESSAGE_MOST, explain_waiting

NOW = datetime(2026, 11, 27, 13, 50, tzinfo=UTC)
SINCE = "2026-11-27T13:40:00Z"
GPU = "nvidia.com/gpu"
GIB = UNIT << 30
SCHEDULER = "no node has enough nvidia.com/gpu: 0/3 nodes are available: 1 Insufficient nvidia.com/gpu."
TAINT = {"key": "maintenance", "value": "true", "effect": "NoSchedule"}
SLICED = {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.replicas": "4"}


def node(name: str, gpus: int = 4, resource: str = GPU, cpus: int = 32, **more: Any) -> Node:
    devices = {resource: gpus * UNIT} if gpus else {}
    room = {"cpu": cpus * UNIT, "memory": 128 * GIB, "pods": 110 * UNIT}
    return Node(name, allocatable=room | devices, **more)


def ask(gpus: int = 2, cpus: int = 2, resource: str = GPU, **more: Any) -> Ask:
    devices = {resource: gpus * UNIT} if gpus else {}
    return Ask({"cpu": cpus * UNIT, "memory": 16 * GIB, "pods": UNIT, **devices}, **more)


def holder(name: str, where: str, gpus: int, minutes: float | None = None) -> Holder:
    ends_at = None if minutes is None else NOW + timedelta(minutes=minutes)
    return Holder(name, where, ask(gpus).requests, ends_at)


def rival(since: str, gpus: int = 2, priority: int = 0) -> Rival:
    return Rival(since, ask(gpus, priority=priority))


def explain(
    wanted: Ask, around: Surroundings, before: Waiting | None = None, now: datetime = NOW, pods: int = 1
) -> tuple[Failure, Waiting]:
    return explain_waiting(SCHEDULER, wanted, SINCE, around, now, before, pods)


def known(*nodes: Node, holders: tuple[Holder, ...] = (), rivals: tuple[Rival, ...] = ()) -> Surroundings:
    return Surroundings(nodes, {}, holders, rivals)


def test_words_say_what_is_missing_where_who_holds_it_and_until_when() -> None:
    cpu_nodes = [node(f"cpu-{number}", gpus=0) for number in range(37)]
    nodes = (*cpu_nodes, node("b", taints=(TAINT,)), node("a"))
    told, waiting = explain(ask(), known(*nodes, holders=(holder("cats", "a", 3, 25),)))
    assert told.reason == Reason.UNSCHEDULABLE
    assert told.message == (
        "waits since 13:40 UTC for 2 GPUs on one node: a has 1 of 4 GPUs free (cats holds 3 until about "
        "14:15 UTC); b is tainted maintenance=true:NoSchedule; 37 more nodes have no nvidia.com/gpu. "
        "Expected to start about 14:15 UTC, when cats on a ends, by its own ETA"
    )
    assert told.hint == (
        "starts by itself then; or with gpus: 1 it would fit on a now (raise spec.run); or b would have "
        "room: tolerate its taint in spec.template.scheduling.tolerations, or have it removed "
        "and raise spec.run"
    )
    assert waiting.to_wire() == {
        "since": SINCE,
        "asked": "2 GPUs on one node",
        "forecast": {"startsAt": "2026-11-27T14:15:00Z", "basis": "when cats on a ends, by its own ETA"},
        "holders": [{"name": "cats", "node": "a", "amount": "3 GPUs", "endsAt": "2026-11-27T14:15:00Z"}],
    }


OBSTACLES: list[tuple[str, Ask, Node, str]] = [
    ("cordon", ask(), node("a", cordoned=True), "a is cordoned"),
    ("readiness", ask(), node("a", ready=False), "a is not ready"),
    ("taint", ask(), node("a", taints=(TAINT,)), "a is tainted maintenance=true:NoSchedule"),
    ("device", ask(), node("a", gpus=0), "1 node has no nvidia.com/gpu"),
    ("size", ask(8), node("a"), "a has 4 GPUs in all"),
    ("health", ask(), node("a", gpus=0, unusable={GPU: 4 * UNIT}),
     "a has 4 GPUs, none of which can be used now"),
    ("memory", ask(1), replace(node("a"), allocatable={GPU: 4000, "cpu": 9000, "memory": 8 * GIB}),
     "a has 8 GiB of memory in all"),
    ("label", ask(node_selector={"zone": "us"}), node("a", labels={"zone": "eu"}),
     "a has zone=eu, asked for is us"),
    ("no label", ask(node_selector={"zone": "us"}), node("a"), "a has no label zone, asked for is us"),
    ("sharing", ask(), node("a", labels=SLICED), "a shares its GPUs (time-slicing) and gives a pod one"),
    ("product", ask(), node("a", labels={"nvidia.com/gpu.product": "A100-SHARED"}),
     "a shares its GPUs (time-slicing or MPS) and gives a pod one"),
    ("mig", ask(), node("a", labels={"nvidia.com/gpu.product": "A100-SXM4-40GB-MIG-1g.5gb"}),
     "a shares its GPUs (MIG) and gives a pod one"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "there", "want"), [row[1:] for row in OBSTACLES], ids=[r[0] for r in OBSTACLES]
)
def test_words_name_what_keeps_a_pod_from_a_node(wanted: Ask, there: Node, want: str) -> None:
    told, waiting = explain(wanted, known(there))
    assert told.message.endswith(f": {want}. It cannot start as things are")
    assert waiting.forecast is None


def test_words_of_avoided_and_shared_nodes_come_from_the_pods_own_affinity() -> None:
    term = {
        "matchExpressions": [
            {"key": "nvidia.com/gpu.sharing-strategy", "operator": "NotIn", "values": ["time-slicing"]}
        ],
        "matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["a"]}],
    }
    wanted = ask(node_terms=(term,))
    told, _ = explain(wanted, known(node("a"), node("b", labels=SLICED)))
    assert "a is avoided, since a GPU failed there; b shares its GPUs (time-slicing)" in told.message
    assert find_obstacle(node("c"), wanted) is None


def test_taints_that_are_tolerated_or_only_preferred_are_no_obstacle() -> None:
    preferred = {"key": "old", "effect": "PreferNoSchedule"}
    tolerant = ask(tolerations=({"key": "maintenance", "operator": "Exists"},))
    assert find_obstacle(node("a", taints=(TAINT, preferred)), tolerant) is None
    assert find_obstacle(node("a", taints=(TAINT,)), ask(tolerations=({"operator": "Exists"},))) is None
    other = ask(tolerations=({"key": "maintenance", "value": "false", "effect": "NoSchedule"},))
    assert find_obstacle(node("a", taints=(TAINT,)), other) is not None


def test_a_cordoned_node_takes_a_pod_that_tolerates_all() -> None:
    anything = ask(tolerations=({"operator": "Exists"},))
    assert find_obstacle(node("a", cordoned=True), anything) is None
    told, _ = explain(anything, known(node("a", cordoned=True), holders=(holder("cats", "a", 4),)))
    assert "a has 0 of 4 GPUs free (cats holds 4" in told.message


def test_all_nodes_shared_is_told_as_such() -> None:
    told, _ = explain(ask(), known(node("a", labels=SLICED), node("b", gpus=0)))
    assert (told.reason, told.hint) == (Reason.GPUS_SHARED, HINTS[Reason.GPUS_SHARED])
    mixed, _ = explain(ask(), known(node("a", labels=SLICED), node("b"), holders=(holder("cats", "b", 4),)))
    assert mixed.reason == Reason.UNSCHEDULABLE


X, Y = holder("x", "a", 2, 5), holder("y", "a", 2, 9)
BEFORE, AFTER = "2026-11-27T13:00:00Z", "2026-11-27T13:45:00Z"
X1, Y1 = holder("x", "a", 1, 5), holder("y", "a", 1, 9)
TWO_NODES = (holder("x", "a", 1, 5), holder("y", "b", 1, 7), holder("z", "b", 1, 9))
FORECASTS: list[tuple[str, Surroundings, str | None]] = [
    ("the first end is enough", known(node("a"), holders=(X, Y)), "13:55"),
    ("both ends are needed",
     known(node("a"), holders=(X1, Y1, holder("z", "a", 2))), "13:59"),
    ("ends on two nodes do not add up",
     known(node("a", 1), node("b", 2), holders=TWO_NODES),
     "13:59"),
    ("another holder has no ETA, and is not needed",
     known(node("a"), holders=(X, holder("y", "a", 2))), "13:55"),
    ("a needed holder has no ETA", known(node("a"), holders=(X1, holder("y", "a", 3))), None),
    ("an ETA that has passed is none", known(node("a", 2), holders=(holder("x", "a", 2, -1),)), None),
    ("who waits longer goes first",
     known(node("a"), holders=(X, Y), rivals=(rival(BEFORE),)),
     "13:59"),
    ("who has waited for less does not",
     known(node("a"), holders=(X, Y), rivals=(rival(AFTER),)),
     "13:55"),
    ("unless it has the higher priority",
     known(node("a"), holders=(X, Y),
           rivals=(rival(AFTER, priority=5),)), "13:59"),
    ("nobody knows how long who goes first will take",
     known(node("a", 2), holders=(X,), rivals=(rival(BEFORE),)), None),
    ("pods of others tell no end",
     Surroundings((node("a"),), {"a": {GPU: 3 * UNIT}}, (holder("x", "a", 1, 5),)), None),
    ("where they are not seen, what ours free is certain",
     Surroundings((node("a"),), None, (X,)), "13:55"),
    ("and no more than that", Surroundings((node("a"),), None, (holder("x", "a", 1, 5),)), None),
    ("where nothing is known of the nodes", Surroundings((), None, (holder("x", "a", 4, 5),)), None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("around", "want"), [row[1:] for row in FORECASTS], ids=[row[0] for row in FORECASTS]
)
def test_forecast_has_a_basis_or_there_is_none(around: Surroundings, want: str | None) -> None:
    told, waiting = explain(ask(), around)
    got = waiting.forecast.starts_at[11:16] if waiting.forecast else None
    assert got == want
    if waiting.forecast:
        assert told.message.endswith(f"Expected to start about {got} UTC, {waiting.forecast.basis}")
    elif around.nodes:
        assert "when it starts is not known" in told.message.lower()


def test_several_pods_wait_until_there_is_room_for_all() -> None:
    around = known(node("a", 2), node("b", 2), holders=(holder("x", "a", 2, 5), holder("y", "b", 2, 9)))
    _, waiting = explain(ask(), around, pods=2)
    assert waiting.asked == "2 times 2 GPUs, each on one node"
    assert waiting.forecast is not None
    assert waiting.forecast.starts_at == "2026-11-27T13:59:00Z"
    assert waiting.forecast.basis == "when x and y have ended, by their own ETAs"


RACK = "topology.kubernetes.io/rack"


def test_several_pods_of_one_rack_wait_until_one_rack_has_room_for_all() -> None:
    a, b, c = (node(name, 2, labels={RACK: rack}) for name, rack in (("a", "r1"), ("b", "r2"), ("c", "r2")))
    held = (holder("x", "b", 2, 5), holder("y", "c", 2, 9))
    wanted = ask(together=RACK)
    told, waiting = explain(wanted, known(a, b, c, node("d", 2), holders=held), pods=2)
    assert waiting.asked == f"2 times 2 GPUs, each on one node, all of one {RACK}"
    assert waiting.forecast is not None
    assert waiting.forecast.starts_at == "2026-11-27T13:59:00Z"
    assert waiting.forecast.basis == "when x and y have ended, by their own ETAs"
    assert f"d has no label {RACK}" in told.message


def test_a_pod_waits_for_the_rack_where_another_pod_of_it_is() -> None:
    a, b, c = (node(name, 2, labels={RACK: rack}) for name, rack in (("a", "r1"), ("b", "r2"), ("c", "r2")))
    held = (holder(ITSELF, "b", 2), holder("y", "c", 2, 9))
    told, waiting = explain(ask(together=RACK), known(a, b, c, holders=held))
    assert f"a has {RACK}=r1, asked for is r2" in told.message
    assert waiting.forecast is not None
    assert waiting.forecast.starts_at == "2026-11-27T13:59:00Z"


def test_a_holder_that_was_asked_to_leave_is_waited_for_no_longer_than_its_grace_period() -> None:
    """As one that a queue or the scheduler takes its place from."""
    victim = replace(holder("victim", "a", 4, 1), leaving=True)
    told, waiting = explain(ask(), known(node("a"), holders=(victim,)))
    assert "(victim holds 4 and is leaving). Expected to start about 13:51 UTC" in told.message
    assert waiting.forecast is not None
    assert waiting.forecast.basis == "when victim on a has left, as it was asked to"


def test_each_pod_of_a_training_that_goes_first_takes_its_room_and_it_counts_once() -> None:
    gang = Rival(BEFORE, ask(), pods=2)
    around = known(node("a"), holders=(X, Y), rivals=(gang,))
    told, waiting = explain(ask(), around)
    assert (waiting.place, waiting.forecast) == (2, None)
    assert told.message.endswith("one that waits longer comes first")
    three = known(node("a"), node("b", 2), holders=(X, Y, holder("z", "b", 2, 30)), rivals=(gang,))
    forecast = explain(ask(), three)[1].forecast
    assert forecast is not None
    assert forecast.basis == "when z on b ends, by its own ETA, and 1 that waits longer before it"


def test_place_counts_those_that_wait_for_the_same_by_priority_and_time() -> None:
    longer, shorter = rival("2026-11-27T13:00:00Z"), rival("2026-11-27T13:45:00Z")
    other = Rival("2026-11-27T12:00:00Z", ask(resource="amd.com/gpu"))
    assert explain(ask(), known(node("a"), rivals=(other,)))[1].place is None
    assert explain(ask(), known(node("a"), rivals=(shorter, other)))[1].place == 1
    told, waiting = explain(ask(), known(node("a"), rivals=(longer, shorter)))
    assert waiting.place == 2
    assert "on one node, place 2: " in told.message


ADVICE: list[tuple[str, Ask, Surroundings, str]] = [
    ("fewer", ask(4), known(node("a"), holders=(holder("x", "a", 1),)), "with gpus: 3 it would fit on a now"),
    ("smaller", ask(8), known(node("a"), holders=(holder("x", "a", 4),)), "more than 4: set gpus to that"),
    ("name", ask(), known(node("a", resource="amd.com/gpu")), "gpuResource to what nodes have (amd.com/gpu)"),
    ("plugin", ask(), known(node("a", gpus=0)), "no node has nvidia.com/gpu: is the device plugin up?"),
    ("cordon", ask(), known(node("a", cordoned=True)), "a would have room: have it uncordoned"),
    ("label", ask(node_selector={"x": "y"}), known(node("a")), "a would have room: change spec.template."),
    ("cpu", ask(1, cpus=30), Surroundings((node("a"),), {"a": {"cpu": 9000}}),
     "lower spec.template.resources (cpu)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "around", "want"), [row[1:] for row in ADVICE], ids=[row[0] for row in ADVICE]
)
def test_advice_says_what_would_help(wanted: Ask, around: Surroundings, want: str) -> None:
    hint = explain(wanted, around)[0].hint
    assert hint is not None
    assert want in hint


def test_fewer_gpus_are_no_advice_for_several_pods_of_which_one_alone_would_fit() -> None:
    around = known(node("a", 2), node("b", 2), holders=(holder("x", "a", 1), holder("y", "b", 2)))
    hint = explain(ask(), around, pods=2)[0].hint
    assert hint == HINTS[Reason.UNSCHEDULABLE]
    assert "with gpus: 1 it would fit on a now" in str(explain(ask(), around)[0].hint)


def test_what_others_hold_is_told_as_a_number_and_at_most_where_it_is_not_seen() -> None:
    held = (holder("cats", "a", 1),)
    seen, _ = explain(ask(), Surroundings((node("a"),), {"a": {GPU: 2 * UNIT}}, held))
    assert "a has 1 of 4 GPUs free (cats holds 1, no ETA yet, other pods hold 2)" in seen.message
    unseen, _ = explain(ask(), Surroundings((node("a"),), None, (holder("cats", "a", 3),)))
    assert "a has at most 1 of 4 GPUs free (cats holds 3, no ETA yet)" in unseen.message


def test_gpus_that_cannot_be_used_are_told() -> None:
    broken = node("a", 3, unusable={GPU: UNIT})
    told, _ = explain(ask(), known(broken, holders=(holder("cats", "a", 2),)))
    assert "a has 1 of 3 GPUs free (cats holds 2, no ETA yet), 1 more cannot be used now" in told.message


def test_without_nodes_the_schedulers_words_stay_and_our_holders_are_named() -> None:
    told, waiting = explain(ask(), Surroundings((), None, (holder("cats", "a", 3, 25),)))
    assert told.message == (
        f"{SCHEDULER.rstrip('.')}. Of the trainings known here cats holds 3 on a until about 14:15 UTC"
    )
    assert [one.name for one in waiting.holders] == ["cats"]


def test_where_there_seems_to_be_room_the_scheduler_has_the_last_word() -> None:
    told, waiting = explain(ask(), known(node("a")))
    assert told.message.endswith(f"a seems to have room; but the scheduler says: {SCHEDULER}")
    assert waiting.forecast is None


def test_words_stay_within_a_condition_however_many_nodes_there_are() -> None:
    nodes = [node(f"{'n' * 60}-{number}") for number in range(400)]
    held = tuple(holder("t" * 100, one.name, 1, number) for number, one in enumerate(nodes) for _ in range(2))
    told, waiting = explain(ask(4), known(*nodes, holders=held))
    assert len(told.message) <= MESSAGE_MOST
    assert "more nodes in use. Expected to start" in told.message or "400 nodes in use" in told.message
    assert len(waiting.holders) == 8


def test_a_forecast_moves_only_when_it_moved_by_more_than_a_tenth() -> None:
    first = explain(ask(), known(node("a"), holders=(holder("cats", "a", 4, 60),)))
    near = explain(ask(), known(node("a"), holders=(holder("cats", "a", 4, 55),)), first[1])
    assert near == first
    far = explain(ask(), known(node("a"), holders=(holder("cats", "a", 4, 40),)), first[1])
    assert far[1].forecast is not None
    assert far[1].forecast.starts_at == "2026-11-27T14:30:00Z"


def test_what_was_told_and_has_passed_is_told_anew() -> None:
    first = explain(ask(), known(node("a"), holders=(holder("cats", "a", 4, 1),)))
    later = NOW + timedelta(seconds=70)
    again = explain(ask(), known(node("a"), holders=(holder("cats", "a", 4, 2),)), first[1], now=later)
    assert again[1].forecast is not None
    assert again[1].forecast.starts_at == "2026-11-27T13:52:00Z"


@pytest.mark.parametrize(
    ("text", "want"),
    [("2", 2000), ("500m", 500), ("1.5", 1500), ("16Gi", 16 * GIB), ("1e3", 10**6), ("1E", 10**21),
     ("1k", 10**6), ("100n", 1), ("", 0), ("many", 0), ("1e999999", 0), ("NaN", 0)],
)  # fmt: skip
def test_parse_amount_reads_quantities(text: str, want: int) -> None:
    assert parse_amount(text) == want


def test_view_ask_counts_as_the_scheduler_does() -> None:
    def container(cpu: str, **more: Any) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}} | more

    spec = {
        "containers": [container("1"), {"resources": {"limits": {"cpu": "1", GPU: "2"}}}],
        "initContainers": [container("500m", restartPolicy="Always"), container("4")],
        "overhead": {"cpu": "250m"},
        "priority": 7,
    }
    got = view_ask(spec)
    assert got.together == ""
    assert got.requests == {"cpu": 4750, GPU: 2000, "pods": 1000}
    assert (got.device, got.priority) == (GPU, 7)


def test_device_is_the_gpu_and_not_what_a_webhook_added() -> None:
    assert Ask({"cpu": 1000, "intel.com/sriov": 1000, GPU: 2000}).device == GPU
    assert Ask({"a.example/nic": 1000, "nvidia.com/mig-1g.10gb": 1000}).device == "nvidia.com/mig-1g.10gb"
    assert Ask({"habana.ai/gaudi": 1000}).device == "habana.ai/gaudi"
    assert Ask({"cpu": 1000}).device is None


def test_sum_others_leaves_out_trainings_that_are_served_and_pods_that_ended() -> None:
    def pod(namespace: str, phase: str = "Running", **labels: str) -> dict[str, Any]:
        spec = {"nodeName": "a", "containers": [{"resources": {"requests": {GPU: "1"}}}]}
        return {
            "metadata": {"namespace": namespace, "labels": labels},
            "spec": spec,
            "status": {"phase": phase},
        }

    training = {
        "yolo.training/training": "cats",
        "yolo.training/run": "1",
        "yolo.training/attempt": "1",
        "yolo.training/stage": "train",
    }
    pods = [pod("lab", **training), pod("elsewhere", **training), pod("lab"), pod("lab", "Succeeded")]
    pretend = [
        pod("lab", **{"yolo.training/training": "cats"}),
        pod("lab", **training | {"yolo.training/stage": "mine"}),
        pod("lab", **training | {"yolo.training/run": "x"}),
    ]
    sums: dict[str, dict[str, int]] = {}
    sum_others([*pods, *pretend], ["lab"], sums)
    assert sums["a"][GPU] == 5 * UNIT
    everywhere: dict[str, dict[str, int]] = {}
    sum_others(pods, [], everywhere)
    assert everywhere["a"][GPU] == UNIT


def test_view_node_reads_what_is_told() -> None:
    body = {
        "metadata": {"name": "a", "labels": {"x": "y"}},
        "spec": {"taints": [TAINT], "unschedulable": True},
        "status": {
            "allocatable": {GPU: "4", "cpu": "7500m"},
            "capacity": {GPU: "5", "cpu": "8", "example.org/fpga": "1"},
            "conditions": [{"type": "Ready", "status": "Unknown"}],
        },
    }
    unusable = {GPU: UNIT, "example.org/fpga": UNIT}
    want = Node("a", {"x": "y"}, (TAINT,), True, False, {GPU: 4 * UNIT, "cpu": 7500}, unusable)
    assert view_node(body) == want
