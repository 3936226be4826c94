"""Trainings on two nodes: two supervisors of this process, each with launcher, ranks and volume of its own.

Also the launcher of such a pod: `python -m tests.trainer.nodes INDEX …`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from yolo_crds.meta import CPU_REQUEST_ENV, Stage
from yolo_crds.trainer import ExitCode, Result, TrainerConfig, parse_result
from yolo_trainer.node import Node
from yolo_trainer.process.report import Report
from yolo_trainer.supervise.child import GIVE_UP, GPU_FAILED
from yolo_trainer.supervise.nodes import NodeRanks
from yolo_trainer.supervise.peers import Peers
from yolo_trainer.supervise.stop import StopSignal
from yolo_trainer.supervise.supervisor import Supervisor

from .ranked import FAULT_ENV, RECORD_ENV, Fault
from .training_process import Volumes

NODES = 2
SILENT_SECONDS = 4.0


@dataclass
class Ended:
    """How the pods of an attempt ended, by index."""

    codes: dict[int, ExitCode] = field(default_factory=dict)
    results: dict[int, Result | None] = field(default_factory=dict)
    ended_at: dict[int, float] = field(default_factory=dict)
    fault_at: float = 0.0
    follower_wrote: list[tuple[str, int]] = field(default_factory=list)
    """What changed on the second pod's run volume."""

    def seconds(self, index: int) -> float:
        """From the fault to the end of a pod."""
        return self.ended_at[index] - self.fault_at


def train_on_nodes(
    volumes: Volumes,
    folder: Path,
    template: dict[str, Any],
    fault: Fault | None = None,
    *,
    stops: tuple[int, ...] = (),
    freezes: int | None = None,
    **fields: Any,
) -> Ended:
    """Prepares one attempt and trains it to its end, one rank a pod.

    When the fault happens the pods `stops` get SIGTERM, and of the pod `freezes` all processes halt.
    The second pod's run volume is one as it was after prepare, without any state: as a cache might show it.
    """
    marker = folder / "fault-happens"
    marker.unlink(missing_ok=True)
    resources = {"resources": {"gpus": 1, "nodes": NODES}}
    wire = volumes.config(template | resources, rendezvous="127.0.0.1", **fields)
    environment = {
        "YOLO_STAND_IN_GPUS": "cpu",
        "JOB_COMPLETION_INDEX": "0",
        CPU_REQUEST_ENV: "1",  # threads of a rank: sums are rounded by their number
        RECORD_ENV: str(folder / f"batches-{fields.get('attempt', 1)}.jsonl"),
        FAULT_ENV: json.dumps({**asdict(fault), "marker": str(marker)}) if fault else "",
    }
    ended, over = Ended(), threading.Event()
    ports = _free_port(), _free_port()
    # As PID 1 of the test's container a supervisor would take the other one's launcher for an orphan.
    no_orphans = mock.patch("yolo_trainer.supervise.supervisor.reap_orphans")
    with mock.patch.dict(os.environ, environment), no_orphans:
        prepare = TrainerConfig.model_validate({**wire, "stage": "prepare"})
        assert Supervisor(prepare, StopSignal()).run() is ExitCode.DONE
        stale = folder / f"stale-{fields.get('attempt', 1)}"
        shutil.copytree(volumes.runs, stale, symlinks=True)
        for state in stale.rglob("*.pt"):
            state.unlink()
        before = files(stale)
        stop_signals = [StopSignal() for _ in range(NODES)]
        supervisors = []
        for index in range(NODES):
            runs = stale if index else volumes.runs
            config = TrainerConfig.model_validate({**wire, "stage": "train", "runsDir": str(runs)})
            log = folder / f"termination-{index}"
            log.write_text("")
            node = Node(index, NODES, "127.0.0.1", "127.0.0.1", f"a{config.attempt}")
            command = _command(index, *ports, node.token)
            supervisors.append(Supervisor(config, stop_signals[index], command, log, node))

        def run(index: int) -> None:
            ended.codes[index] = supervisors[index].run()
            ended.ended_at[index] = time.monotonic()
            ended.results[index] = parse_result((folder / f"termination-{index}").read_text())
            if index != freezes and freezes is not None:
                _signal(supervisors[freezes], signal.SIGCONT)

        def follow() -> None:
            while not over.wait(0.01):
                if marker.exists():
                    ended.fault_at = time.monotonic()
                    for index in stops:
                        stop_signals[index].number = signal.SIGTERM
                    if freezes is not None:
                        _signal(supervisors[freezes], signal.SIGSTOP)
                    return

        threads = [threading.Thread(target=run, args=(index,)) for index in range(NODES)]
        watcher = threading.Thread(target=follow)
        for thread in (*threads, watcher):
            thread.start()
        for thread in threads:
            thread.join()
        over.set()
        watcher.join()
    ended.follower_wrote = sorted({*files(stale).items()} ^ {*before.items()})
    return ended


def files(folder: Path) -> dict[str, int]:
    """All that is in a folder, with times of change in ns."""
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def _signal(supervisor: Supervisor, number: int) -> None:
    for pid in supervisor._workers.pids:
        os.killpg(pid, number)


def _command(index: int, store: int, control: int, token: str) -> Any:
    def command(stage: Stage, config: TrainerConfig) -> list[str]:
        del stage, config
        arguments = map(str, (index, store, control, token))
        return [sys.executable, "-m", "tests.trainer.nodes", *arguments]

    return command


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _launch(index: str, store: str, control: str, token: str) -> int:
    work = [sys.executable, "-m", "tests.trainer.ranked", "work"]
    node = Node(int(index), NODES, "127.0.0.1", "127.0.0.1", token)
    peers = Peers(node, int(control), print, silent_seconds=SILENT_SECONDS)
    ranks = NodeRanks(work, 1, Report.from_environment(), node, peers, int(store))
    signal.signal(signal.SIGTERM, ranks.stop)
    signal.signal(GIVE_UP, ranks.give_up)
    signal.signal(GPU_FAILED, ranks.gpu_failed)
    return ranks.run()


if __name__ == "__main__":
    sys.exit(_launch(*sys.argv[1:]))
