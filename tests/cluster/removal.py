"""Takes a cluster away with all that it has on the machine, whatever state it is in."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from . import device_notes, network, node, slots
from .mounts import detach
from .node import Node
from .paths import run_dir
from .plan import Plan
from .processes import Supervisor, end, marked
from .progress import step
from .slots import Addresses

KEPT = ("logs", "audit.log")  # of the state folder: what somebody may still want to read
_NEEDED = ("cluster.json", "pki/ca.key", "etcd")  # of the state folder: what nothing can be made of again


def remove_cluster(state: Path) -> None:
    """Ends and removes the cluster in `state`, its volumes too, and frees its slot."""
    slot = slots.slot_of(state)
    if slot is None:  # an API server alone whose record went with the cache
        _end_all(state)
    else:
        _remove_everything(state, slot)
        slots.release(slot, state)
    for path in state.iterdir() if state.exists() else ():
        if path.name not in KEPT:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _end_all(state: Path) -> None:
    """By their records first: a process that is just about to run its program shows no environment."""
    supervisor = Supervisor(state)
    for name in supervisor.names():
        supervisor.stop(name)
    end(marked(state))


def sweep_orphans() -> None:
    """Removes clusters whose folder is gone, such as those of a deleted clone."""
    for state in slots.orphans().values():
        with step(f"removing what a cluster in {state}, which is gone, left"):
            remove_cluster(state)


def is_here(state: Path) -> bool:
    """Whether anything tells of a cluster in `state`: a slot's record, its plan, processes with its mark."""
    return slots.slot_of(state) is not None or (state / "cluster.json").exists() or bool(marked(state))


def remove_ruins(state: Path) -> None:
    """Removes a cluster that cannot go on, since its folder, or a part of it, was deleted while it ran."""
    if is_here(state) and not all((state / part).exists() for part in _NEEDED):
        with step(f"removing what is left of a cluster in {state}, of which a part was deleted"):
            remove_cluster(state)


def _remove_everything(state: Path, slot: int) -> None:
    """Ends and removes all that a slot can have: by records where there are any, by its names where not."""
    addresses = Addresses(slot)
    supervisor = Supervisor(state)
    for name in ("forwarder", "kueue", "kube-scheduler", "kube-controller-manager", "kube-apiserver"):
        supervisor.stop(name)
    plan = Plan(state.name, state, addresses)
    names = {name for name in supervisor.names() if "@node-" in name}
    if not names:  # they may have gone with the folder: nobody may start a pod meanwhile
        end(marked(state))
        names = {path.name for path in run_dir(slot).glob("node-*")}
    indices = {int(name.rpartition("-")[2]) for name in names}
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda index: Node(replace(plan, nodes=index), index).stop(), sorted(indices)))
    end(marked(state))
    if os.geteuid() != 0:  # then it was an API server alone, and processes are all that there is
        return
    detach(state)  # small volumes
    node.sweep(slot, f"yolo{slot}n*")
    network.remove(addresses)
    detach(run_dir(slot))
    shutil.rmtree(run_dir(slot), ignore_errors=True)
    device_notes.remove()
