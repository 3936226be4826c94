"""Ranks on several nodes: a launcher in each pod, which begin together and end together (ADR 19)."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import signal
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from yolo_crds.conditions import Reason
from yolo_crds.trainer import EXIT_REASONS, RENDEZVOUS_PORT, ExitCode

from ..errors import TrainerError
from ..node import Node
from ..process.report import Report
from . import ranks
from .peers import Peers, Says, Word
from .ranks import Ranks, rank_environment

_HEARING_SECONDS = 5.0
"""So long a pod whose ranks merely lost others, or stopped with them, waits for the word of who knows why."""
_FOLLOWED = frozenset({ExitCode.PEER_LOST, ExitCode.INTERRUPTED})
"""How a rank ends because of another one."""
_SIOCGIFADDR = 0x8915
_IF_INET6 = Path("/proc/net/if_inet6")


def node_environment(node: Node, rank: int, count: int, port: int = RENDEZVOUS_PORT) -> dict[str, str]:
    """As `rank_environment`, for local rank `rank` of `count` in this pod."""
    interface = interface_of(node.address)
    named = {name: interface for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME") if interface}
    environment = rank_environment(rank, count, port)
    del environment["GLOO_SOCKET_IFNAME"]
    return {
        **environment,
        "RANK": str(node.index * count + rank),
        "WORLD_SIZE": str(node.count * count),
        "GROUP_RANK": str(node.index),
        "GROUP_WORLD_SIZE": str(node.count),
        # The first pod need not wait for its own name.
        "MASTER_ADDR": (node.leads and node.address) or node.rendezvous,
        **{name: os.environ.get(name, value) for name, value in named.items()},
    }


def interface_of(address: str) -> str | None:
    """Name of the network interface that has this IPv4 or IPv6 address; None when that is not to be found."""
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        return None
    if wanted.is_loopback:
        return "lo"
    if wanted.version == 6:
        return _interface_of_6(wanted.packed.hex())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                found = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # it has none
            if found[20:24] == wanted.packed:
                return name
    return None


def _interface_of_6(digits: str) -> str | None:
    try:
        rows = [line.split() for line in _IF_INET6.read_text(encoding="ascii").splitlines()]
    except OSError:
        return None
    return next((row[-1] for row in rows if row[0] == digits), None)


class NodeRanks(Ranks):
    """The workers in one pod of several."""

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        report: Report,
        node: Node,
        peers: Peers,
        port: int = RENDEZVOUS_PORT,
    ) -> None:
        """`port` is that of rank 0's store."""
        super().__init__(command, count, report)
        self._node = node
        self._peers = peers
        self._port = port
        self._own: int | None = None
        """Exit code of a rank here that failed by a cause of its own."""
        self._stopping = False
        self._hangs = False
        self._gpu_failed = False
        self._heard: Word | None = None
        """How it ended elsewhere."""
        self._has_said_left = False
        self._ended_at: float | None = None

    def run(self) -> int:
        """Waits for the other pods, starts the ranks, and waits until it is known how all have ended.

        The exit code: 0 when rank 0 ended well, that of a rank here with a cause of its own, INTERRUPTED
        after a stop of any pod, else PEER_LOST.
        """
        try:
            return self._run()
        except TrainerError as error:
            self._report.failed(error)
            return error.exit_code

    def give_up(self, number: int = 0, frame: FrameType | None = None) -> None:
        """The ranks hang: all end, and the other pods are told why; as a signal's handler, too."""
        del number, frame
        self._hangs = True

    def gpu_failed(self, number: int = 0, frame: FrameType | None = None) -> None:
        """The first pod is told that a GPU of this one has failed; as a signal's handler, too."""
        del number, frame
        self._gpu_failed = True

    def _run(self) -> int:
        with self._peers as peers:
            while not self._is_over(now := time.monotonic()):
                for word in peers.hear(now):
                    self._take(word, now)
                if peers.have_met and not self._processes and not self._leaving:
                    environments = [
                        node_environment(self._node, rank, self._count, self._port)
                        for rank in range(self._count)
                    ]
                    self._start(environments)
                if self._stop_wanted and not self._stopping:
                    self._stopping = True
                    peers.say(Says.STOP)
                if self._gpu_failed and peers.have_met:
                    self._gpu_failed = False
                    text = f"a GPU of pod {self._node.index} has failed; the log of that pod names it"
                    peers.say(Says.GPU_FAILED, text)
                if self._hangs and self._own is None:
                    self._own = ExitCode.HUNG
                    peers.say(Says.FAILED, f"pod {self._node.index} has seen no progress, and gave up")
                    self._leave(float("inf"))
                self._end_together(now)
                self._say_left()
                time.sleep(ranks._POLL_SECONDS)
        return self._code()

    def _is_over(self, now: float) -> bool:
        if any(process.poll() is None for process in self._processes):
            return False
        if not self._processes:
            return self._leaving
        self._end_together(now)
        self._say_left()
        if self._ended_at is None:
            self._ended_at = now
        if self._own is not None or self._heard is not None:
            return True
        first = self._first if self._first is None else self._processes[self._first].returncode
        if first in _FOLLOWED and not self._stopping:
            return now - self._ended_at >= _HEARING_SECONDS
        # The first pod alone saves and publishes: until it has, this one's end of the connections stays.
        return self._node.leads

    def _end_together(self, now: float) -> None:
        if self._processes:
            super()._end_together(now)
        elif self._stop_wanted:
            self._leaving = True

    def _others_end_with(self, code: int | None) -> bool:
        return self._node.leads and super()._others_end_with(code)

    def _name(self, rank: int) -> str:
        return f"rank {self._node.index * self._count + rank}"

    def _tell(self, rank: int, code: int) -> None:
        super()._tell(rank, code)
        if code in _FOLLOWED:
            return
        self._own = code if code > 0 else 128 - code
        if code < 0:
            how = f"was killed by signal {-code} ({signal.Signals(-code).name})"
        else:
            reason = EXIT_REASONS.get(ExitCode(code)) if code in list(ExitCode) else None
            how = f"failed ({reason or f'exit code {code}'})"
        self._peers.say(Says.FAILED, f"{self._name(rank)} on pod {self._node.index} {how}")

    def _take(self, word: Word, now: float) -> None:
        if word.says is Says.GPU_FAILED:
            if self._node.leads:
                self._report.gpu_failed(word.text)
            return
        if word.says is Says.STOP:
            self._stop_wanted = self._stopping = True
            if self._own is None and self._heard is None:
                self._fail(Reason.INTERRUPTED, f"pod {word.node} was asked to end", ExitCode.INTERRUPTED)
            return
        if self._heard is None:
            self._heard = word
            if word.says is not Says.LEFT and self._own is None and not self._stopping:
                self._fail(Reason.PEER_LOST, word.text, ExitCode.PEER_LOST)
        if word.says is Says.LEFT:
            self._leave(now + ranks._LEAVING_SECONDS)
        elif not (self._stopping and self._node.leads):  # else rank 0 is saving, and needs nobody for that
            self._leave(now + ranks._FAILED_SECONDS)

    def _fail(self, reason: Reason, message: str, code: ExitCode) -> None:
        self._report.failed(TrainerError(reason, message, exit_code=code), seen=True)

    def _say_left(self) -> None:
        if not self._node.leads or self._has_said_left or not self._processes:
            return
        code = self._processes[0].returncode
        if code == 0 or (code is not None and self._stopping):
            self._has_said_left = True
            self._peers.say(Says.LEFT, code=code)

    def _code(self) -> int:
        first = self._processes[0].returncode if self._processes and self._node.leads else None
        if first == 0 or (self._heard and self._heard.says is Says.LEFT and self._heard.code == 0):
            return 0
        if self._own is not None:
            return self._own
        if self._stopping:
            return first if first and first > 0 and first != ExitCode.PEER_LOST else ExitCode.INTERRUPTED
        return ExitCode.PEER_LOST
