"""The real nvidia-ml-py on the stub of NVML, and a kubelet's socket."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubelet_socket import Kubelet
from simulated_gpus.library import STATE_VARIABLE, load_library
from simulated_gpus.scenario import ScenarioFile, build_scenario
from yolo_gpu_agent.nvml import Nvml
from yolo_gpu_agent.xids import XidListener


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScenarioFile:
    """A node with two GPUs, which a test changes as it likes."""
    file = ScenarioFile(tmp_path / "state")
    file.write(build_scenario("node-1", 2))
    monkeypatch.setenv(STATE_VARIABLE, os.fspath(file.path))
    load_library(file.path)
    return file


@pytest.fixture
def nvml(node: ScenarioFile) -> Iterator[Nvml]:
    nvml = Nvml(XidListener())
    yield nvml
    nvml.close()


@pytest.fixture
def kubelet() -> Iterator[Kubelet]:
    """Its socket's path must be short: a Unix socket's has at most 107 bytes."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, Kubelet(Path(folder) / "kubelet.sock") as kubelet:
        yield kubelet
