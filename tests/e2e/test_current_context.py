"""`CLUSTER=current`: the system on a cluster that is there already, with images given by value."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from cluster import Cluster, buildah_command, images
from cluster.ports import free_port
from demo.client import OldClient
from demo.install import InstallError, System
from demo.system import bring_up_current
from demo.teardown import end_forwarder

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
_TAG = "by-value"
# A second release in a cluster: what is cluster-wide belongs to the first.
_BESIDE = ["crds.enabled=false", "rbac.aggregateRoles=false"]


@pytest.fixture
def current_context(system: System, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user's shell: KUBECONFIG, kubectl on PATH, three images under one tag in the cluster's registry."""
    for reference in images.refs().values():
        named = f"{reference.rpartition(':')[0]}:{_TAG}"
        subprocess.run([*buildah_command(), "tag", reference, named], check=True)
        cluster.load(named)
    monkeypatch.setenv("KUBECONFIG", str(system.kubeconfig))
    monkeypatch.setenv("PATH", f"{system.bin}:{os.environ['PATH']}")
    monkeypatch.setenv("IMAGE_REGISTRY", "registry.local")
    monkeypatch.setenv("IMAGE_TAG", _TAG)
    yield
    end_forwarder()


def test_current_context_gets_the_system(current_context: None) -> None:
    beside = bring_up_current(port=free_port(), namespace="beside", values=_BESIDE)
    with OldClient(beside.url) as client:
        assert client.get("/status")["models"] == {}


def test_current_context_asks_for_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGE_TAG", raising=False)
    with pytest.raises(InstallError, match="IMAGE_REGISTRY and IMAGE_TAG"):
        bring_up_current()
