"""Runs a command in one of our images as a hardened pod would: no network, non-root, read-only root.

runc directly, on a container of buildah's storage: no cluster, no container engine, half a second to start.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .paths import ClusterError, buildah_command

USER = 1000  # uid and gid of all our images
SIZE = "4g"  # of /tmp and /dev/shm: memory, taken only as it fills
_PERIOD = 100_000  # microseconds in which a quota of CPU time counts
MASKED = [
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/sys/firmware",
]


@dataclass(frozen=True)
class Mounts:
    """Host folders by their place in the container."""

    read_only: Mapping[str, Path] = field(default_factory=dict)
    writable: Mapping[str, Path] = field(default_factory=dict)
    small: Mapping[str, str] = field(default_factory=dict)
    """Sizes of small disks by their place, as `64m`: one that a test may fill."""


@dataclass(frozen=True)
class Limits:
    """What a pod's limits would be; None: all that the machine has."""

    cpus: float | None = None
    memory: int | None = None
    """Bytes."""

    def resources(self) -> dict[str, Any]:
        """Of an OCI runtime configuration."""
        found: dict[str, Any] = {}
        if self.cpus is not None:
            found["cpu"] = {"quota": round(self.cpus * _PERIOD), "period": _PERIOD}
        if self.memory is not None:
            found["memory"] = {"limit": self.memory}
        return found


NO_LIMITS = Limits()


def run(
    reference: str,
    command: Sequence[str],
    mounts: Mounts,
    env: Mapping[str, str],
    workdir: str = "/tmp",
    limits: Limits = NO_LIMITS,
) -> int:
    """Runs `command` in `reference`, its streams ours, and returns its exit code.

    Raises ClusterError if the container cannot be made.
    """
    buildah = buildah_command()
    _sweep()
    name = f"sandbox-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    _checked([*buildah, "from", "--pull=never", "--name", name, reference])
    try:
        root = _checked([*buildah, "mount", name])
        image = json.loads(_checked([*buildah, "inspect", "--type", "container", name]))["OCIv1"]["config"]
        variables = [*image.get("Env", []), *(f"{key}={value}" for key, value in env.items())]
        with tempfile.TemporaryDirectory(prefix="yolo-sandbox-") as bundle:
            spec = _spec(root, command, variables, mounts, workdir)
            spec["linux"]["resources"] = limits.resources()
            Path(bundle, "config.json").write_text(json.dumps(spec), encoding="utf-8")
            # An own network namespace with nothing but loopback, which torch's process groups use.
            shell = 'ip link set lo up && exec runc run --bundle "$1" "$2"'
            return subprocess.run(["unshare", "--net", "sh", "-c", shell, "sh", bundle, name]).returncode
    finally:
        _remove(name)


def _sweep() -> None:
    """Removes what runs left whose process was killed."""
    containers = _checked([*buildah_command(), "containers", "--format", "{{.ContainerName}}"]).split()
    for name in containers:
        owner = re.fullmatch(r"sandbox-(\d+)-\w+", name)
        if owner and not Path("/proc", owner[1]).exists():
            _remove(name)


def _remove(name: str) -> None:
    subprocess.run(["runc", "delete", "--force", name], capture_output=True)
    subprocess.run([*buildah_command(), "rm", name], capture_output=True)


def _spec(
    root: str, command: Sequence[str], variables: Sequence[str], mounts: Mounts, workdir: str
) -> dict[str, Any]:
    """An OCI runtime configuration: what Pod Security `restricted` demands."""
    limited = ["nosuid", "nodev"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": USER, "gid": USER},
            "args": list(command),
            "env": list(variables),
            "cwd": workdir,
            "noNewPrivileges": True,
            "capabilities": {},
        },
        "root": {"path": root, "readonly": True},
        "hostname": "sandbox",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            _tmpfs("/dev/shm"),
            _tmpfs("/tmp"),
            {"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "ro", *limited]},
            *(_bind(place, path, "ro") for place, path in mounts.read_only.items()),
            *(_bind(place, path, "rw") for place, path in mounts.writable.items()),
            *(_tmpfs(place, size) for place, size in mounts.small.items()),
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")],
            "maskedPaths": MASKED,
            "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"],
        },
    }


def _tmpfs(place: str, size: str = SIZE) -> dict[str, Any]:
    options = ["nosuid", "nodev", "mode=1777", f"size={size}"]
    return {"destination": place, "type": "tmpfs", "source": "tmpfs", "options": options}


def _bind(place: str, path: Path, mode: str) -> dict[str, Any]:
    return {
        "destination": place,
        "type": "bind",
        "source": os.fspath(path),
        "options": ["rbind", mode, "nosuid"],
    }


def _checked(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()[-800:]}")
    return done.stdout.strip()
