"""Exact versions for the images: pyproject's ranges resolved once, committed, installed as they are.

`python -m cluster.images pin` writes `<component>/requirements.txt`; the Dockerfiles install those files with
`--no-deps`. So a rebuild next month gives the same packages, and an image's dependency layer depends on that
file alone. `unsatisfied` is the other direction: what a test asks, so that a range changed in pyproject.toml
without a new pin does not go unnoticed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .paths import REPOSITORY, ClusterError

PYTHON_VERSION = "3.13"  # Debian 13's and the default base image's
# Wheels for glibc 2.28 and older, the newest that Debian 13, Ubuntu 22.04 and RHEL 8 bases all load.
# Each glibc by name: NVIDIA's wheels are for 2.18, 2.25 and others, and pip derives none from `--platform`.
PLATFORMS = [*(f"manylinux_2_{minor}" for minor in range(28, 4, -1)), "manylinux2014"]

# A layer of their own in the trainer's image, by the Dockerfile's argument TORCH: Debian's, or these pins.
TORCH = {"torch", "torchvision"}
# ultralytics-platform is Ultralytics' cloud client: required by metadata, not imported by a training, and it
# would call out.
NOT_IN_TRAINER = TORCH | {"ultralytics-platform"}
# opencv-python needs libGL, which no server image has; the headless build is the same module without windows.
INSTEAD = {"opencv-python": "opencv-python-headless"}
# Their metadata asks for torch, so they are resolved alone.
WITHOUT_DEPS = {"ultralytics", "ultralytics-thop"}
# Optional in Ultralytics (its own fallback is slower): RT-DETR's matcher runs it in every batch.
TRAINER_EXTRAS = ["scipy>=1.15"]
TEST_PACKAGES = {"pytest", "pytest-timeout", "pytest-asyncio"}

FILES = {
    "operator": "operator/requirements.txt",
    "api": "api/requirements.txt",
    "trainer": "trainer-image/requirements.txt",
    "torch": "trainer-image/requirements-torch.txt",
    "test": "trainer-image/requirements-test.txt",
}
"""By component, each after those whose pins it takes over (`torch` has numpy and others of `trainer`)."""


def declared(component: str) -> list[Requirement]:
    """What pyproject.toml asks for one component, `dependencies` included."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if component == "test":
        extra = [Requirement(r) for r in project["optional-dependencies"]["dev"]]
        return [r for r in extra if r.name in TEST_PACKAGES]
    if component == "torch":
        return [r for r in declared("trainer") if r.name in TORCH]
    wanted = project["dependencies"] + project["optional-dependencies"][component]
    return [Requirement(r) for r in wanted]


def pinned(component: str) -> dict[str, str]:
    """Versions by canonical name, from the committed file."""
    lines = (REPOSITORY / FILES[component]).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==", 1) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def unsatisfied(component: str) -> list[str]:
    """Requirements of pyproject.toml that the committed pins do not meet."""
    pins = pinned(component)
    left_out = NOT_IN_TRAINER if component == "trainer" else set()
    return [
        str(requirement)
        for requirement in declared(component)
        if requirement.name not in left_out
        and not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0.dev0"))
    ]


def resolve(component: str) -> dict[str, str]:
    """Ask the package index for the newest versions that fit, without installing anything."""
    wanted = declared(component)
    if component == "torch":
        return _resolve_torch(map(str, wanted))
    if component != "trainer":
        return _versions(_pip(map(str, wanted)))
    alone = [str(r) for r in wanted if r.name in WITHOUT_DEPS]
    report = _pip([*alone, "ultralytics-thop"], "--no-deps")
    needs = [str(r) for r in wanted if r.name not in WITHOUT_DEPS | NOT_IN_TRAINER]
    needs += TRAINER_EXTRAS + _requirements_of(report)
    return _versions(report) | _versions(_pip(needs))


def _resolve_torch(wanted: Iterable[str]) -> dict[str, str]:
    """torch and torchvision that fit each other, and what they need beyond the pins of `trainer`.

    Raises ClusterError when the newest of both in pyproject's ranges do not fit each other.
    """
    report = _pip(wanted, "--no-deps")
    versions = _versions(report)
    if apart := apart_from_torch(versions["torch"], report):
        raise ClusterError(f"torchvision {versions['torchvision']} wants {apart}: narrow pyproject's ranges")
    there = pinned("trainer")
    needs = _pip(_requirements_of(report), "--constraint", str(REPOSITORY / FILES["trainer"]))
    return {name: v for name, v in (versions | _versions(needs)).items() if name not in there}


def apart_from_torch(torch: str, report: Iterable[Mapping[str, Any]]) -> str | None:
    """What a reported package asks of torch and this version is not; None if all are content."""
    for entry in report:
        for requirement in map(Requirement, entry["metadata"].get("requires_dist", [])):
            if requirement.name == "torch" and not requirement.specifier.contains(torch):
                return str(requirement)
    return None


def _requirements_of(report: list[Mapping[str, Any]]) -> list[str]:
    """What the reported packages need on Linux, less what the image leaves out, with its replacements."""
    found = []
    environment = {
        "extra": "",
        "python_version": PYTHON_VERSION,
        "python_full_version": f"{PYTHON_VERSION}.0",
    }
    for entry in report:
        for line in entry["metadata"].get("requires_dist", []):
            requirement = Requirement(line)
            if requirement.marker and not requirement.marker.evaluate(environment):
                continue
            if requirement.name in NOT_IN_TRAINER | WITHOUT_DEPS:
                continue
            requirement.name = INSTEAD.get(requirement.name, requirement.name)
            requirement.marker = None
            found.append(str(requirement))
    return found


def _pip(requirements: Iterable[str], *options: str) -> list[Mapping[str, Any]]:
    """The `install` list of pip's report for a dry run against the images' Python."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--report", "-", "--only-binary", ":all:", "--implementation", "cp"]
    command += ["--python-version", PYTHON_VERSION, "--target", "/nonexistent", *options]
    for platform in PLATFORMS:
        command += ["--platform", f"{platform}_x86_64"]
    done = subprocess.run([*command, *requirements], check=True, stdout=subprocess.PIPE)
    return list(json.loads(done.stdout)["install"])


def _versions(report: list[Mapping[str, Any]]) -> dict[str, str]:
    return {canonicalize_name(e["metadata"]["name"]): str(e["metadata"]["version"]) for e in report}


def write(component: str) -> None:
    """Resolve one component and commit the answer to its file."""
    versions = resolve(component)
    head = "# Written by `python -m cluster.images pin` from pyproject.toml; do not edit by hand.\n"
    body = "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))
    (REPOSITORY / FILES[component]).write_text(head + body, encoding="utf-8")
