"""The CPUs that a child process may believe in."""

from __future__ import annotations

import os


def limit_cpus(cpus: int) -> None:
    """Lets this process believe in `cpus` CPUs: Ultralytics sizes thread and loader pools by os.cpu_count,
    which counts the node's and not the pod's.
    """
    os.cpu_count = lambda: cpus
