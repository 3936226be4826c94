"""The chart and the helm that renders it."""

import pytest

from chart.rendering import Chart
from cluster.build import binaries


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first chart test may have to build helm, which takes minutes on a machine that never did."""
    for item in items:
        if item.get_closest_marker("chart"):
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def chart() -> Chart:
    """The chart with the helm of the local cluster's cache."""
    return Chart(binaries("helm")["helm"])
