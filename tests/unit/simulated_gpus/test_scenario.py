"""Scenarios: what they are at first, what befalls them, and what they mean to Kubernetes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cluster import Cluster, ClusterError
from simulated_gpus import devices, nodes, wire
from simulated_gpus.__main__ import line, main, parse_values
from simulated_gpus.devices import Device, build_labels, build_offers
from simulated_gpus.scenario import Library, Scenario, ScenarioFile, build_scenario, with_mig

TWO = build_scenario("node-1", 2)
IDS = [gpu.uuid for gpu in TWO.gpus]


def test_uuids_follow_from_node_and_index() -> None:
    assert build_scenario("node-1", 2) == TWO
    others = [gpu.uuid for gpu in build_scenario("node-2", 2).gpus]
    assert len({*IDS, *others}) == 4
    assert all(len(each) == 40 and each.startswith("GPU-") for each in IDS)


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ({"memory_used": "90GiB"}, "more than memory_total"),
        ({"utilisation": 101}, "utilisation: Input should be less than or equal to 100, got 101"),
        ({"temprature": 60}, "temprature: there is no such value, but there are uuid, name, memory_total"),
        ({"name": 'with "quotes"'}, "name: String should match"),
        ({"mig_devices": [{"uuid": "MIG-1", "profile": "1g.10gb", "memory_total": 1}]}, "want mig_enabled"),
    ],
)
def test_a_value_that_cannot_be_is_told_by_its_name(values: dict[str, Any], want: str) -> None:
    with pytest.raises(ClusterError, match=want):
        TWO.with_gpu(0, **values)


def test_a_gpu_that_is_not_there_is_told() -> None:
    with pytest.raises(ClusterError, match="no GPU 2 here: there are 2, counted from 0"):
        TWO.with_lost(2)


def test_files_say_what_is_wrong_with_them(tmp_path: Path) -> None:
    file = ScenarioFile(tmp_path / "state")
    with pytest.raises(ClusterError, match="no simulated GPUs here"):
        file.read()
    file.path.write_text("{")
    with pytest.raises(ClusterError, match="state"):
        file.read()


def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    file = ScenarioFile(tmp_path / "state")
    file.write(TWO)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda xid: file.change(lambda now: now.with_xid(0, xid)), range(1, 41)))
    assert sorted(each.xid for each in file.read().xids) == list(range(1, 41))


@pytest.mark.parametrize(
    ("scenario", "want"),
    [
        (TWO, [True, True]),
        (TWO.with_xid(0, 31), [True, True]),  # the application's own fault
        (TWO.with_xid(0, 94), [False, True]),
        (TWO.with_xid(0, 94).with_xid(0, 31), [False, True]),
        (TWO.with_lost(1), [True, False]),
        (TWO.with_lost(1).with_healed(1), [True, True]),
        (TWO.with_gpu(0, unhealthy=True), [False, True]),
        (TWO.with_values(library=Library.MISMATCH), [False, False]),
    ],
)
def test_health_follows_what_befalls(scenario: Scenario, want: list[bool]) -> None:
    found = build_offers(scenario)["nvidia.com/gpu"]
    assert found == [Device(name, healthy) for name, healthy in zip(IDS, want, strict=True)]


def test_shared_gpus_are_offered_several_times() -> None:
    shared = TWO.with_values(replicas=2)
    names = [device.id for device in build_offers(shared)["nvidia.com/gpu"]]
    assert names == [f"{IDS[0]}::0", f"{IDS[0]}::1", f"{IDS[1]}::0", f"{IDS[1]}::1"]
    assert devices.build_variables(names[1:3])["NVIDIA_VISIBLE_DEVICES"] == f"{IDS[0]},{IDS[1]}"
    labels = build_labels(shared)
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3-SHARED"
    assert labels["nvidia.com/gpu.replicas"] == "2"
    assert labels["nvidia.com/gpu.sharing-strategy"] == "time-slicing"


def test_parts_are_resources_of_their_own() -> None:
    parted = with_mig(TWO, 0, ["3g.40gb", "1g.10gb", "1g.10gb"])
    offers = build_offers(parted)
    assert [device.id for device in offers["nvidia.com/gpu"]] == [IDS[1]]
    parts = [part.uuid for part in parted.gpus[0].mig_devices]
    assert [device.id for device in offers["nvidia.com/mig-3g.40gb"]] == parts[:1]
    assert [device.id for device in offers["nvidia.com/mig-1g.10gb"]] == parts[1:]
    assert build_labels(parted)["nvidia.com/mig-1g.10gb.count"] == "2"
    assert with_mig(parted, 0, []).gpus[0].mig_devices == ()


def test_labels_are_those_of_gpu_feature_discovery() -> None:
    assert build_labels(TWO) == {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.count": "2",
        "nvidia.com/gpu.memory": "81920",
        "nvidia.com/gpu.replicas": "1",
        "nvidia.com/gpu.sharing-strategy": "none",
        "nvidia.com/mig.capable": "false",
        "nvidia.com/mig.strategy": "mixed",
    }
    assert build_labels(build_scenario("node-1", 0)) == {}
    assert build_labels(TWO.with_values(library=Library.NOT_LOADED)) == {}


def test_messages_of_the_kubelet_are_read_and_answered() -> None:
    long = f"GPU-{'x' * 200}"  # a length of two bytes
    request = b"\x0a\xd3\x01\x0a\xcc\x01" + long.encode() + b"\x0a\x02ab" + b"\x0a\x03\x0a\x01c"
    assert len(long) == 204
    assert wire.decode_allocate(request) == [[long, "ab"], ["c"]]
    answer = wire.encode_allocated([({"A": "b"}, {"/x": Path("/y")})])
    assert answer == b"\x0a\x14\x0a\x06\x0a\x01A\x12\x01b\x12\x0a\x0a\x02/x\x12\x02/y\x18\x01"
    assert wire.encode_devices([Device("a", healthy=False)]) == b"\x0a\x0e\x0a\x01a\x12\x09Unhealthy"


def test_words_of_the_command_line_become_values() -> None:
    words = ["memory_used=20GiB", "power=null", "lost=true", 'processes=[{"pid": 7, "memory": "1GiB"}]']
    after = TWO.with_gpu(0, **parse_values(words)).gpus[0]
    assert (after.memory_used, after.power, after.lost) == (20 << 30, None, True)
    assert line(after).startswith(f"{IDS[0]}  NVIDIA H100 80GB HBM3  lost  20480 of 81920 MiB  0 %  35 °C")
    assert line(after).endswith("pid 7")
    with pytest.raises(ClusterError, match="should be KEY=VALUE"):
        parse_values(["lost"])


@pytest.mark.parametrize(
    ("words", "want"),
    [
        (["show", "--name", "not-there"], "no cluster 'not-there' here"),
        (["xid", "node-1", "79"], "'node-1' is no GPU: should be NODE/INDEX, such as node-1/0"),
    ],
)
def test_a_command_that_cannot_be_says_why(
    words: list[str], want: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["simulated_gpus", *words])
    assert main() == 1
    assert want in capsys.readouterr().err


def test_gpus_stay_until_other_ones_are_named(tmp_path: Path) -> None:
    node = nodes.GpuNode(Cluster("unit"), 1, "node-1", tmp_path, tmp_path)
    nodes.ensure_scenario(node)
    assert node.file.read() == build_scenario("node-1", 1)
    nodes.ensure_scenario(node, 2)
    changed = node.file.change(lambda now: now.with_xid(1, 94))
    nodes.ensure_scenario(node)
    nodes.ensure_scenario(node, 2)
    assert node.file.read() == changed
    nodes.ensure_scenario(node, replicas=3, name="NVIDIA L4")
    assert node.file.read() == build_scenario("node-1", 2, name="NVIDIA L4").with_values(replicas=3)
