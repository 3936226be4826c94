"""A real Kubernetes on a bare Linux machine, for the demo and the tests: see `python -m cluster --help`."""

from .cluster import Cluster
from .paths import ClusterError, buildah_command

__all__ = ["Cluster", "ClusterError", "buildah_command"]
