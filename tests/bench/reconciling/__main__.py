"""`make bench-operator`: throughput, CPU, requests and memory of the operator, beside its two baselines.

Each contender gets a namespace full of new trainings, on one API server that does nothing else, and makes a
Job and a status for each; time is that of the audit log from its first write to its last. What it takes to
start with nothing to do is taken off its CPU time. Ratios are to the bare loop of the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cluster import Cluster
from cluster.audit import WRITES, entries
from cluster.paths import REPOSITORY
from cluster.progress import say, step
from demo.install import System

from . import payload

NAME = "bench-operator"
TRAININGS = 500
ROUNDS = 3
PATIENCE = 600.0
_TICK = os.sysconf("SC_CLK_TCK")
CONTENDERS: dict[str, list[str]] = {
    "bare loop": ["-m", "bench.reconciling.bare", "{namespace}"],
    "idiomatic kopf": ["-m", "bench.reconciling.idiomatic", "{namespace}"],
    "this operator": ["-m", "yolo_operator"],
}


@dataclass(frozen=True)
class Cost:
    """Of one contender in one round."""

    per_second: float
    """Trainings, each with its Job and its status."""
    cpu_ms: float
    """Of the contender's process for a training, in milliseconds."""
    writes: float
    """Requests for a training."""
    reads: float
    megabytes: float
    """Resident at the end."""


@contextmanager
def contender(system: System, name: str, namespace: str) -> Iterator[int]:
    """The contender's process, at work in the namespace; its id."""
    folders = ("crds", "operator", "api", "trainer-image", "tests")
    environment = system.environment | {
        "PYTHONPATH": ":".join(str(REPOSITORY / folder) for folder in folders),
        "YOLO_OPERATOR_NAMESPACES": json.dumps([namespace]),
        "YOLO_OPERATOR_TRAINER_IMAGE": "trainer:1",
        "YOLO_OPERATOR_DATA_CLAIM": "yolo-data",
        "YOLO_OPERATOR_RUNS_CLAIM": "yolo-runs",
        "YOLO_OPERATOR_METRICS_PORT": "0",
        "YOLO_OPERATOR_HEALTH_PORT": "0",
    }
    command = [sys.executable, *(part.format(namespace=namespace) for part in CONTENDERS[name])]
    log = Cluster(NAME).audit_log.parent / f"{namespace}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=os.sep)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def measure(system: System, name: str, namespace: str, count: int) -> Cost:
    """What it costs to serve `count` trainings. Raises TimeoutError."""
    system.run("kubectl", "create", "namespace", namespace)
    with contender(system, name, f"{namespace}") as pid:
        idle = _idle_cpu(pid)
    bodies = [payload.manifest(f"bench-{number:05}") for number in range(count)]
    listed = {"apiVersion": "v1", "kind": "List", "items": bodies}
    system.run("kubectl", "--namespace", namespace, "create", "-f", "-", stdin=json.dumps(listed))
    audit = Cluster(NAME).audit_log
    offset = audit.stat().st_size
    with contender(system, name, namespace) as pid:
        _until_served(system, namespace, count, pid)
        cpu, megabytes = _cpu_seconds(pid) - idle, _resident_megabytes(pid)
    system.run("kubectl", "delete", "namespace", namespace, "--wait=true", "--timeout=300s")
    verbs, times = Counter[str](), list[datetime]()
    for entry in entries(audit, offset=offset):
        agent = entry.user_agent
        if entry.namespace != namespace or agent.startswith(("kubectl", "kube-", "etcd")):
            continue
        verbs["watch" if entry.verb == "watch" else "write" if entry.verb in WRITES else "read"] += 1
        if entry.verb in WRITES:
            times.append(datetime.fromisoformat(entry.time))
    seconds = (max(times) - min(times)).total_seconds()
    return Cost(count / seconds, 1000 * cpu / count, verbs["write"] / count, verbs["read"] / count, megabytes)


def _until_served(system: System, namespace: str, count: int, pid: int) -> None:
    end = time.monotonic() + PATIENCE
    query = ["kubectl", "--namespace", namespace, "get", "jobs", "-o", "name"]
    status = ["kubectl", "--namespace", namespace, "get", "yt", "--field-selector=status.phase!=Unserved"]
    while True:
        jobs = len(system.run(*query).stdout.split())
        if jobs >= count and len(system.run(*status, "-o", "name").stdout.split()) >= count:
            return
        if time.monotonic() > end or not Path(f"/proc/{pid}").exists():
            raise TimeoutError(f"{jobs} of {count} trainings in {namespace} have a Job")
        time.sleep(1)


def _idle_cpu(pid: int) -> float:
    """CPU seconds of a start with nothing to do: until the process takes none any more."""
    before, quiet = -1.0, 0
    while quiet < 4:
        time.sleep(0.5)
        now = _cpu_seconds(pid)
        quiet = quiet + 1 if now - before < 0.02 else 0
        before = now
    return before


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _resident_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def main() -> int:
    """Measure, and print the medians beside the bare loop's."""
    parser = argparse.ArgumentParser(prog="python -m bench.reconciling", description=__doc__)
    parser.add_argument("--trainings", type=int, default=TRAININGS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    cluster = Cluster(NAME)
    cluster.down()
    cluster.up(api_only=True)
    system = System(cluster.kubeconfig, cluster.bin, "default", "none", url="")
    found: dict[str, list[Cost]] = {name: [] for name in CONTENDERS}
    try:
        system.kubectl("apply", "-f", str(REPOSITORY / "crds" / "yolotrainings.yaml"))
        system.kubectl("wait", "--for=condition=Established", "crd/yolotrainings.yolo.training")
        for number in range(arguments.rounds):
            for place, name in enumerate(CONTENDERS):
                with step(f"round {number + 1}: {name}"):
                    namespace = f"bench-{number}-{place}"
                    found[name].append(measure(system, name, namespace, arguments.trainings))
    finally:
        cluster.down()
    print_table(found)
    return 0


def print_table(found: dict[str, list[Cost]]) -> None:
    """Medians, and throughput and CPU as ratios to the bare loop of the same round."""
    bare = found["bare loop"]
    say("| | trainings/s | × bare | CPU ms | × bare | writes | reads | MiB |")
    say("|---|---|---|---|---|---|---|---|")
    for name, costs in found.items():
        median = statistics.median
        faster = median(c.per_second / b.per_second for c, b in zip(costs, bare, strict=True))
        dearer = median(c.cpu_ms / b.cpu_ms for c, b in zip(costs, bare, strict=True))
        say(
            f"| {name} | {median(c.per_second for c in costs):.0f} | {faster:.2f} "
            f"| {median(c.cpu_ms for c in costs):.1f} | {dearer:.1f} | {median(c.writes for c in costs):.1f} "
            f"| {median(c.reads for c in costs):.1f} | {median(c.megabytes for c in costs):.0f} |"
        )


if __name__ == "__main__":
    raise SystemExit(main())
