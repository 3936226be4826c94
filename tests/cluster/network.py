"""The bridge, and a network namespace with a veth for each node; the host's own network stays as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .paths import ClusterError
from .slots import Addresses


def ip(*arguments: str, netns: str | None = None, check: bool = True) -> str:
    """Runs `ip`, inside a namespace if given; raises ClusterError with its message."""
    inside = ["-n", netns] if netns else []
    done = subprocess.run(["ip", *inside, *arguments], capture_output=True, text=True)
    if check and done.returncode:
        raise ClusterError(f"ip {' '.join([*inside, *arguments])}: {done.stderr.strip()}")
    return done.stdout


def ensure_bridge(addresses: Addresses) -> None:
    """The bridge with the host's address on it."""
    bridge = addresses.bridge
    if not Path(f"/sys/class/net/{bridge}").exists():
        ip("link", "add", bridge, "type", "bridge")
    ip("address", "replace", f"{addresses.host}/24", "dev", bridge)
    ip("link", "set", bridge, "up")


def ensure_node(addresses: Addresses, index: int, nodes: int) -> None:
    """A node's namespace: an address on the bridge, routes to the other nodes' pods and to services."""
    netns, veth, address = addresses.netns(index), addresses.veth(index), addresses.node_address(index)
    if not Path(f"/run/netns/{netns}").exists():
        ip("netns", "add", netns)
    if not Path(f"/sys/class/net/{veth}").exists():
        ip("link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", netns)
    ip("link", "set", veth, "master", addresses.bridge, "up")
    ip("link", "set", "lo", "up", netns=netns)
    ip("address", "replace", f"{address}/24", "dev", "eth0", netns=netns)
    ip("link", "set", "eth0", "up", netns=netns)
    # Programs on the node itself reach a ClusterIP by a route first, by kube-proxy's translation then.
    ip("route", "replace", addresses.services, "dev", "eth0", netns=netns)
    for other in range(1, nodes + 1):
        if other != index:
            via = addresses.node_address(other)
            ip("route", "replace", addresses.node_pods(other), "via", via, netns=netns)
    forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
    subprocess.run(["nsenter", f"--net=/run/netns/{netns}", "sh", "-c", forward], check=True)
    # The API server calls webhooks and aggregated APIs by pod address or ClusterIP. Gone with the bridge.
    ip("route", "replace", addresses.node_pods(index), "via", address)
    if index == 1:
        ip("route", "replace", addresses.services, "via", address)


def cut(addresses: Addresses, index: int, *, up: bool) -> None:
    """Unplugs a node's cable, or plugs it in again."""
    ip("link", "set", addresses.veth(index), "up" if up else "down")


def remove(addresses: Addresses) -> None:
    """Deletes every namespace, veth and the bridge of a slot, whatever is left of them."""
    for path in Path("/run/netns").glob(f"yolo{addresses.slot}n*") if Path("/run/netns").exists() else ():
        ip("netns", "delete", path.name, check=False)
    for path in Path("/sys/class/net").glob(f"yolo{addresses.slot}v*"):
        ip("link", "delete", path.name, check=False)
    if Path(f"/sys/class/net/{addresses.bridge}").exists():
        ip("link", "delete", addresses.bridge, check=False)


def processes_inside(netns: str) -> list[int]:
    """Processes whose network namespace is this one: a node's daemons and pods on the host network."""
    try:
        inode = Path(f"/run/netns/{netns}").stat().st_ino
    except FileNotFoundError:
        return []
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "ns" / "net").stat().st_ino == inode:
                found.append(int(entry.name))
        except OSError:
            continue
    return found
