"""The GPU agent's process beside the real driver, held against nvidia-smi."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.training_process import Training, Volumes
from yolo_crds.gpus import Health, NodeReport

from . import smi
from .conftest import Card

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(300)]

NEAR_MIB = 64
"""Between two looks at a GPU that nobody else uses, and two ways to round."""


@pytest.fixture
def agent(real_card: Card, tmp_path: Path) -> Iterator[str]:
    """The base URL of an agent on a machine without a kubelet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings = {
        "YOLO_GPU_AGENT_NODE": "here",
        "YOLO_GPU_AGENT_HOST": "127.0.0.1",
        "YOLO_GPU_AGENT_PORT": str(port),
        "YOLO_GPU_AGENT_POD_RESOURCES_SOCKET": str(tmp_path / "no-kubelet.sock"),
    }
    with subprocess.Popen([sys.executable, "-m", "yolo_gpu_agent"], env=os.environ | settings) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _get(url: str) -> str:
    """The answer, once there is one."""
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _report(agent: str) -> NodeReport:
    return NodeReport.model_validate(json.loads(_get(f"{agent}/gpus")))


def test_the_agent_tells_what_nvidia_smi_tells(agent: str) -> None:
    report, cards = _report(agent), smi.ask_cards()
    assert [(gpu.index, gpu.uuid, gpu.name) for gpu in report.gpus] == [
        (card.index, card.uuid, card.name) for card in cards
    ]
    for gpu, card in zip(report.gpus, cards, strict=True):
        assert gpu.health == Health.OK
        assert gpu.memory_total is not None
        assert gpu.memory_used is not None
        assert abs((gpu.memory_total >> 20) - card.memory_total) <= NEAR_MIB
        assert abs((gpu.memory_used >> 20) - card.memory_used) <= NEAR_MIB
        assert gpu.temperature is not None
        assert gpu.power_draw is not None
        assert gpu.utilization is not None or gpu.mig_enabled
        assert gpu.processes is not None
    assert report.driver_version


def test_metrics_have_every_card(agent: str) -> None:
    _report(agent)
    metrics = _get(f"{agent}/metrics")
    for card in smi.ask_cards():
        assert any(
            line.startswith("DCGM_FI_DEV_FB_USED") and card.uuid in line for line in metrics.splitlines()
        )


def test_both_trainings_on_a_gpu_are_seen(agent: str, tmp_path: Path, real_card: Card) -> None:
    pytest.importorskip("ultralytics")
    running = []
    try:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            volumes = Volumes(tmp_path / name)
            wanted = volumes.config({"epochs": 500, "resources": real_card.resources})
            running.append(Training(wanted, tmp_path / name, pinned=False))
        end = time.monotonic() + 30
        while True:
            seen = {(gpu.uuid, process.pid) for gpu in _report(agent).gpus for process in gpu.processes or ()}
            told = smi.ask_processes()
            if len(seen) >= 2 and seen == told:
                break
            assert time.monotonic() < end, f"the agent tells {seen}, nvidia-smi {told}"
            time.sleep(0.5)
    finally:
        for training in running:
            training.stop()
            training.end()
