"""What tests of one process start from: the real nvidia-ml-py on the stub of NVML."""

import os
from pathlib import Path

import pytest

from .library import STATE_VARIABLE, load_library
from .scenario import ScenarioFile, build_scenario


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScenarioFile:
    """A node with two GPUs, which a test changes as it likes; NVML is not initialised."""
    file = ScenarioFile(tmp_path / "state")
    file.write(build_scenario("node-1", 2))
    monkeypatch.setenv(STATE_VARIABLE, os.fspath(file.path))
    load_library(file.path)
    return file
