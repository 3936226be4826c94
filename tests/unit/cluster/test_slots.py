"""Slots keep clusters apart."""

import json
import shutil
from pathlib import Path

import pytest

from cluster import paths, slots
from cluster.slots import PORTS, SLOTS, Addresses


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(slots, "_unused", lambda slot: True)
    monkeypatch.setattr(paths, "RUN", tmp_path / "run")
    return tmp_path / "yolo-operator" / "slots"


def test_allocate_gives_each_cluster_its_own_slot_and_keeps_it(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    assert [slots.allocate(first), slots.allocate(second), slots.allocate(first)] == [0, 1, 0]
    assert slots.slot_of(second) == 1


def test_release_frees_only_ones_own(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    slots.allocate(first)
    slots.release(0, second)
    assert slots.slot_of(first) == 0
    slots.release(0, first)
    assert slots.allocate(second) == 0


def test_allocate_passes_over_what_others_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_unused", lambda slot: slot != 0)
    assert slots.allocate(tmp_path / "one") == 1


def test_allocate_survives_a_half_written_entry(tmp_path: Path, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "0.json").write_text("{")
    assert slots.allocate(tmp_path / "one") == 0
    assert json.loads((cache / "0.json").read_text()) == {"state": str(tmp_path / "one")}


def test_orphans_are_the_clusters_whose_folder_is_gone(tmp_path: Path) -> None:
    kept, gone = tmp_path / "kept", tmp_path / "gone"
    kept.mkdir()
    slots.allocate(kept)
    slots.allocate(gone)
    assert slots.orphans() == {1: gone}


def test_owner_of_a_running_cluster_is_known_without_the_cache(tmp_path: Path, cache: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    slots.note_owner(slots.allocate(one), one)
    shutil.rmtree(cache)
    assert slots.slot_of(one) == slots.allocate(one) == 0
    assert slots.orphans() == {0: one}
    assert slots.allocate(two) == 1
    slots.release(0, one)
    assert slots.owners() == {1: str(two)}


def test_addresses_never_clash() -> None:
    seen: list[object] = []
    for slot in range(SLOTS):
        one = Addresses(slot)
        seen += [one.bridge, one.host_network, one.pods, one.services, one.netns(1), one.veth(1)]
        seen += [one.port(component) for component in PORTS]
    assert len(seen) == len(set(seen))
    assert len(Addresses(SLOTS - 1).veth(99)) <= 15
    # Below the kernel's range of outgoing ports and of NodePorts.
    assert max(port for port in seen if isinstance(port, int)) < 30000


def test_api_alone_stays_on_loopback() -> None:
    assert Addresses(2, api_only=True).api == "https://127.0.0.1:21042"
    assert Addresses(2).api == "https://172.30.2.1:6443"
