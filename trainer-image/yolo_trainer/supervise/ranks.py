"""`python -m yolo_trainer.supervise.ranks N STAGE`: a worker a GPU; they begin together and end together.

It gives the workers what torch's own launcher would, and sees each one's end by itself (ADR 19).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from yolo_crds.config_env import join_config
from yolo_crds.trainer import RENDEZVOUS_PORT

from ..config import parse_config
from ..node import Node
from ..process.report import Report
from .child import GIVE_UP, GPU_FAILED
from .outcome import error_of_killed

_POLL_SECONDS = 0.05
_FAILED_SECONDS = 5.0
"""So long the others have to leave when one has failed: they may hang in a collective that never ends."""
_LEAVING_SECONDS = 2.0
"""And so long when the first rank has left: it alone saves and publishes, nobody waits for the others."""


def rank_environment(rank: int, ranks: int, port: int) -> dict[str, str]:
    """What torch and Ultralytics read: who this worker is, and where rank 0 listens."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        # Debian's torch has none; for the few ranks of a pod either store will do.
        "USE_LIBUV": "0",
        # Else gloo asks for the address of the host's name, which a pod without a network does not have.
        "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo"),
    }


class Ranks:
    """The workers of one training on one node."""

    def __init__(self, command: Sequence[str], count: int, report: Report) -> None:
        self._command = command
        self._count = count
        self._report = report
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stop_wanted = False
        self._leaving = False
        self._first: int | None = None
        """The rank that failed first."""
        self._kill_at = float("inf")

    def stop(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Asks all ranks to end; as a signal's handler, too."""
        del number, frame
        self._stop_wanted = True

    def give_up(self, number: int = 0, frame: FrameType | None = None) -> None:
        """They hang: they are asked to end like that; as a signal's handler, too."""
        self.stop(number, frame)

    def gpu_failed(self, number: int = 0, frame: FrameType | None = None) -> None:
        """A GPU of this pod has failed, which there is no other pod to tell; as a signal's handler, too."""

    def run(self) -> int:
        """Starts the ranks and waits for all; the exit code of rank 0 if that is 0, else of the first that
        failed.
        """
        port = _free_port()
        self._start([rank_environment(rank, self._count, port) for rank in range(self._count)])
        while any(process.poll() is None for process in self._processes):
            self._end_together(time.monotonic())
            time.sleep(_POLL_SECONDS)
        self._end_together(time.monotonic())
        if self._first is None or self._processes[0].returncode == 0:
            return 0
        code = int(self._processes[self._first].returncode)
        return code if code > 0 else 128 - code

    def _start(self, environments: Sequence[Mapping[str, str]]) -> None:
        for environment in environments:
            self._processes.append(subprocess.Popen(self._command, env={**os.environ, **environment}))

    def _end_together(self, now: float) -> None:
        if self._stop_wanted and not self._leaving:
            self._leave(float("inf"))
        codes = [process.poll() for process in self._processes]
        failed = [rank for rank, code in enumerate(codes) if code]
        if failed and self._first is None:
            # Seen in one look: who was killed is why the others lost the connection.
            self._first = min(failed, key=lambda rank: int(codes[rank] or 0))
            if not self._leaving:
                self._tell(self._first, int(codes[self._first] or 0))
                self._leave(now + _FAILED_SECONDS)
        if self._others_end_with(codes[0]):
            self._kill_at = min(self._kill_at, now + _LEAVING_SECONDS)
        if now >= self._kill_at:
            self._signal(signal.SIGKILL)

    def _others_end_with(self, code: int | None) -> bool:
        """Whether the first process here, with this exit code, is one that nobody stays on after."""
        return code is not None

    def _name(self, rank: int) -> str:
        return f"rank {rank}"

    def _tell(self, rank: int, code: int) -> None:
        """Of a rank that was killed; one that ended by itself has told why."""
        if code < 0:
            self._report.failed(error_of_killed(-code, self._name(rank)), seen=True)

    def _leave(self, kill_at: float) -> None:
        self._leaving = True
        self._kill_at = min(self._kill_at, kill_at)
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _make_ranks(command: Sequence[str], count: int) -> Ranks:
    text = join_config(os.environ)
    node = Node.of(parse_config(text)) if text else Node()
    report = Report.from_environment()
    if node.count == 1:
        return Ranks(command, count, report)
    # Here and not above: it builds on this module.
    from .nodes import NodeRanks
    from .peers import Peers

    def tell(text: str) -> None:
        print(text, flush=True)

    return NodeRanks(command, count, report, node, Peers(node, RENDEZVOUS_PORT + 1, tell))


def main() -> int:
    """The exit code of the stage."""
    count, *arguments = sys.argv[1:]
    command = [sys.executable, "-m", "yolo_trainer.worker", *arguments]
    ranks = _make_ranks(command, int(count))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ranks.stop)
    signal.signal(GIVE_UP, ranks.give_up)
    signal.signal(GPU_FAILED, ranks.gpu_failed)
    return ranks.run()


if __name__ == "__main__":
    sys.exit(main())
