"""The documentation's shell blocks, typed as they stand by a new user of the installed system."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cluster import Cluster, buildah_command, images
from cluster.ports import free_port
from demo.digits import make_pictures, write_ucd, write_yolo_folder
from demo.install import ROOT, System, change_values
from metrics_page import read_page
from pages import run_page

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
_TAG = "docs"
_TEAM = "vision"


@pytest.fixture(scope="module")
def values(system: System, cluster: Cluster) -> Iterator[dict[str, str]]:
    """What the reader's own values are here; the second team goes in the end."""
    for reference in images.refs().values():
        named = f"{reference.rpartition(':')[0]}:{_TAG}"
        subprocess.run([*buildah_command(), "tag", reference, named], check=True)
        cluster.load(named)
    # A node of two cores: of memory too a training gets less than the pages say.
    yield {
        "REGISTRY": "registry.local",
        "TAG": _TAG,
        "CPU": "500m",
        "MEMORY": "3Gi",
        "PORT": str(free_port()),
    }
    change_values(system, "operator.namespaces=null")
    system.run("helm", "uninstall", _TEAM, "--namespace", _TEAM, "--ignore-not-found")
    system.run("kubectl", "delete", "namespace", _TEAM, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a clone, with what the reader has beside: a YOLO data set and two of UCD."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "charts").symlink_to(ROOT / "charts")
    train, val = list(make_pictures("train", 16)), list(make_pictures("val", 8))
    # Pictures that no other test has prepared, or the set would be listed under that one's name.
    own = {"train": list(make_pictures("train", 16, seed=1)), "val": list(make_pictures("val", 8, seed=1))}
    yolo = write_yolo_folder(folder / "volume", "helmets", own)
    shutil.move(yolo, folder / "helmets")
    write_ucd(folder, "helmets-train", train)
    write_ucd(folder, "helmets-val", val)
    return folder


@pytest.mark.parametrize("page", ["install.md", "air-gap.md", "teams.md", "metrics.md", "operations.md"])
def test_page_does_what_it_says(
    page: str, system: System, values: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order in which they build on each other."""
    run_page(ROOT / "docs" / page, folder, system.environment, values, seconds=240)


def test_restored_training_is_not_trained_again(system: System, folder: Path) -> None:
    """After operations.md: the object is another one, and the operator has seen it."""
    saved = (folder / "backup" / "trainings.yaml").read_text(encoding="utf-8")
    metrics = _metrics(system, "operator")
    end = time.monotonic() + 60
    while 'yolo_operator_trainings{phase="Succeeded"} 0.0' in metrics or "queue_depth 0.0" not in metrics:
        assert time.monotonic() < end, metrics
        time.sleep(0.5)
        metrics = _metrics(system, "operator")
    assert system.kubectl("get", "jobs,pods", "-l", "yolo.training/training=first", "-o", "name") == ""
    training = system.training("first")
    assert training["status"]["phase"] == "Succeeded"
    assert training["status"]["startTime"] in saved
    weights = "/runs/train/first/weights/best.pt"
    told = system.kubectl("exec", f"deploy/{system.release}-data", "--", "sha256sum", weights)
    assert told.split()[0] == training["status"]["weights"]["best"]["sha256"]


def test_metrics_page_names_what_the_programs_tell(system: System) -> None:
    listed = {metric.name for metric in read_page(ROOT / "docs" / "metrics.md")}
    told: set[str] = set()
    for component in ("operator", "api"):
        for family in text_string_to_metric_families(_metrics(system, component)):
            suffix = "_total" if family.type == "counter" else ""
            told |= {family.name + suffix} if not family.name.endswith("_created") else set()
    gpu_agents = {name for name in listed if name.startswith(("DCGM_", "yolo_gpu_"))}
    assert told == listed - gpu_agents


def _metrics(system: System, component: str) -> str:
    port = {"operator": 8080, "api": 60066}[component]
    selector = f"app.kubernetes.io/component={component}"
    pod = system.kubectl(
        "get", "pods", "-l", selector, "--field-selector=status.phase=Running", "-o", "name"
    ).split()[-1]
    path = f"/api/v1/namespaces/{system.namespace}/pods/{Path(pod).name}:{port}/proxy/metrics"
    return system.kubectl("get", "--raw", path)
