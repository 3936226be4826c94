"""A real API server without nodes, with the CRD: for all that needs no pod. It is up in seconds."""

from collections.abc import Iterator
from contextlib import contextmanager

from cluster import Cluster
from demo.install import ROOT, System


@contextmanager
def serve_api(name: str, *, kueue: bool = False) -> Iterator[System]:
    """The API server of a fresh cluster `name`; nothing is installed but the CRD, and Kueue if wanted."""
    cluster = Cluster(name)
    cluster.down()
    cluster.up(api_only=True, kueue=kueue)
    system = System(cluster.kubeconfig, cluster.bin, "default", "none", url="")
    system.kubectl("apply", "-f", str(ROOT / "crds" / "yolotrainings.yaml"))
    system.kubectl("wait", "--for=condition=Established", "crd/yolotrainings.yolo.training", "--timeout=30s")
    yield system
    cluster.down()
