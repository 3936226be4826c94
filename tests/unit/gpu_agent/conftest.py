"""The real nvidia-ml-py on the stub of NVML, and a kubelet's socket."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubelet_socket import Kubelet
from simulated_gpus.fixtures import node
from simulated_gpus.scenario import ScenarioFile
from yolo_gpu_agent.nvml import Nvml
from yolo_gpu_agent.xids import XidListener

__all__ = ["node"]


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
