"""Configuration as plain values."""

import json
import tomllib
from pathlib import Path

import pytest

from cluster import addons, components, config
from cluster.files import write_json
from cluster.paths import ClusterError, state_dir
from cluster.pki import render_extensions
from cluster.plan import Plan
from cluster.slots import Addresses

PLAN = Plan("local", Path("/state"), Addresses(3), nodes=2, host_port=60066)


def test_containerd_config_is_toml_with_everything_below_its_own_folders() -> None:
    text = config.containerd_config(root=Path("/root"), run=Path("/run/x"), socket=Path("/run/x/c.sock"))
    read = tomllib.loads(text)
    assert read["version"] == 3
    assert read["grpc"]["address"] == "/run/x/c.sock"
    runtime = read["plugins"]["io.containerd.cri.v1.runtime"]
    assert runtime["containerd"]["runtimes"]["runc"]["options"] == {
        "BinaryName": "runc",
        "Root": "/run/x/runc",
        "SystemdCgroup": False,
    }
    assert runtime["restrict_oom_score_adj"] is True
    assert "io.containerd.nri.v1.nri" in read["disabled_plugins"]


def test_hosts_toml_sends_every_image_to_the_registry_of_the_cluster() -> None:
    read = tomllib.loads(config.hosts_toml(Addresses(3)))
    assert read == {
        "server": "http://172.30.3.1:5000",
        "host": {"http://172.30.3.1:5000": {"capabilities": ["pull", "resolve"]}},
    }


@pytest.mark.parametrize(("grace", "beat", "lease"), [(40, "10s", 40), (8, "2s", 8), (2, "1s", 4)])
def test_node_timings_leave_several_beats_in_a_grace_period(grace: int, beat: str, lease: int) -> None:
    want = {"nodeStatusUpdateFrequency": beat, "nodeLeaseDurationSeconds": lease}
    assert config.node_timings(grace) == want


def test_cni_config_gives_each_node_its_own_range() -> None:
    ranges = [
        config.cni_config(Addresses(3), index, folder=Path("/run/x"))["plugins"][0]["ipam"]["ranges"]
        for index in (1, 2)
    ]
    assert ranges == [[[{"subnet": "10.103.1.0/24"}]], [[{"subnet": "10.103.2.0/24"}]]]


def test_forwarder_tries_every_node() -> None:
    assert components.forwarder(PLAN).argv[2:] == (
        "127.0.0.1:60066",
        "172.30.3.11:30066",
        "172.30.3.12:30066",
    )


def test_api_alone_does_not_announce_itself() -> None:
    alone = Plan("local", Path("/state"), Addresses(3, api_only=True), nodes=0)
    assert "--endpoint-reconciler-type=none" in components.apiserver(alone).argv
    assert "--endpoint-reconciler-type=none" not in components.apiserver(PLAN).argv


def test_addons_hold_one_default_class_and_volumes_for_many_readers() -> None:
    items = addons.build_addons(Addresses(3), Path("/state/volumes"))["items"]
    volumes = [item for item in items if item["kind"] == "PersistentVolume"]
    assert len(volumes) == addons.VOLUMES
    assert {v["spec"]["hostPath"]["path"] for v in volumes} >= {"/state/volumes/pv-00"}
    assert [item["metadata"]["name"] for item in items if item["kind"] == "StorageClass"] == ["standard"]


def test_render_extensions_tells_addresses_from_names() -> None:
    assert render_extensions(("localhost", "10.0.0.1")).endswith("subjectAltName=DNS:localhost,IP:10.0.0.1\n")


def test_write_json_leaves_an_equal_file_alone(tmp_path: Path) -> None:
    path = write_json(tmp_path / "new" / "x.json", {"a": 1})
    before = path.stat()
    write_json(path, {"a": 1})
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino
    write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}


@pytest.mark.parametrize("name", ["", "A", "../x", "-a", "a-", "a" * 31])
def test_state_dir_refuses_what_is_no_name(name: str) -> None:
    with pytest.raises(ClusterError, match="no cluster name"):
        state_dir(name)
