"""`python -m demo.teardown`: end what runs of this checkout, with the standard library alone.

`make clean` must be able to do so when the virtual environment is gone, or is of a Python that is gone.
"""

import sys

from cluster import Cluster, ClusterError
from cluster.paths import REPOSITORY
from cluster.processes import Supervisor
from cluster.progress import say

RELEASE = "yolo"
NAMESPACE = "yolo"
CURRENT = REPOSITORY / ".local" / "current"
FORWARD = "port-forward"


def end_forwarder() -> None:
    """End the way to the façade of the current context, if there is one."""
    Supervisor(CURRENT).stop(FORWARD)


def tear_down() -> None:
    """End every local cluster that was started from this checkout, and the way to a foreign one.

    Raises ClusterError.
    """
    for cluster in Cluster.here():
        cluster.down()
    if CURRENT.exists():
        end_forwarder()
        say(f"  the release on your own cluster stays; to remove it: helm -n {NAMESPACE} uninstall {RELEASE}")
    say("  nothing of ours runs any more; the cache stays (make distclean removes it)")


def main() -> int:
    try:
        tear_down()
    except (ClusterError, PermissionError) as error:
        say(f"error: {error}; nothing more is removed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
