"""Kill statistics: toy trainings that are killed, stopped, starved of disk or overtaken, and then resumed.

`python -m tests.trainer.faults --points 200 --seed 0`, inside the trainer's image: `make faults-trainer`.
Each point must be trained to its end by the next attempt, with at most one epoch more for each fault, and
with the very results of the training that nothing befell. A point is a function of seed and number.
"""

from __future__ import annotations

import argparse
import os
import queue
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from .fault_kinds import EPOCHS, KINDS, SMALL, TEMPLATE, Reference
from .forked import Fault, Stage, pinned, read_record
from .outcomes import rows, state
from .training_process import Volumes

BATCHES = 4
_disk = threading.Lock()


class Shared(Volumes):
    """Run volumes of their own on a data volume that all points share."""

    def __init__(self, data: Path, runs: Path) -> None:
        self.data, self.runs = data, runs
        runs.mkdir(parents=True)


@dataclass(frozen=True)
class Seen:
    """What came of a point."""

    kind: str
    what: str
    faults: int
    epochs: float
    problem: str
    seconds: float


def measure(root: Path) -> Reference:
    """Trains without a fault; the second time, when all is warm, counts."""
    volumes = Volumes(root)
    with Stage("prepare", volumes.config(TEMPLATE), root) as warm:
        assert warm.finish() == 0, warm.output
    with Stage("train", volumes.config(TEMPLATE), root) as warm:
        assert warm.finish() == 0, warm.output
    shutil.rmtree(volumes.runs)
    volumes.runs.mkdir()
    listing = root / "changes"
    began = 0.0
    config = volumes.config(TEMPLATE)
    for stage in ("prepare", "train"):
        began = time.monotonic()
        with Stage(stage, config, root, Fault(changes_to=str(listing))) as running:
            code = running.finish()
            assert code == 0, running.output
    return Reference(
        volumes.data,
        rows(volumes),
        state(volumes),
        time.monotonic() - began,
        len(listing.read_text().splitlines()),
        max(p.stat().st_size for p in volumes.attempt().rglob("*") if p.is_file()),
    )


def kinds(number: int) -> str:
    """Which fault a point has: each kind in turn, the whole program at every twentieth."""
    if number % 20 == 19:
        return "program"
    order = ["kill at a change", "stop at a change", "kill amid a write", "kill", "stop", "disk full", "twin"]
    return order[number % len(order)]


def run_point(number: int, seed: int, reference: Reference, root: Path) -> Seen:
    """One point, from a fresh run folder to the end of its training."""
    chance = random.Random(f"{seed}:{number}")
    kind = kinds(number)
    folder = root / f"point-{number}"
    folder.mkdir()
    began = time.monotonic()
    with _volume(kind, reference, folder) as volumes:
        faults, what = 0, ""
        try:
            faults, what = KINDS[kind](chance, reference, volumes, folder)
            problem = _judge(reference, volumes, folder, faults)
        except Exception as error:
            problem = f"{type(error).__name__}: {str(error)[:100]} … {str(error)[-1500:]}"
        epochs = len(read_record(folder / "batches.jsonl")) / BATCHES
        seen = Seen(kind, what, faults, epochs, problem, time.monotonic() - began)
    shutil.rmtree(folder)
    return seen


@contextmanager
def _volume(kind: str, reference: Reference, folder: Path) -> Iterator[Volumes]:
    if kind != "disk full":
        yield Shared(reference.data, folder / "runs")
        return
    with _disk:
        runs = SMALL / folder.name
        try:
            yield Shared(reference.data, runs)
        finally:
            shutil.rmtree(runs)


def _judge(reference: Reference, volumes: Volumes, folder: Path, faults: int) -> str:
    """What is wrong with the training that came out; empty when nothing is."""
    attempts = sorted((volumes.folder.train / ".attempts").glob("*/state.pt"))
    if not attempts:
        return "no state is left"
    have_rows = rows(volumes)
    if [row["epoch"] for row in have_rows] != [row["epoch"] for row in reference.rows]:
        return f"results.csv has epochs {[row['epoch'] for row in have_rows]}"
    for want, have in zip(reference.rows, have_rows, strict=True):
        if differing := {name: (want[name], have.get(name)) for name in want if want[name] != have.get(name)}:
            return f"results.csv differs in epoch {want['epoch']}: {differing}"
    newest = torch.load(attempts[-1], weights_only=True)
    for part in ("model", "ema"):
        for name, tensor in reference.state[part].items():
            if not torch.equal(tensor, newest[part][name]):
                return f"{part} differs in {name}"
    for name in ("best.pt", "last.pt"):
        if not (volumes.folder.weights / name).exists():
            return f"{name} is not published"
    epochs = len(read_record(folder / "batches.jsonl")) / BATCHES
    if epochs > EPOCHS + faults:
        return f"{epochs} epochs were trained after {faults} faults"
    return ""


def table(seen: list[Seen]) -> str:
    """The statistics by kind of fault."""
    lines = [f"{'fault':<20} points  met  as uninterrupted  epochs more (mean, most)  seconds"]
    for kind in [*KINDS, ""]:
        those = [s for s in seen if kind in ("", s.kind)]
        if not those:
            continue
        more = [s.epochs - EPOCHS for s in those if s.epochs]
        lines.append(
            f"{kind or 'all':<20} {len(those):>6} {sum(s.faults for s in those):>4}"
            f" {sum(not s.problem for s in those):>17}"
            f" {sum(more) / max(1, len(more)):>18.2f} {max(more, default=0):>6.2f}"
            f" {sum(s.seconds for s in those) / len(those):>8.1f}"
        )
    return "\n".join(lines)


def run_points(numbers: list[int], seed: int, root: Path, parallel: int = 2) -> list[Seen]:
    """Runs points, so many at a time; tells of each that went wrong."""
    reference = measure(root)
    cpus: queue.SimpleQueue[int] = queue.SimpleQueue()
    for turn in range(parallel):
        cpus.put(sorted(os.sched_getaffinity(0))[turn % len(os.sched_getaffinity(0))])

    def run(number: int) -> Seen:
        point = run_point(number, seed, reference, root)
        told = point.problem or f"{point.epochs:.2f} epochs"
        print(f"point {number}: {point.kind}, {point.what}: {told}", file=sys.stderr, flush=True)
        return point

    with ThreadPoolExecutor(parallel, initializer=lambda: setattr(pinned, "cpu", cpus.get())) as pool:
        return list(pool.map(run, numbers))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.trainer.faults", description=__doc__)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="the first point's number")
    parser.add_argument("--only", type=int, help="a point's number: repeats that one")
    arguments = parser.parse_args()
    numbers = (
        list(range(arguments.start, arguments.start + arguments.points))
        if arguments.only is None
        else [arguments.only]
    )
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        began = time.monotonic()
        seen = run_points(numbers, arguments.seed, Path(name))
    print(table(seen))
    print(f"seed {arguments.seed}, {time.monotonic() - began:.0f} s")
    return int(any(point.problem for point in seen))


if __name__ == "__main__":
    sys.exit(main())
