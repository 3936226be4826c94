"""A real API server without nodes, with the CRD: for all that needs no pod. It is up in seconds."""

from collections.abc import Iterator

import pytest

from cluster import Cluster
from demo.install import ROOT, System
from integration.trainings_api import TrainingsApi

NAME = "test-api"


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """The API server of the cluster `test-api`; nothing is installed but the CRD."""
    cluster = Cluster(NAME)
    cluster.down()
    cluster.up(api_only=True)
    system = System(cluster.kubeconfig, cluster.bin, "default", "none", url="")
    system.kubectl("apply", "-f", str(ROOT / "crds" / "yolotrainings.yaml"))
    system.kubectl("wait", "--for=condition=Established", "crd/yolotrainings.yolo.training", "--timeout=30s")
    yield system
    cluster.down()


@pytest.fixture(scope="session")
def trainings(system: System) -> Iterator[TrainingsApi]:
    """The same server's YoloTrainings without a process a call."""
    trainings = TrainingsApi(Cluster(NAME))
    yield trainings
    trainings.close()
