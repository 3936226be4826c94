"""The agent as it is served: report, health, metrics; and a driver that hangs."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from kubelet_socket import Kubelet, holder
from simulated_gpus.scenario import Library, ScenarioFile
from yolo_crds.gpus import Gap, Gpu, NodeReport
from yolo_gpu_agent.__main__ import main
from yolo_gpu_agent.app import create_app
from yolo_gpu_agent.sampler import Sampler
from yolo_gpu_agent.settings import Settings


@pytest.fixture
def client(node: ScenarioFile, kubelet: Kubelet) -> Iterator[TestClient]:
    settings = Settings(node="node-1", pod_resources_socket=kubelet.socket)
    with TestClient(create_app(settings, fresh=0.0)) as client:
        yield client


def test_gpus_tells_each_gpu_with_its_holder(
    client: TestClient, node: ScenarioFile, kubelet: Kubelet
) -> None:
    uuids = [gpu.uuid for gpu in node.read().gpus]
    kubelet.pods = [holder("train-x", uuids[1])]
    report = NodeReport.model_validate_json(client.get("/gpus").content)
    assert (report.node, report.gap, report.driver_version) == ("node-1", None, "580.95.05")
    assert report.holders_known
    assert [gpu.uuid for gpu in report.gpus] == uuids
    assert [[held.pod for held in gpu.holders] for gpu in report.gpus] == [[], ["train-x"]]


def test_healthz_tells_why_there_is_nothing(node: ScenarioFile, tmp_path: Path) -> None:
    node.change(lambda now: now.with_values(library=Library.NOT_LOADED))
    settings = Settings(node="node-1", pod_resources_socket=tmp_path / "kubelet.sock")
    with TestClient(create_app(settings)) as client:
        answer = client.get("/gpus")
        assert (answer.status_code, answer.json()["gpus"], answer.json()["holdersKnown"]) == (200, [], False)
        health = client.get("/healthz").json()
        assert (health["status"], health["gpus"], health["reason"]) == ("ok", 0, "DriverNotLoaded")
        assert "not loaded on this node" in health["message"]
        assert "is not there" in health["holders"]
        assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize(
    ("library", "want"), [(Library.OK, 200), (Library.MISSING, 200), (Library.MISMATCH, 503)]
)
def test_livez_asks_for_a_new_start_only_after_a_driver_upgrade(
    node: ScenarioFile, tmp_path: Path, library: Library, want: int
) -> None:
    node.change(lambda now: now.with_values(library=library))
    settings = Settings(node="node-1", pod_resources_socket=tmp_path / "kubelet.sock")
    with TestClient(create_app(settings)) as client:
        client.get("/gpus")
        assert (client.get("/livez").status_code, client.get("/healthz").status_code) == (want, 200)


def test_metrics_have_dcgms_names_and_leave_out_what_is_not_known(
    client: TestClient, node: ScenarioFile, kubelet: Kubelet
) -> None:
    gpu = node.read().gpus[0]
    node.change(lambda now: now.with_gpu(0, memory_used="2GiB", utilisation=55).with_gpu(1, utilisation=None))
    kubelet.pods = [holder("p", f"{gpu.uuid}::0"), holder("q", f"{gpu.uuid}::1", namespace="other")]
    lines = client.get("/metrics").text.splitlines()
    labels = (
        f'{{Hostname="node-1",UUID="{gpu.uuid}",container="trainer",gpu="0",modelName="{gpu.name}",'
        'namespace="team,other",pod="p,q"}'
    )
    assert f"DCGM_FI_DEV_GPU_UTIL{labels} 55.0" in lines
    assert f"DCGM_FI_DEV_FB_USED{labels} 2048.0" in lines
    assert f"DCGM_FI_DEV_XID_ERRORS{labels} 0.0" in lines
    assert f"yolo_gpu_healthy{labels} 1.0" in lines
    assert sum(line.startswith("DCGM_FI_DEV_GPU_UTIL{") for line in lines) == 1
    assert sum(line.startswith("DCGM_FI_DEV_GPU_TEMP{") for line in lines) == 2


def test_a_driver_that_hangs_hangs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo_gpu_agent.sampler.HANGING_SECONDS", 0.05)
    release, hangs = threading.Event(), threading.Event()

    def take() -> NodeReport:
        if hangs.is_set():
            release.wait(20)
        return NodeReport(node="n", gpus=(Gpu(index=0),))

    sampler = Sampler("n", take, wait=0.2, fresh=0.0)
    sampler.start()
    assert (sampler.report().gap, len(sampler.last().gpus)) == (None, 1)
    hangs.set()
    started = time.monotonic()
    got = sampler.report()
    assert time.monotonic() - started < 5
    assert (got.gap, len(got.gpus)) == (Gap.NOT_ANSWERING, 1)
    assert got.age > 0
    hangs.clear()
    release.set()
    assert _until_answering(sampler).gap is None
    sampler.stop()


def _until_answering(sampler: Sampler) -> NodeReport:
    deadline = time.monotonic() + 5
    while (report := sampler.report()).gap and time.monotonic() < deadline:
        pass
    return report


def test_a_look_that_fails_is_told_and_the_next_one_is_taken() -> None:
    fails = threading.Event()
    fails.set()

    def take() -> NodeReport:
        if fails.is_set():
            raise ZeroDivisionError("x")
        return NodeReport(node="n")

    sampler = Sampler("n", take, fresh=0.0)
    sampler.start()
    got = sampler.report()
    assert (got.gap, got.holders_known) == (Gap.ERROR, False)
    assert "ZeroDivisionError" in (got.message or "")
    fails.clear()
    assert sampler.report().gap is None
    sampler.stop()


def test_settings_name_the_variable_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("YOLO_GPU_AGENT_NODE", raising=False)
    monkeypatch.setenv("YOLO_GPU_AGENT_PORT", "0")
    assert main() == 2
    told = capsys.readouterr().err
    assert "YOLO_GPU_AGENT_NODE: Field required" in told
    assert "YOLO_GPU_AGENT_PORT: " in told
