"""What a node needs of the operating system: checked, and installed where Debian's packages can be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .locks import locked
from .paths import ClusterError, cache_dir
from .progress import say, step
from .versions import debian_packages

OTHER_WAY = (
    "The other way needs no such machine: CLUSTER=current uses the cluster of your current kubectl context, "
    "with images given by value."
)
POLICY = Path("/usr/sbin/policy-rc.d")


def missing() -> dict[str, str]:
    """Commands and files that are not here, with the package that would bring each."""
    return {need: package for need, package in debian_packages().items() if not _present(need)}


def _present(need: str) -> bool:
    if need.startswith("/"):
        return Path(need).exists()
    return shutil.which(need, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is not None


def ensure(*, nodes: bool) -> None:
    """Raises ClusterError, naming the other way, where a cluster cannot run; installs what is missing.

    Without nodes (the API alone) only openssl is needed, and no root.
    """
    if sys.platform != "linux":
        raise ClusterError(f"the local cluster runs on Linux only. {OTHER_WAY}")
    lacking = (
        missing() if nodes else {need: package for need, package in missing().items() if need == "openssl"}
    )
    if nodes and os.geteuid() != 0:
        raise ClusterError(f"a node needs root (network namespaces, mounts, containers). {OTHER_WAY}")
    if not lacking:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ClusterError(
            f"missing: {', '.join(lacking)}, and no apt-get as root to install them. {OTHER_WAY}"
        )
    install(sorted(set(lacking.values())))


def install(packages: list[str]) -> None:
    """Installs Debian packages without starting the services that some of them bring; one process at a time.

    Raises ClusterError.
    """
    with locked(cache_dir() / "locks" / "packages", waiting_for="Debian's packages"):
        if lacking := sorted(set(packages) & set(missing().values())):  # by now
            _install(lacking)


def _install(packages: list[str]) -> None:
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"Debian packages: {' '.join(packages)}"), _no_services():
        for command in ([*apt, "update"], [*apt, "install", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            if done.returncode:
                say(done.stdout[-3000:])
                raise ClusterError(f"{' '.join(command)} failed (its output is above). {OTHER_WAY}")


@contextmanager
def _no_services() -> Iterator[None]:
    """Debian asks this file whether a package may start its service; ours says no, and goes again."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
