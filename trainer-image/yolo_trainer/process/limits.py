"""The CPUs that a child process may believe in."""

from __future__ import annotations

import os

from ..cgroup import threads


def limit_cpus(cpus: int) -> None:
    """Lets this process believe in `cpus` CPUs, and its share of them in threads; before torch is imported.

    Ultralytics sizes its pools by os.cpu_count, which counts the node's CPUs and not the pod's, and divides
    data-loader processes by the GPUs by itself. OpenMP reads its variable when it is loaded.
    """
    os.cpu_count = lambda: cpus
    os.environ["OMP_NUM_THREADS"] = str(threads())
