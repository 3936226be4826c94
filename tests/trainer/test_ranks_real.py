"""Several ranks: what is told when one of them dies. Real torchrun and gloo; the steps stand for training."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from yolo_crds.conditions import Reason
from yolo_crds.trainer import ExitCode, TrainerConfig
from yolo_trainer.supervise.stop import StopSignal
from yolo_trainer.supervise.supervisor import Supervisor

from .training_process import Volumes, run

pytestmark = [pytest.mark.image, pytest.mark.timeout(120)]

RANK = """
import functools, os, signal, sys
import torch
from torch import distributed

distributed.rendezvous.__globals__["TCPStore"] = functools.partial(distributed.TCPStore, use_libuv=False)
from yolo_trainer import worker

def steps(stage, report, interrupts):
    distributed.init_process_group("gloo")
    gradients = torch.ones(1000)
    for step in range(1_000_000):
        if distributed.get_rank() == 1 and step == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        distributed.all_reduce(gradients)

worker._run = steps
worker.main()
"""


LAUNCHER = """
import functools
import torch.distributed

# Debian's torch is built without libuv, and its launcher asks for it all the same.
torch.distributed.TCPStore = functools.partial(torch.distributed.TCPStore, use_libuv=False)
from torch.distributed.run import main

main()
"""


def test_killed_rank_is_told_as_killed_whatever_the_survivor_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")  # the sandbox has no other, and no names either
    volumes = Volumes(tmp_path)
    assert run(volumes.config(stage="prepare"), tmp_path).process.returncode == 0
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    monkeypatch.setenv("USE_LIBUV", "0")  # read by ranks
    launcher = tmp_path / "launcher.py"
    launcher.write_text(LAUNCHER)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    launch = [sys.executable, str(launcher), "--nproc-per-node", "2"]
    launch += ["--master-addr", "127.0.0.1", "--master-port", port]
    config = TrainerConfig.model_validate(volumes.config(stage="train"))

    code = Supervisor(config, StopSignal(), lambda *_: [*launch, str(script), "train"]).run()

    assert code is ExitCode.WORKER_KILLED
    result = volumes.result()
    assert result.reason is Reason.WORKER_KILLED
    assert "did not say why" in result.message
