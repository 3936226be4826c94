"""The command line: `python -m cluster up|down|status|…`."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from . import build, faults, prune
from .cluster import Cluster
from .paths import ClusterError
from .progress import say

NODES = ("cut", "heal", "drain", "uncordon")
FAULTS = {
    "kill": "SIGKILL a component, such as kubelet@node-1 or kube-apiserver",
    "pause": "freeze a component (SIGSTOP)",
    "resume": "let a paused component go on, or start a killed one again",
    "restart": "stop a component and start it again",
    "cut": "unplug a node's network cable",
    "heal": "plug a node's cable in again",
    "drain": "evict a node's pods and let no new ones on it",
    "uncordon": "undo drain",
    "fill-disk": "fill a small volume, or make a node find its disk full",
    "free-disk": "undo fill-disk",
}


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default="local", help="which cluster (default: local)")
    top = argparse.ArgumentParser(prog="python -m cluster", description="A real Kubernetes on this machine.")
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, parents=[common], help=text, description=text)

    up = command("up", "build what is missing and start, or repair, the cluster")
    up.add_argument("--nodes", type=int, help="how many nodes (at first: 1)")
    up.add_argument(
        "--api-only", action="store_true", help="etcd, API server and controllers on loopback; no root"
    )
    up.add_argument("--host-port", type=int, help="forward this port of 127.0.0.1 to NodePort 30066")
    up.add_argument(
        "--node-monitor-grace-period",
        type=int,
        metavar="SECONDS",
        help="until a silent node is lost (at first: 40)",
    )
    up.add_argument("--kueue", action="store_true", default=None, help="with Kueue, a queue for Jobs")
    up.add_argument(
        "--kueue-pods-ready",
        type=int,
        metavar="SECONDS",
        help="Kueue evicts a Job whose pods are not ready within this (at first: 1800)",
    )
    for mark, form in (("label", "[NODE:]KEY=VALUE"), ("taint", "[NODE:]KEY=VALUE:EFFECT")):
        up.add_argument(
            f"--{mark}",
            action="append",
            metavar=form,
            help=f"a {mark} for NODE or all nodes, may be repeated; replaces all earlier {mark}s",
        )
    down = command("down", "end the cluster and remove all of it, its volumes too; only its logs stay")
    down.add_argument("--all", action="store_true", help="every cluster of this repository")
    command("status", "say what runs")
    command("load", "bring an image of the buildah storage onto every node").add_argument("image")
    logs = command("logs", "show a component's log")
    logs.add_argument("component")
    logs.add_argument("-f", "--follow", action="store_true")
    command("build", "build all programs into the cache, start nothing").add_argument(
        "--kueue", action="store_true", help="Kueue too"
    )
    command("prune", "free the cache's disk of old builds, pushed images and the images of stopped nodes")
    command("env", 'print what `eval "$(python -m cluster env)"` needs')
    command("dump", "write logs, objects and events into a folder").add_argument("folder", type=Path)
    for name, text in FAULTS.items():
        target = "NODE" if name in NODES else "NODE|PV" if name.endswith("-disk") else "COMPONENT[@NODE]"
        command(name, text).add_argument("target", metavar=target)
    small = command("small-volume", "make a volume of the pool so small that it can be full")
    small.add_argument("target", metavar="PV")
    small.add_argument("--mebibytes", type=int, default=64, help="its size (default: 64)")
    return top


def run(arguments: argparse.Namespace) -> int:
    cluster = Cluster(arguments.name)
    match arguments.command:
        case "up":
            cluster.up(
                nodes=arguments.nodes,
                api_only=arguments.api_only,
                host_port=arguments.host_port,
                grace=arguments.node_monitor_grace_period,
                labels=arguments.label,
                taints=arguments.taint,
                kueue=arguments.kueue,
                pods_ready=arguments.kueue_pods_ready,
            )
            say(f'cluster {cluster.name} is up: eval "$(python -m cluster env --name {cluster.name})"')
        case "down":
            for each in Cluster.here() if arguments.all else [cluster]:
                each.down()
        case "status":
            found = cluster.status()
            print("\n".join(f"{name:30} {state}" for name, state in found.items()))
            return 0 if all(state in ("running", "ready") for state in found.values()) else 1
        case "load":
            print(cluster.load(arguments.image))
        case "logs":
            return show_logs(cluster, arguments.component, follow=arguments.follow)
        case "build":
            wanted = build.wanted(kueue=arguments.kueue)
            print("\n".join(str(path) for path in build.binaries(*wanted).values()))
        case "prune":
            prune.prune()
        case "env":
            print(f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}")
            print(f'export PATH={shlex.quote(str(cluster.bin))}:"$PATH"')
        case "dump":
            cluster.dump(arguments.folder)
        case "small-volume":
            cluster.faults.small_volume(arguments.target, arguments.mebibytes)
        case verb:
            getattr(cluster.faults, verb.replace("-", "_"))(arguments.target)
    return 0


def show_logs(cluster: Cluster, component: str, *, follow: bool) -> int:
    """Prints a component's log, or the names that have one."""
    log = cluster.supervisor.logs / f"{faults.full_name(component)}.log"
    if not log.exists():
        names = ", ".join(sorted(path.stem for path in cluster.supervisor.logs.glob("*.log")))
        raise ClusterError(f"no log of {component!r}; there are: {names or 'none'}")
    return subprocess.run(["tail", "-n", "+1", *(["-f"] if follow else []), str(log)]).returncode


def main() -> int:
    try:
        return run(parser().parse_args())
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted: run the same command again to go on, or `python -m cluster down` to remove all")
        return 130


if __name__ == "__main__":
    sys.exit(main())
