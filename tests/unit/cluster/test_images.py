"""What goes into the images, without building any."""

import re
from pathlib import Path
from typing import Any

import pytest

from cluster import images, pins
from cluster.paths import REPOSITORY


@pytest.mark.parametrize("component", pins.FILES)
def test_unsatisfied_is_empty(component: str) -> None:
    # Else: python -m cluster.images pin
    assert pins.unsatisfied(component) == []


def test_trainer_pins_leave_out_torch_and_the_cloud_client() -> None:
    assert pins.NOT_IN_TRAINER.isdisjoint(pins.pinned("trainer"))


def test_refs_are_a_function_of_content(tmp_path: Path) -> None:
    image = images.IMAGES["operator"]
    for path in image.files():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((REPOSITORY / path).read_bytes())

    before = images.ref(image, tmp_path)
    (tmp_path / "operator/yolo_operator/__init__.py").write_text("changed = True\n")

    assert before == images.ref(image)
    assert images.ref(image, tmp_path) != before


def test_refs_of_deps_depend_on_no_code() -> None:
    deps = images.IMAGES["api"].deps
    assert deps
    assert deps.files() == [Path("api/Dockerfile"), Path("api/requirements.txt")]


@pytest.mark.parametrize("folder", ["operator", "api", "trainer-image"])
def test_docker_build_may_copy_what_the_dockerfile_copies(folder: str) -> None:
    """Our own build takes the files by `Image.sources`; who builds with Docker has .dockerignore instead."""
    dockerfile = (REPOSITORY / folder / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+) ", dockerfile, re.MULTILINE)
    allowed = [
        line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    assert copied
    assert [path for path in copied if not any(Path(path).match(pattern) for pattern in allowed)] == []


def test_versions_of_torch_stand_in_its_pins_alone() -> None:
    assert pins.pinned("torch").keys() >= pins.TORCH
    dockerfile = (REPOSITORY / "trainer-image/Dockerfile").read_text()
    assert not re.search(r"[\w\]]\s*(==|~=|>=)\s*\d", dockerfile)


def test_torch_pins_leave_out_what_the_trainer_has() -> None:
    # Twice in the image, /opt/venv's would win and the other be dead weight.
    assert pins.pinned("torch").keys().isdisjoint(pins.pinned("trainer"))


@pytest.mark.parametrize(
    ("asked", "want"), [("torch (==2.10.0)", "torch==2.10.0"), ("torch (>=2.14.0)", None)]
)
def test_apart_from_torch_tells_what_does_not_fit(asked: str, want: str | None) -> None:
    report: list[dict[str, Any]] = [{"metadata": {"requires_dist": ["numpy", asked]}}, {"metadata": {}}]
    assert pins.apart_from_torch("2.14.1", report) == want
