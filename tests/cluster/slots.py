"""Slots: a small number for each cluster of this machine, from which its subnets, ports and names follow."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import paths
from .files import write_text
from .locks import locked
from .paths import ClusterError, cache_dir, run_dir
from .ports import is_free

SLOTS = 40
_NOTE = "state"


@dataclass(frozen=True)
class Addresses:
    """Everything of a cluster that could clash with another's, as a function of its slot."""

    slot: int
    api_only: bool = False

    @property
    def bridge(self) -> str:
        return f"yolo{self.slot}"

    @property
    def host(self) -> str:
        """The host's address on the bridge: the API server and the registry listen there."""
        return "127.0.0.1" if self.api_only else f"172.30.{self.slot}.1"

    @property
    def host_network(self) -> str:
        return f"172.30.{self.slot}.0/24"

    @property
    def pods(self) -> str:
        return f"10.{100 + self.slot}.0.0/16"

    @property
    def services(self) -> str:
        return f"10.{150 + self.slot}.0.0/16"

    def service(self, number: int) -> str:
        """A fixed ClusterIP: 1 is the API server's, 10 the DNS server's."""
        return f"10.{150 + self.slot}.0.{number}"

    def node_address(self, index: int) -> str:
        return f"172.30.{self.slot}.{10 + index}"

    def node_pods(self, index: int) -> str:
        return f"10.{100 + self.slot}.{index}.0/24"

    def netns(self, index: int) -> str:
        return f"yolo{self.slot}n{index}"

    def veth(self, index: int) -> str:
        return f"yolo{self.slot}v{index}"

    def cgroup(self, index: int) -> str:
        return f"yolo{self.slot}n{index}"

    def port(self, component: str) -> int:
        """A loopback port on the host; below the kernel's range of outgoing ports."""
        return 21000 + 20 * self.slot + PORTS.index(component)

    @property
    def api(self) -> str:
        return f"https://{self.host}:{self.port('kube-apiserver') if self.api_only else 6443}"

    @property
    def registry_push(self) -> str:
        """The registry as seen from the host."""
        return f"127.0.0.1:{self.port('registry')}"

    @property
    def registry_pull(self) -> str:
        """The same registry as seen from the nodes."""
        return f"{self.host}:5000"


PORTS = [
    "etcd",
    "etcd-peer",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "registry",
    "kueue-webhook",
    "kueue-visibility",
    "kueue-metrics",
    "kueue-health",
]


def allocate(state: Path) -> int:
    """The slot of the cluster in `state`: the one that it has, else the lowest free one."""
    slots = _folder()
    with locked(slots / "lock"):
        taken = owners()
        for slot, owner in taken.items():
            if owner == str(state):
                return slot
        for slot in range(SLOTS):
            if slot not in taken and _unused(slot):
                aside = slots / "new.tmp"
                aside.write_text(json.dumps({"state": str(state)}))
                aside.replace(slots / f"{slot}.json")
                return slot
    raise ClusterError(
        f"all {SLOTS} slots are taken: see {slots}, and end clusters with `python -m cluster down`"
    )


def release(slot: int, state: Path) -> None:
    """Frees the slot if it is that cluster's."""
    slots = _folder()
    with locked(slots / "lock"):
        if owners().get(slot) == str(state):
            for record in (slots / f"{slot}.json", run_dir(slot) / _NOTE):
                record.unlink(missing_ok=True)


def slot_of(state: Path) -> int | None:
    """The slot that the cluster in `state` holds, if any."""
    return next((slot for slot, owner in owners().items() if owner == str(state)), None)


def orphans() -> dict[int, Path]:
    """Slots whose cluster's folder is gone (a deleted clone): their remains may be swept away."""
    return {slot: Path(owner) for slot, owner in owners().items() if not Path(owner).exists()}


def note_owner(slot: int, state: Path) -> None:
    """Says beside the running cluster's sockets too whose they are, should the cache be lost meanwhile."""
    write_text(run_dir(slot) / _NOTE, str(state))


def owners() -> dict[int, str]:
    """Slot -> state folder of the cluster of this user that holds it."""
    found = {}
    for note in paths.RUN.glob(f"[0-9]*/{_NOTE}"):
        with suppress(FileNotFoundError):  # its cluster ends just now
            if note.stat().st_uid == os.getuid():
                found[int(note.parent.name)] = note.read_text()
    for path in _folder().glob("*.json"):
        try:
            found[int(path.stem)] = str(json.loads(path.read_text())["state"])
        except (ValueError, KeyError, FileNotFoundError):
            continue
    return found


def _folder() -> Path:
    return cache_dir() / "slots"


def _unused(slot: int) -> bool:
    """Whether nobody else, such as another user's cluster, sits on the slot's names and ports."""
    addresses = Addresses(slot)
    if Path(f"/sys/class/net/{addresses.bridge}").exists():
        return False
    return all(is_free(addresses.port(component)) for component in PORTS)
