"""Two systems on one machine: each has a port of its own, and neither takes the other for itself."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import Cluster, ClusterError
from cluster.components import forwarder
from cluster.plan import Plan
from cluster.ports import free_port, is_free
from cluster.processes import Daemon, Supervisor, end, marked
from cluster.slots import Addresses
from demo import system


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One of which only the plan is there."""
    cluster = Cluster("unit")
    cluster.state, cluster.supervisor = tmp_path, Supervisor(tmp_path)
    yield cluster
    end(marked(tmp_path))


def _plan(cluster: Cluster, port: int) -> Plan:
    plan = Plan("unit", cluster.state, Addresses(39), host_port=port)
    plan.store()
    return plan


def test_is_free_tells_a_port_that_is_taken(taken: int) -> None:
    assert not is_free(taken)
    assert is_free(free_port())


def test_choose_port_is_the_older_servers_where_that_is_free(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "PORT", free_port())
    assert system.choose_port(cluster) == system.PORT


def test_choose_port_gives_way_and_says_so(
    cluster: Cluster, taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(system, "PORT", taken)
    port = system.choose_port(cluster)
    assert port != taken
    assert is_free(port)
    want = f"  port {taken} of 127.0.0.1 is taken by another program: the façade gets {port} instead\n"
    assert capsys.readouterr().err == want


def test_choose_port_stays_as_it_was(cluster: Cluster, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "PORT", free_port())
    _plan(cluster, taken)
    assert system.choose_port(cluster) == system.PORT, "somebody else took it while the cluster was down"
    cluster.supervisor.start(Daemon("forwarder", ("sleep", "30")))
    assert system.choose_port(cluster) == taken, "its own forwarder has it"


def test_up_refuses_a_host_port_that_another_program_has(cluster: Cluster, taken: int) -> None:
    plan = _plan(cluster, taken)
    with pytest.raises(ClusterError, match=f"host port: {taken} of 127.0.0.1 is taken by another program"):
        cluster._check_host_port(plan)
    record = cluster.supervisor.records / "forwarder.json"
    cluster.supervisor.start(Daemon("forwarder", ("sleep", "30")))
    # As the forwarder of this plan would be on record.
    started = json.loads(record.read_text())
    record.write_text(json.dumps(started | {"argv": list(forwarder(plan).argv)}))
    cluster._check_host_port(plan)
