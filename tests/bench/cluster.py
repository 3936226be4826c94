"""How long the local Kubernetes makes one wait, beside what is promised: `make bench-cluster`, a few minutes.

Every time is a command's, as a person would type it, Python's start included. The exit code is 1 if the
median of a promise's runs is over it: run it on a machine that does nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cluster import Cluster, ClusterError, build, buildah_command, images
from cluster.paths import REPOSITORY
from cluster.progress import say, step

from . import image_sizes
from .promises import Measured, print_table

NAME = "bench"
ROUNDS = 3
IMAGE_LIMIT = 300.0
"""Megabytes of operator and façade; for torch in the trainer nothing is promised."""
# All that an image is made of, and the program that builds it from the folder that itself lies in.
_SOURCES = ("crds", "operator", "api", "trainer-image", "tests/cluster")
_PACKAGES = {"operator": "operator/yolo_operator", "trainer": "trainer-image/yolo_trainer"}


def run(*command: str, folder: Path = REPOSITORY) -> str:
    """`python -m COMMAND` of the sources in `folder`; its output. Raises ClusterError with its words."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "tests")}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise ClusterError(f"python -m {' '.join(command)}: {done.stderr.strip()[-800:]}")
    return done.stdout


def timed(action: Callable[[], object]) -> float:
    """Seconds that it took."""
    started = time.monotonic()
    action()
    return time.monotonic() - started


def measure_starts(cluster: Cluster) -> list[Measured]:
    """Start and end of an API server alone and of a whole cluster, which stays after the last round."""
    alone, whole, ends = [], [], []
    for _ in range(ROUNDS):
        alone.append(timed(lambda: run("cluster", "up", "--name", NAME, "--api-only")))
        cluster.down()
    for number in range(ROUNDS):
        if number:
            ends.append(timed(lambda: run("cluster", "down", "--name", NAME)))
        whole.append(timed(lambda: run("cluster", "up", "--name", NAME)))
    return [
        Measured("up until the node is Ready", tuple(whole), 25),
        Measured("up --api-only", tuple(alone), 6),
        Measured("down", tuple(ends), 10),
    ]


def measure_images(cluster: Cluster) -> list[Measured]:
    """What a change of our code costs, and what nothing changed costs."""
    for reference in images.refs(_PACKAGES).values():
        cluster.load(reference)
    unchanged = [timed(lambda: run("cluster.images", "build")) for _ in range(ROUNDS)]
    rows = [Measured("all images, nothing changed", tuple(unchanged), 2)]
    for image, package in _PACKAGES.items():
        with tempfile.TemporaryDirectory(prefix="yolo-bench-") as folder:
            for source in _SOURCES:
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(REPOSITORY / source, Path(folder) / source, ignore=ignored)
            values = [_change(cluster, Path(folder), image, package) for _ in range(ROUNDS)]
        rows.append(Measured(f"a changed line of {image} until a pod has run it", tuple(values), 15))
    return rows


def _change(cluster: Cluster, folder: Path, image: str, package: str) -> float:
    """Seconds from a new line in the package's sources until a pod has printed it."""
    changed = str(time.time_ns())
    pod = f"changed-{image}"
    with (folder / package / "__init__.py").open("a") as file:
        file.write(f"\nCHANGED = {changed!r}\n")
    started = time.monotonic()
    reference = json.loads(run("cluster.images", "build", image, folder=folder))[image]
    named = run("cluster", "load", "--name", NAME, reference).strip()
    command = ["python", "-c", f"import {Path(package).name} as package; print(package.CHANGED)"]
    container = {"name": "main", "image": named, "command": command}
    spec = {"restartPolicy": "Never", "containers": [container]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": spec}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    cluster.kubectl("wait", f"pod/{pod}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    took = time.monotonic() - started
    if (printed := cluster.kubectl("logs", pod).strip()) != changed:
        raise ClusterError(f"the pod of {reference} ran other code: {printed!r} instead of {changed!r}")
    cluster.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    subprocess.run([*buildah_command(), "rmi", reference], capture_output=True)
    return took


def measure_sizes() -> list[Measured]:
    """The images on a node's disk; what takes most of each is printed."""
    rows = []
    for name, reference in images.refs().items():
        with image_sizes.mounted(reference) as root:
            size = image_sizes.total(root) / image_sizes.MEGABYTE
            parts = image_sizes.largest(root)
        rows.append(Measured(f"image {name}", (size,), None if name == "trainer" else IMAGE_LIMIT, "MB"))
        print(f"  {name}: " + ", ".join(f"{part} {bytes_ / 1e6:.0f}" for part, bytes_ in parts), flush=True)
    return rows


def main() -> int:
    cluster = Cluster(NAME)
    build.binaries()
    images.build()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} CPUs, load {load:.1f} at the start, {ROUNDS} runs each\n", flush=True)
    try:
        cluster.down()
        with step("starts and ends"):
            rows = measure_starts(cluster)
        with step("images"):
            rows += measure_images(cluster)
        print("megabytes of the largest packages:")
        rows += measure_sizes()
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    finally:
        cluster.down()
    print(f"\n{print_table(rows)}")
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
