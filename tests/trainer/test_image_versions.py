"""The image has the pinned versions, and those fit each other."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytest.importorskip("ultralytics")
import torch
import torchvision

pytestmark = pytest.mark.image
PINS = Path(__file__).parents[2] / "trainer-image"
SHIPPED = Path("/opt/torch").is_dir()
"""PyPI's torch; else it is Debian's, whose version Debian decides."""


def _pins(name: str) -> dict[str, str]:
    lines = (PINS / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


@pytest.mark.parametrize(
    "name",
    [
        "requirements.txt",
        "requirements-test.txt",
        pytest.param(
            "requirements-torch.txt", marks=pytest.mark.skipif(not SHIPPED, reason="Debian's torch")
        ),
    ],
)
def test_image_has_the_pinned_versions(name: str) -> None:
    want = _pins(name)
    assert {package: version(package) for package in want} == want


def test_torch_and_torchvision_fit_each_other() -> None:
    try:
        asked = [Requirement(line) for line in requires("torchvision") or []]
    except PackageNotFoundError:
        pytest.skip("Debian's torchvision has no metadata")
    (torch,) = (requirement for requirement in asked if requirement.name == "torch")
    assert torch.specifier.contains(version("torch").split("+")[0])


@pytest.mark.skipif(not SHIPPED, reason="Debian's torch is for CPUs")
def test_torch_and_torchvision_are_built_with_the_same_cuda() -> None:
    """Their metadata does not say so: torchvision 0.29.2 asks for torch 2.14 and has another CUDA."""
    assert torch.version.cuda is not None
    assert torchvision.__version__.partition("+")[2] == f"cu{torch.version.cuda.replace('.', '')}"
