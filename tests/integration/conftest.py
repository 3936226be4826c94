"""The API server that the tests here share, unless they need one of their own."""

from collections.abc import Iterator

import pytest

from cluster import Cluster
from demo.install import System
from integration.api_server import serve_api
from integration.trainings_api import TrainingsApi

NAME = "test-api"


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """The API server of the cluster `test-api`."""
    with serve_api(NAME) as system:
        yield system


@pytest.fixture(scope="session")
def trainings(system: System) -> Iterator[TrainingsApi]:
    """The same server's YoloTrainings without a process a call."""
    trainings = TrainingsApi(Cluster(NAME))
    yield trainings
    trainings.close()
