"""One installed system for all end-to-end tests, on a local Kubernetes of their own beside a demo's."""

import os
import re
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from cluster import Cluster
from cluster.ports import free_port
from demo.client import OldClient
from demo.digits import make_pictures, write_ucd, write_yolo_folder
from demo.install import ROOT, System
from demo.system import bring_up
from e2e.audited import Audit

NAME = os.environ.get("YOLO_TEST_CLUSTER", "test")
"""Another name lets two checkouts of this repository test side by side."""
UID = 1_000_680_000
"""Of all pods, as OpenShift chooses users: no image's /etc/passwd knows it. The volumes are its group's."""
_DUMPS = ROOT / ".local" / "failed" / NAME


def pytest_sessionstart() -> None:
    """What an earlier run left of its failures goes."""
    shutil.rmtree(_DUMPS, ignore_errors=True)


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """The chart installed on the cluster `NAME`, with small data sets on the data volume."""
    Cluster(NAME).down()
    system = bring_up(NAME, port=free_port(), values=[f"podSecurity.runAsUser={UID}"])
    with tempfile.TemporaryDirectory() as folder:
        train, val = list(make_pictures("train", 16)), list(make_pictures("val", 8))
        write_ucd(Path(folder), "digits-small", train)
        write_ucd(Path(folder), "digits-small-val", val)
        write_ucd(Path(folder), "digits-train", train)
        write_ucd(Path(folder), "digits-val", val)
        write_yolo_folder(Path(folder), "digits", {"train": train, "val": val})
        system.put_folder(Path(folder))
    yield system
    Cluster(NAME).down()


@pytest.fixture(scope="session")
def cluster(system: System) -> Cluster:
    """The cluster that the system runs on."""
    return Cluster(NAME)


@pytest.fixture
def client(system: System) -> Iterator[OldClient]:
    """An old client of the façade."""
    with OldClient(system.url) as client:
        yield client


@pytest.fixture
def audit(cluster: Cluster) -> Audit:
    """Reader of the audit log."""
    return Audit(cluster.audit_log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failing test leaves logs, events and objects in one folder, and its path in the report."""
    report = yield
    if report.failed and "system" in getattr(item, "fixturenames", ()):
        folder = _DUMPS / re.sub(r"[^\w.-]+", "_", item.name)
        own = getattr(getattr(item, "module", None), "NAME", NAME)  # of a module with a cluster of its own
        Cluster(own).dump(folder)
        report.sections.append(("logs, events and objects", str(folder)))
    return report
