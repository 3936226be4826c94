"""Launchers on several nodes: real processes and connections, each a thread of this test."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import cast

import pytest

from cluster.api import wait_for
from yolo_crds.trainer import ExitCode, TrainerConfig
from yolo_trainer.errors import InvalidArgumentsError, TrainerError
from yolo_trainer.node import Node
from yolo_trainer.process.report import Report
from yolo_trainer.supervise.nodes import NodeRanks, interface_of, node_environment
from yolo_trainer.supervise.outcome import Ending, decide, more_telling
from yolo_trainer.supervise.peers import Peers, Says, Word, _Line, parse_word

CONFIG = {
    "stage": "train",
    "name": "a",
    "uid": "u",
    "modelName": "a",
    "rendezvous": "a-0.gang-a",
    "template": {"model": "m.yaml", "data": {"train": "d"}, "batch": 4, "resources": {"gpus": 2, "nodes": 2}},
}


def node(index: int, count: int = 2) -> Node:
    return Node(index, count, "127.0.0.1", "127.0.0.1", "token")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def run(*scripts: str, silent: float = 5.0, tokens: tuple[str, ...] = (), meeting: float = 5.0) -> list[int]:
    """Exit codes of launchers of one rank each, which runs a script."""
    port, codes = free_port(), [-1] * len(scripts)

    def launch(index: int, script: str) -> None:
        me = Node(index, len(scripts), "127.0.0.1", "127.0.0.1", tokens[index] if tokens else "token")
        peers = Peers(me, port, print, meeting_seconds=meeting, silent_seconds=silent)
        codes[index] = NodeRanks(["sh", "-c", script], 1, Report(None), me, peers).run()

    threads = [threading.Thread(target=launch, args=item) for item in enumerate(scripts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return codes


WAIT = "trap 'exit 143' TERM; while :; do sleep 0.02; done"


def test_nodes_end_well_together() -> None:
    assert run("sleep 0.2", ":", ":") == [0, 0, 0]


def test_rank_that_fails_ends_all_and_only_its_pod_says_why() -> None:
    assert run(WAIT, WAIT, "exit 10") == [13, 13, 10]


def test_killed_first_rank_ends_the_others() -> None:
    assert run("kill -9 $$", WAIT) == [137, 13]


def test_ranks_that_lost_each_other_wait_for_who_knows_why() -> None:
    assert run("exit 13", "sleep 0.5; exit 4") == [13, 4]


class Told(Report):
    """What a launcher reports as failures."""

    def __init__(self) -> None:
        super().__init__(None)
        self.failures: list[str] = []
        self.failed_gpus: list[str] = []

    def gpu_failed(self, message: str) -> None:
        self.failed_gpus.append(message)

    def failed(self, error: TrainerError, *, seen: bool = False) -> None:
        self.failures.append(f"{error.reason}{' (seen)' if seen else ''}: {error}")


def test_ranks_that_stopped_with_those_of_another_pod_wait_for_its_word() -> None:
    """Ranks agree on a stop among themselves, and may have left before the launchers have told each other."""
    port, codes, told = free_port(), [-1, -1], Told()
    launchers = [
        NodeRanks(["sh", "-c", script], 1, report, node(index), Peers(node(index), port, print))
        for index, (script, report) in enumerate((("exit 143", told), (WAIT, Report(None))))
    ]

    def launch(index: int) -> None:
        codes[index] = launchers[index].run()

    threads = [threading.Thread(target=launch, args=[index]) for index in (0, 1)]
    for thread in threads:
        thread.start()
    first = launchers[0]
    wait_for("the end of rank 0", lambda: any(p.poll() is not None for p in first._processes), 20)
    launchers[1].stop()
    for thread in threads:
        thread.join()
    assert codes == [143, 143]
    assert told.failures == ["Interrupted (seen): pod 1 was asked to end"]


def test_ranks_that_hang_end_those_of_other_pods_for_a_reason_and_not_by_anybodys_wish() -> None:
    """Else a pod whose GPU had failed, and so hung the others, would say that it was asked to end."""
    port, codes, told = free_port(), [-1, -1], Told()
    launchers = [
        NodeRanks(["sh", "-c", WAIT], 1, report, node(index), Peers(node(index), port, print))
        for index, report in enumerate((Report(None), told))
    ]

    def launch(index: int) -> None:
        codes[index] = launchers[index].run()

    threads = [threading.Thread(target=launch, args=[index]) for index in (0, 1)]
    for thread in threads:
        thread.start()
    wait_for("ranks in both pods", lambda: all(one._processes for one in launchers), 20)
    launchers[0].give_up()
    for thread in threads:
        thread.join()
    assert codes == [int(ExitCode.HUNG), int(ExitCode.PEER_LOST)]
    assert told.failures == ["PeerLost (seen): pod 0 has seen no progress, and gave up"]


def test_the_first_pod_is_told_of_a_gpu_that_failed_in_another_one() -> None:
    """It alone sees whether the training still moves, and shall not wait for half an hour then."""
    port, codes, told = free_port(), [-1, -1], Told()
    launchers = [
        NodeRanks(["sh", "-c", WAIT], 1, report, node(index), Peers(node(index), port, print))
        for index, report in enumerate((told, Report(None)))
    ]

    def launch(index: int) -> None:
        codes[index] = launchers[index].run()

    threads = [threading.Thread(target=launch, args=[index]) for index in (0, 1)]
    for thread in threads:
        thread.start()
    wait_for("ranks in both pods", lambda: all(one._processes for one in launchers), 20)
    launchers[1].gpu_failed()
    wait_for("its word", lambda: bool(told.failed_gpus), 20)
    launchers[0].stop()
    for thread in threads:
        thread.join()
    assert told.failed_gpus == ["a GPU of pod 1 has failed; the log of that pod names it"]
    assert codes == [143, 143], "the training went on until it was stopped"


def test_pods_of_another_attempt_are_no_peers() -> None:
    assert run(":", ":", tokens=("a", "b"), meeting=1.0) == [13, 13]


def test_port_that_is_taken_is_a_failure_in_a_sentence() -> None:
    with socket.create_server(("", 0)) as server:
        peers = Peers(node(0), server.getsockname()[1], print)
        assert NodeRanks(["true"], 1, Report(None), node(0), peers).run() == 4


def test_environment_counts_ranks_over_all_nodes() -> None:
    told = node_environment(node(1), 1, 2, 29500)

    assert (
        told.items()
        >= {
            "RANK": "3",
            "LOCAL_RANK": "1",
            "WORLD_SIZE": "4",
            "LOCAL_WORLD_SIZE": "2",
            "GROUP_RANK": "1",
            "GROUP_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": "29500",
            "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo"),
        }.items()
    )


@pytest.mark.parametrize(
    ("address", "name"), [("127.0.0.1", "lo"), ("::1", "lo"), ("192.0.2.1", None), ("", None)]
)
def test_interface_of_an_address(address: str, name: str | None) -> None:
    assert interface_of(address) == name


def test_interface_of_an_ipv6_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "if_inet6"
    table.write_text("fd000000000000000000000000000007 02 40 00 80     eth0\n")
    monkeypatch.setattr("yolo_trainer.supervise.nodes._IF_INET6", table)

    assert interface_of("fd00::7") == "eth0"


def test_node_is_told_by_the_environment() -> None:
    config = TrainerConfig.model_validate(CONFIG)

    found = Node.of(config, {"JOB_COMPLETION_INDEX": "1", "POD_IP": "10.0.0.2"})

    assert (found.index, found.count, found.rendezvous, found.address) == (1, 2, "a-0.gang-a", "10.0.0.2")
    assert Node.of(config.model_copy(update={"rendezvous": None}), {}) == Node()


@pytest.mark.parametrize("text", ["", "2", "-1", "x"])
def test_wrong_index_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentsError, match="JOB_COMPLETION_INDEX"):
        Node.of(TrainerConfig.model_validate(CONFIG), {"JOB_COMPLETION_INDEX": text})


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"[]", b"{}", b'{"says": "x"}', b"\xff", b"GET / HTTP/1.1", b"[" * 16_000),
        b'{"says": "hello", "node": Infinity, "text": "", "code": 0, "token": ""}',
    ],
)
def test_what_is_no_word_is_ignored(line: bytes) -> None:
    assert parse_word(line) is None


def test_who_sends_without_end_keeps_nobody_from_being_heard() -> None:
    class Endless:
        def recv(self, size: int) -> bytes:
            return b"GET /\n" * (size // 6)

    line = _Line(cast("socket.socket", Endless()), 0.0)
    assert line.read(1.0) == []


def test_word_comes_as_it_was_sent() -> None:
    word = Word(Says.FAILED, 1, "rank 1 on pod 1 failed", 4, "token")

    assert parse_word(word.to_line().strip()) == word


def test_stop_of_another_pod_is_an_interruption_and_hides_no_cause() -> None:
    stop = {
        "event": "failed",
        "reason": "Interrupted",
        "message": "pod 1 was asked to end",
        "exit_code": 143,
        "seen": True,
    }
    full = {"event": "failed", "reason": "DiskFull", "message": "full", "exit_code": 6}

    assert decide(143, stop, None, "", 0).message == "pod 1 was asked to end"
    assert more_telling(full, stop) is full
    assert decide(143, stop, Ending.DEADLINE, "late", 0).reason == "DeadlineExceeded"
