"""Pods that the kubelet evicts for what they themselves write, and so would evict again and again.

The words are those of Kubernetes 1.36 (`localStorageEviction` in pkg/kubelet/eviction/eviction_manager.go and
the messages in its helpers.go). A pod that goes since its node runs short is another matter (`Evicted`).
"""

import re

from yolo_crds.conditions import Reason

_VOLUME = re.compile(r'Usage of EmptyDir volume "([^"]+)" exceeds the limit')
_EPHEMERAL = re.compile(
    r"exceeded its local ephemeral storage limit|ephemeral local storage usage exceeds the total limit"
)
_CHANGED = "and raise spec.run"
_LESS_CACHE = f"set spec.template.cache to none {_CHANGED}"


def explain_eviction(message: str) -> tuple[Reason, str | None] | None:
    """Reason and, where the reason's own does not do, hint for a pod that passed a limit of its own.

    None for any other eviction, which is not the training's fault.
    """
    if found := _VOLUME.search(message):
        if found[1] == "shm":
            return Reason.SHARED_MEMORY_EXHAUSTED, None
        if found[1] == "cache":
            return (
                Reason.DISK_FULL,
                f"raise spec.template.resources.cacheStorage {_CHANGED}, or {_LESS_CACHE}",
            )
        return Reason.DISK_FULL, f"whoever added the volume {found[1]} to the pod must give it more room"
    if _EPHEMERAL.search(message):
        return (
            Reason.DISK_FULL,
            "the pod itself states no such limit: have the LimitRange of the namespace that gives it one "
            f"(ephemeral-storage) raised, or {_LESS_CACHE}",
        )
    return None
