"""What a cluster shall be: known to every component, and on disk as `cluster.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from .config import node_name
from .files import write_json
from .paths import ClusterError, node_dir, run_dir
from .slots import Addresses


@dataclass(frozen=True)
class Plan:
    """What a cluster shall be, and where its parts lie."""

    name: str
    state: Path
    addresses: Addresses
    nodes: int = 1
    host_port: int | None = None
    grace: int = 40
    labels: tuple[str, ...] = ()
    taints: tuple[str, ...] = ()
    kueue: bool = False
    pods_ready: int | None = None
    binaries: dict[str, Path] = field(default_factory=dict, compare=False)

    @property
    def slot(self) -> int:
        return self.addresses.slot

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def volumes(self) -> Path:
        return self.state / "volumes"

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def bin(self) -> Path:
        return self.state / "bin"

    @property
    def kueue_root(self) -> Path:
        """What Kueue takes for `/`."""
        return self.state / "kueue"

    @property
    def kueue_binary(self) -> Path:
        """Named as its cache entry, so that another build is another command line."""
        return self.kueue_root / self.binaries["kueue"].parent.name

    @property
    def node_names(self) -> list[str]:
        return [node_name(index) for index in range(1, self.nodes + 1)]

    def node_run(self, index: int) -> Path:
        return run_dir(self.slot) / node_name(index)

    def node_root(self, index: int) -> Path:
        return node_dir(self.slot, node_name(index))

    def socket(self, index: int) -> Path:
        return self.node_run(index) / "containerd.sock"

    @classmethod
    def load(cls, state: Path) -> Plan:
        """What was started in `state`; raises ClusterError if nothing was."""
        try:
            stored = json.loads((state / "cluster.json").read_text())
        except (FileNotFoundError, ValueError):
            raise ClusterError(
                f"no cluster {state.name!r} here: start it with `python -m cluster up`"
            ) from None
        addresses = Addresses(stored.pop("slot"), stored.pop("api_only"))
        stored |= {name: tuple(stored.get(name, ())) for name in ("labels", "taints")}
        return cls(state.name, state, addresses, **stored)

    def store(self) -> None:
        """Makes this what the next `load` finds."""
        stored = {
            "slot": self.slot,
            "api_only": self.addresses.api_only,
            "nodes": self.nodes,
            "host_port": self.host_port,
            "grace": self.grace,
            "labels": self.labels,
            "taints": self.taints,
            "kueue": self.kueue,
            "pods_ready": self.pods_ready,
        }
        write_json(self.state / "cluster.json", stored)
