"""The real nvidia-ml-py on the stub, with two GPUs that a test changes as it likes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest

from simulated_gpus.library import STATE_VARIABLE, load_library
from simulated_gpus.scenario import ScenarioFile, build_scenario


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ScenarioFile]:
    """Two GPUs of a node; NVML is not initialised."""
    file = ScenarioFile(tmp_path / "state")
    file.write(build_scenario("node-1", 2))
    before = os.environ.get(STATE_VARIABLE)
    load_library(file.path)
    yield file
    if before is None:
        del os.environ[STATE_VARIABLE]
    else:
        os.environ[STATE_VARIABLE] = before


@pytest.fixture
def nvml(node: ScenarioFile) -> Iterator[ScenarioFile]:
    """The same, and NVML is initialised."""
    pynvml.nvmlInit()
    yield node
    pynvml.nvmlShutdown()
