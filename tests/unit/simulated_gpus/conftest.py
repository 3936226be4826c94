"""The real nvidia-ml-py on the stub, with two GPUs that a test changes as it likes."""

from collections.abc import Iterator

import pynvml
import pytest

from simulated_gpus.fixtures import node
from simulated_gpus.scenario import ScenarioFile

__all__ = ["node"]


@pytest.fixture
def nvml(node: ScenarioFile) -> Iterator[ScenarioFile]:
    """The same, and NVML is initialised."""
    pynvml.nvmlInit()
    yield node
    pynvml.nvmlShutdown()
