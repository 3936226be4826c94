"""Real, short-lived processes: started detached, found again, ended."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cluster import Cluster, faults
from cluster.api import wait_for
from cluster.paths import ClusterError
from cluster.processes import Daemon, Supervisor, command_line, end, marked, start_time

SLEEP = Daemon("sleeper", ("sleep", "30"))


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    return Supervisor(tmp_path)


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> object:
    yield
    end(marked(tmp_path))


def test_ensure_starts_once(supervisor: Supervisor) -> None:
    assert supervisor.ensure(SLEEP)
    pid = supervisor.pid("sleeper")
    assert pid is not None
    assert not supervisor.ensure(SLEEP)
    assert supervisor.pid("sleeper") == pid
    wait_for("a session of its own", lambda: os.getsid(pid) == pid, 10)


def test_ensure_restarts_on_change(supervisor: Supervisor) -> None:
    supervisor.ensure(SLEEP)
    before = supervisor.pid("sleeper")
    assert supervisor.ensure(Daemon("sleeper", ("sleep", "31")))
    assert supervisor.pid("sleeper") not in (before, None)
    assert before is None or start_time(before) is None


def test_ensure_adopts_what_a_killed_up_could_not_record(supervisor: Supervisor) -> None:
    supervisor.ensure(SLEEP)
    pid = supervisor.pid("sleeper")
    assert pid is not None
    wait_for("its own command line", lambda: command_line(pid) == [*SLEEP.argv], 10)
    (supervisor.records / "sleeper.json").unlink()
    assert not supervisor.ensure(SLEEP)
    assert supervisor.pid("sleeper") == pid


def test_ensure_ends_what_a_killed_up_started_with_another_configuration(supervisor: Supervisor) -> None:
    old, new = (replace(SLEEP, env={"YOLO_CLUSTER_CONFIG": digest}) for digest in ("1", "2"))
    supervisor.ensure(old)
    pid = supervisor.pid("sleeper")
    assert pid is not None
    wait_for("its own command line", lambda: command_line(pid) == [*SLEEP.argv], 10)
    (supervisor.records / "sleeper.json").unlink()
    assert supervisor.ensure(new)
    assert marked(supervisor.state) == [supervisor.pid("sleeper")]
    assert not supervisor.ensure(new)


def test_pid_of_another_process_is_not_ours(supervisor: Supervisor) -> None:
    supervisor.ensure(SLEEP)
    record = supervisor.records / "sleeper.json"
    record.write_text(
        record.read_text().replace(f'"pid": {supervisor.pid("sleeper")}', f'"pid": {os.getpid()}')
    )
    assert supervisor.pid("sleeper") is None
    supervisor.stop("sleeper")


def test_start_time_of_a_process_whose_main_thread_ended_first() -> None:
    code = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    stat = Path(f"/proc/{process.pid}/stat")
    try:
        wait_for("a zombie with a thread", lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "Z", 10)
        assert start_time(process.pid)
    finally:
        end([process.pid])
    assert start_time(process.pid) is None
    process.wait()


def test_a_component_that_is_forgotten_is_no_dead_one(supervisor: Supervisor) -> None:
    supervisor.ensure(SLEEP)
    supervisor.forget("sleeper")
    assert (supervisor.names(), marked(supervisor.state)) == ([], [])


def test_a_component_runs_in_its_folder_also_when_started_again(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    daemon = Daemon("sleeper", SLEEP.argv, cwd=str(tmp_path))
    supervisor.start(daemon)
    assert supervisor.daemon("sleeper") == daemon
    assert Path(f"/proc/{supervisor.pid('sleeper')}/cwd").readlink() == tmp_path


def test_output_goes_to_the_log(supervisor: Supervisor) -> None:
    supervisor.start(Daemon("speaker", ("sh", "-c", "echo out; echo err >&2; exec sleep 30")))
    pid = supervisor.pid("speaker")
    assert pid is not None
    wait_for("its second command", lambda: command_line(pid) == ["sleep", "30"], 10)
    assert (supervisor.logs / "speaker.log").read_text() == "out\nerr\n"


def test_faults_on_a_component(supervisor: Supervisor) -> None:
    cluster = Cluster("unit")
    cluster.supervisor = supervisor
    verbs = cluster.faults
    supervisor.ensure(Daemon("kubelet@node-1", SLEEP.argv))
    pid = supervisor.pid("kubelet@node-1")
    assert pid is not None
    verbs.pause("kubelet")
    stat = Path(f"/proc/{pid}/stat")
    wait_for("a stopped process", lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T", 10)
    verbs.resume("kubelet")
    verbs.kill("kubelet")
    wait_for("its end", lambda: supervisor.pid("kubelet@node-1") is None, 10)
    verbs.resume("kubelet")
    assert supervisor.pid("kubelet@node-1") not in (pid, None)
    verbs.restart("kubelet")


def test_signal_says_what_there_is(supervisor: Supervisor) -> None:
    supervisor.ensure(SLEEP)
    with pytest.raises(ClusterError, match="sleeper"):
        supervisor.signal("etcd", signal.SIGKILL)


@pytest.mark.parametrize(
    ("short", "want"),
    [
        ("apiserver", "kube-apiserver"),
        ("etcd", "etcd"),
        ("kubelet", "kubelet@node-1"),
        ("proxy@node-2", "kube-proxy@node-2"),
    ],
)
def test_full_name(short: str, want: str) -> None:
    assert faults.full_name(short) == want


@pytest.mark.parametrize("name", ["node-0", "node-3", "2", "kubelet@node-1"])
def test_node_index_refuses_nodes_that_are_not_there(name: str) -> None:
    with pytest.raises(ClusterError, match="no node"):
        faults.node_index(name, 2)
