"""The command line: `python -m simulated_gpus start|show|set|xid|…`, on a local cluster that runs."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from cluster import Cluster, ClusterError
from cluster.progress import say

from . import nodes
from .scenario import Gpu, Scenario, with_mig

_GPU = "NODE/INDEX"


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default="local", help="which cluster (default: local)")
    top = argparse.ArgumentParser(prog="python -m simulated_gpus", description="GPUs without GPUs.")
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, parents=[common], help=text, description=text)

    start = command("start", "give nodes GPUs, and wait until Kubernetes counts them")
    start.add_argument("nodes", nargs="*", metavar="NODE", help="which (default: all)")
    start.add_argument("--gpus", type=int, help="how many a node (at first: 1)")
    start.add_argument("--replicas", type=int, help="time-slicing: as how many each is offered")
    start.add_argument(
        "--value", action="append", default=[], metavar="KEY=VALUE", help="of each: new GPUs then"
    )
    command("stop", "take them away")
    command("show", "what each GPU says")
    of = command("set", "change values: of a GPU such as memory_used, of a node such as library")
    of.add_argument("target", metavar="NODE[/INDEX]")
    of.add_argument("values", nargs="+", metavar="KEY=VALUE", help="JSON or a word; null: the card lacks it")
    xid = command("xid", "an Xid event; the GPU becomes unhealthy as by NVIDIA's plugin")
    xid.add_argument("target", metavar=_GPU)
    xid.add_argument("xid", type=int)
    command("lose", "the GPU falls off the bus (Xid 79)").add_argument("target", metavar=_GPU)
    command("heal", "undo xid and lose").add_argument("target", metavar=_GPU)
    mig = command("mig", "part a GPU by MIG profiles such as 1g.10gb; without any it is whole again")
    mig.add_argument("target", metavar=_GPU)
    mig.add_argument("profiles", nargs="*", metavar="PROFILE")
    return top


def parse_values(words: list[str]) -> dict[str, Any]:
    """`key=value` words; a value that is no JSON is a word. Raises ClusterError."""
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ClusterError(f"{word!r}: should be KEY=VALUE, such as memory_used=20GiB")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def run(arguments: argparse.Namespace) -> None:
    cluster = Cluster(arguments.name)
    match arguments.command:
        case "start":
            nodes.start(
                cluster,
                arguments.gpus,
                nodes=arguments.nodes,
                replicas=arguments.replicas,
                **parse_values(arguments.value),
            )
            show(cluster)
        case "stop":
            nodes.stop(cluster)
        case "show":
            show(cluster)
        case "set" if "/" not in arguments.target:
            values = parse_values(arguments.values)
            nodes.GpuNode.find(cluster, arguments.target).file.change(lambda now: now.with_values(**values))
        case verb:
            nodes.change(cluster, arguments.target, lambda now, gpu: befall(now, gpu, verb, arguments))


def befall(now: Scenario, gpu: int, verb: str, arguments: argparse.Namespace) -> Scenario:
    """The scenario after one of the verbs that are about a GPU."""
    match verb:
        case "set":
            return now.with_gpu(gpu, **parse_values(arguments.values))
        case "xid":
            return now.with_xid(gpu, arguments.xid)
        case "lose":
            return now.with_lost(gpu)
        case "mig":
            return with_mig(now, gpu, arguments.profiles)
        case _:
            return now.with_healed(gpu)


def show(cluster: Cluster) -> None:
    """A line a GPU."""
    found = nodes.gpu_nodes(cluster)
    if not found:
        raise ClusterError(f"cluster {cluster.name} has no simulated GPUs: python -m simulated_gpus start")
    for node in found:
        scenario = node.file.read()
        shares = f", each as {scenario.replicas}" if scenario.replicas > 1 else ""
        print(f"{node.name}  driver {scenario.driver_version}, library {scenario.library}{shares}")
        for index, gpu in enumerate(scenario.gpus):
            print(f"  {node.name}/{index}  {line(gpu)}")
        for event in scenario.xids:
            print(f"  {node.name}/{event.gpu}  Xid {event.xid}")


def line(gpu: Gpu) -> str:
    """What a person wants to know of a GPU."""
    state = "lost" if gpu.lost else "unhealthy" if gpu.unhealthy else "healthy"
    memory = "no memory" if gpu.memory_used is None else f"{gpu.memory_used >> 20} of "
    if gpu.memory_used is not None:
        memory += "?" if gpu.memory_total is None else f"{gpu.memory_total >> 20} MiB"
    parts = [
        gpu.uuid,
        gpu.name,
        state,
        memory,
        f"{gpu.utilisation} %",
        f"{gpu.temperature} °C",
        f"{gpu.power} W",
    ]
    parts += [f"{part.profile} {part.uuid}" for part in gpu.mig_devices]
    parts += [f"pid {process.pid}" for process in gpu.processes or ()]
    return "  ".join(parts)


def main() -> int:
    try:
        run(parser().parse_args())
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
