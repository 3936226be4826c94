"""What of clusters is on this machine: to be listed before and after, since nothing may stay."""

import re
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from cluster import cgroups, device_notes, processes, slots
from cluster.paths import node_dir, run_dir

# Names that follow from a slot: interfaces, namespaces, chains and cgroups; folders; addresses.
_OF_SLOT = re.compile(
    r"\byolo(\d+)(?:[nv]\d+)?\b"
    rf"|{run_dir(0).parent}/(\d+)\b|{node_dir(0, '').parent}/(\d+)\b"
    r"|\b172\.30\.(\d+)\.\d"
)
_OF_SERVICES = re.compile(r"KUBE-|CNI-|yolo", re.IGNORECASE)
_SHIM_SOCKETS = Path("/run/containerd/s")


def listing(state: Path) -> list[str]:
    """Everything outside its state folder that the cluster in `state`, or nobody who runs, has here."""
    known = slots.owners()
    lines = [f"{kind}: {line}" for kind, look in _KINDS.items() for line in look()]
    # Who came meanwhile is on record before he has anything, who went has nothing when his record goes.
    others = {slot: owner for slot, owner in {**slots.owners(), **known}.items() if owner != str(state)}
    lines = [line for line in lines if not (of := _slots_in(line)) or of - others.keys()]
    lines = [line for line in lines if not any(f"{owner}/" in line for owner in others.values())]
    lines += [f"process: {' '.join(processes.command_line(pid))}" for pid in processes.marked(state)]
    return sorted(lines)


def left_since(before: list[str], state: Path, *, seconds: float = 5.0) -> list[str]:
    """What the listing has more than `before`, for so long: what others just start or end is let pass."""
    deadline = time.monotonic() + seconds
    while (new := Counter(listing(state)) - Counter(before)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return sorted(new.elements())


def _slots_in(line: str) -> set[int]:
    return {int(number) for match in _OF_SLOT.finditer(line) for number in match.groups() if number}


def _lines(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _shims() -> Iterable[str]:
    for entry in Path("/proc").glob("[0-9]*"):
        line = processes.command_line(int(entry.name))
        if line and line[0].endswith("containerd-shim-runc-v2") and _slots_in(" ".join(line)):
            yield " ".join(line)


def _dead_shim_sockets() -> Iterable[str]:
    """Sockets of shims lie in one folder of the machine, without a name in them."""
    for path in _SHIM_SOCKETS.glob("*"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                yield str(path)
            except OSError:
                continue


def _mounts() -> Iterable[str]:
    points = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [point for point in points if _slots_in(point) or "/.local/cluster/" in point]


def _names(*folders: Path) -> Callable[[], Iterable[str]]:
    def look() -> Iterable[str]:
        return [str(path) for folder in folders for path in folder.glob("*") if _slots_in(str(path))]

    return look


def _rules(*command: str) -> Callable[[], Iterable[str]]:
    """Rules of packet filters without their counters; the host shall have none of anybody's services."""
    return lambda: [
        re.sub(r"\[\d+:\d+\]", "", line) for line in _lines(*command) if _OF_SERVICES.search(line)
    ]


def _device_notes() -> Iterable[str]:
    """The folder that all kubelets take for theirs is a link only while clusters run."""
    folder = device_notes.FIXED
    return [str(folder)] if folder.is_symlink() and not run_dir(0).parent.exists() else []


def _pod_logs() -> Iterable[str]:
    links = Path("/var/log/containers").glob("*.log")
    return [f"{path} -> {path.readlink()}" for path in links if path.is_symlink()]


_KINDS: dict[str, Callable[[], Iterable[str]]] = {
    "shim": _shims,
    "dead shim socket": _dead_shim_sockets,
    "mount": _mounts,
    "network namespace": _names(Path("/run/netns")),
    "link": _names(Path("/sys/class/net")),
    "route": lambda: [line for line in _lines("ip", "route", "show", "table", "all") if _slots_in(line)],
    "iptables": _rules("iptables-save"),
    "ip6tables": _rules("ip6tables-save"),
    "nftables": _rules("nft", "list", "ruleset"),
    "cgroup": _names(*cgroups.hierarchies()),
    "process in a cgroup": lambda: [
        f"yolo{slot}: {' '.join(processes.command_line(pid))}"
        for slot in range(slots.SLOTS)
        for pid in cgroups.processes(f"yolo{slot}n*")
    ],
    "folder": _names(run_dir(0).parent, node_dir(0, "").parent),
    "CNI": _names(Path("/var/lib/cni/results")),
    "device notes": _device_notes,
    "pod log": _pod_logs,
}
