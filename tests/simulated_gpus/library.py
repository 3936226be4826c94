"""The stub of NVML, compiled from `nvml.c` into the per-user cache under a key of its source."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from cluster import packages
from cluster.locks import locked
from cluster.paths import ClusterError, cache_dir

SONAME = "libnvidia-ml.so.1"
"""By this name nvidia-ml-py, nvidia-smi and torch look for it."""
STATE_VARIABLE = "SIMULATED_GPUS_STATE"
"""Where the library finds the scenario; by default /run/simulated-gpus/state."""
SOURCE = Path(__file__).with_name("nvml.c")
_FLAGS = (
    *("-std=c11", "-D_GNU_SOURCE", "-O1", "-fPIC", "-shared", "-fvisibility=hidden"),
    f"-Wl,-soname,{SONAME}",
)


def build_library() -> Path:
    """The folder that holds nothing but the library, for all to read. Raises ClusterError without gcc."""
    key = hashlib.sha256(SOURCE.read_bytes() + repr(_FLAGS).encode()).hexdigest()[:16]
    folder = cache_dir() / "bin" / f"simulated-nvml-{key}"
    library = folder / SONAME
    with locked(cache_dir() / "locks" / "simulated-nvml"):
        if not library.exists():
            folder.mkdir(parents=True, exist_ok=True)
            aside = folder.with_suffix(".tmp")
            _compile(aside)
            aside.replace(library)
    return folder


def _compile(target: Path) -> None:
    if not shutil.which("gcc"):
        if os.geteuid() or not shutil.which("apt-get"):
            raise ClusterError("gcc is missing: install your system's C compiler and C library headers")
        packages.install(["gcc", "libc6-dev"])
    command = ["gcc", *_FLAGS, os.fspath(SOURCE), "-o", os.fspath(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")


def load_library(state: Path) -> None:
    """Makes the stub this process's NVML: whoever loads it by its name from now on gets it.

    The loader finds a library that is loaded already by its SONAME, so no search path needs to be set.
    """
    os.environ[STATE_VARIABLE] = os.fspath(state)
    ctypes.CDLL(os.fspath(build_library() / SONAME), mode=ctypes.RTLD_GLOBAL)
