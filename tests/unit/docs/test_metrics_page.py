"""docs/metrics.md names every metric that the programs have, its labels, and queries that use them."""

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import yolo_api.metrics
import yolo_gpu_agent.metrics
import yolo_operator.metrics
from demo.install import CHART, ROOT
from metrics_page import GPU_LABELS, ListedMetric, read_page
from pages import read_blocks
from yolo_crds.gpus import Gpu, NodeReport

PAGE = ROOT / "docs" / "metrics.md"
LISTED = {metric.name: metric for metric in read_page(PAGE)}


def _operator() -> bytes:
    metrics = yolo_operator.metrics.Metrics()
    metrics.watch(cast("Any", SimpleNamespace(trainings=list)), lambda: 0)
    metrics.requests.labels("get", "jobs", "200").inc()
    metrics.attempts_failed.labels("OutOfMemory").inc()
    return generate_latest(metrics.registry)


def _facade() -> bytes:
    metrics = yolo_api.metrics.Metrics(cast("Any", SimpleNamespace(entries=list, age=0.0)))
    metrics.observe("GET", "/status", 200, 0.1)
    return metrics.render()


def _agent() -> bytes:
    gpu = Gpu(
        index=0,
        uuid="GPU-0",
        name="A100",
        memory_used=1 << 20,
        memory_total=1 << 30,
        utilization=1,
        temperature=40,
        power_draw=100.0,
    )
    return yolo_gpu_agent.metrics.render(NodeReport(node="n", age=1.0, gpus=[gpu]))


def _told() -> Iterator[tuple[str, frozenset[str]]]:
    for text in (_operator(), _facade(), _agent()):
        for family in text_string_to_metric_families(text.decode()):
            if not family.name.endswith("_created"):
                labels = frozenset().union(*(sample.labels for sample in family.samples)) - {"le"}
                yield family.name + ("_total" if family.type == "counter" else ""), labels


def test_page_lists_every_metric_with_its_labels_and_no_other() -> None:
    assert {name: metric.labels for name, metric in LISTED.items()} == dict(_told())


@pytest.mark.parametrize("metric", LISTED.values(), ids=LISTED)
def test_example_uses_the_metric_and_labels_that_exist(metric: ListedMetric) -> None:
    names = re.findall(r"\b(?:yolo|process|DCGM)_\w+", metric.example)
    stems = {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}
    assert metric.name in stems <= set(LISTED)
    # `job` and `namespace` come from Prometheus.
    known = {"le", "job", "namespace"}.union(*(LISTED[name].labels for name in stems))
    used = set(re.findall(r"(\w+)(?:=|!=|=~)\"", metric.example))
    for labels in re.findall(r"by \(([^)]*)\)", metric.example):
        used |= {label.strip() for label in labels.split(",")}
    assert used <= known
    assert metric.example.count("(") == metric.example.count(")")


def test_scrape_configuration_finds_the_charts_pods() -> None:
    (block,) = [block for block in read_blocks(PAGE.read_text(encoding="utf-8")) if block.language == "yaml"]
    (job,) = yaml.safe_load(block.text)["scrape_configs"]
    label, port = job["relabel_configs"]
    assert label["regex"] == yaml.safe_load((CHART / "Chart.yaml").read_text())["name"]
    assert port["regex"] == "metrics|http"
    ports = {
        folder: re.findall(r"ports:\n\s+- name: (\w+)\n\s+containerPort", path.read_text())
        for folder in ("operator", "api", "gpu-agent")
        for path in (CHART / "templates" / folder).glob("d*.yaml")
    }
    assert ports == {"operator": ["metrics"], "api": ["http"], "gpu-agent": ["http"]}


def test_gpu_labels_are_the_pages_words() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [label for label in GPU_LABELS if f"`{label}`" not in page] == []
