"""The CustomResourceDefinition on a real API server: what it refuses, what it fills in, what it shows."""

import copy
import json
from typing import Any

import pytest

from demo.install import System
from integration.trainings_api import TrainingsApi, refusals

GOOD: dict[str, Any] = {
    "apiVersion": "yolo.training/v1alpha1",
    "kind": "YoloTraining",
    "metadata": {"name": "crd-good"},
    "spec": {"suspend": True, "template": {"model": "yolo11n.yaml", "data": {"train": "datasets/none"}}},
}


def _changed(path: str, value: object) -> dict[str, Any]:
    manifest = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    node = manifest
    for key in parents:
        node = node.setdefault(key, {})
    node[last] = value
    return manifest


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.modelName", "安全帽 v1.2"),
        ("spec.run", 99_999),
        ("spec.template.model", "run:安全帽 v1.2/best"),
        ("spec.template.model", "run:helmet/last.pt"),
        ("spec.template.batch", -1),
        ("spec.template.batch", 0.7),
        ("spec.template.hyperparameters", {"lr0": 0.01, "hsv_h": 0}),
        ("spec.template.extraArgs", {"mosaic": 0.5, "cos_lr": True, "freeze": [0, 1], "classes": None}),
        ("spec.template.extraArgs", {"mosaic": "0.5", "cos_lr": "true", "freeze": "[0, 1]"}),
        ("spec.template.data.labels", ["安全帽", "person with vest"]),
        ("spec.template.resources", {"gpuResource": "nvidia.com/mig-1g.10gb", "memory": "24Gi"}),
        ("spec.template.resources", {"cpu": 2, "memory": 17_179_869_184, "sharedMemory": 0, "cpuLimit": "3"}),
    ],
)
def test_crd_accepts(trainings: TrainingsApi, path: str, value: object) -> None:
    assert refusals(trainings.create(_changed(path, value), dry_run=True)) == {}


@pytest.mark.parametrize(
    ("path", "value", "want"),
    [
        ("spec.modelName", "a/b", "spec.modelName"),
        ("spec.modelName", "a..b", "spec.modelName"),
        ("spec.modelName", " ab", "spec.modelName"),
        ("spec.modelName", "x", "spec.modelName"),
        ("spec.run", 0, "spec.run"),
        ("spec.epochs", 3, "spec.epochs"),
        ("spec.template.epochs", 0, "spec.template.epochs"),
        ("spec.template.epochs", "many", "spec.template.epochs"),
        ("spec.template.model", "yolo11n; rm -rf /", "spec.template.model"),
        ("spec.template.model", "run:helmet", "spec.template.model"),
        ("spec.template.model", "run:helmet/epoch7", "spec.template.model"),
        ("spec.template.model", "run:../helmet/best", "spec.template.model"),
        ("spec.template.task", "guess", "spec.template.task"),
        ("spec.template.hyperparameters", {"LR 0": 1}, "spec.template.hyperparameters"),
        ("spec.template.hyperparameters", {"lr0": "high"}, "spec.template.hyperparameters"),
        ("spec.template.resources.memory", "lots", "spec.template.resources.memory"),
        # As Kubernetes has it in every custom resource: whole numbers or text.
        ("spec.template.resources.cpu", 0.5, "must be of type integer,string"),
        ("spec.template.resources.cpu", True, "must be of type integer,string"),
        ("spec.template.resources.gpuResource", "gpu", "spec.template.resources.gpuResource"),
        ("spec.lifecycle.maxRestarts", -1, "spec.lifecycle.maxRestarts"),
    ],
)
def test_crd_refuses_and_names_the_field(
    trainings: TrainingsApi, path: str, value: object, want: str
) -> None:
    refused = refusals(trainings.create(_changed(path, value), dry_run=True))
    assert any(want in text for cause in refused.items() for text in cause), refused


def test_crd_fills_in_defaults(system: System) -> None:
    result = system.run_kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(GOOD))
    spec = json.loads(result.stdout)["spec"]
    assert (spec["run"], spec["resume"], spec["lifecycle"]["maxRestarts"]) == (1, False, 3)
    assert spec["template"]["resources"]["gpus"] == 1
    assert spec["template"]["epochs"] == 100


def test_crd_stores_a_quantity_as_it_was_written(trainings: TrainingsApi) -> None:
    answer = trainings.create(_changed("spec.template.resources", {"cpu": 3}), dry_run=True)
    resources = answer.json()["spec"]["template"]["resources"]
    assert (resources["cpu"], resources["memory"]) == (3, "16Gi")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("mosaic: 0.5", 0.5),
        ("lr0: 1e-3", 0.001),
        ("cos_lr: true", True),
        ("cos_lr: yes", True),
        ("freeze: 10", 10),
        ("freeze: [0, 1, 2]", [0, 1, 2]),
        ("classes: null", None),
        ("auto_augment: none", "none"),
        ('mosaic: "0.5"', "0.5"),
    ],
)
def test_crd_stores_an_argument_as_it_was_written(system: System, text: str, want: object) -> None:
    manifest = json.dumps(GOOD)[:-3] + f', "extraArgs": {{{text}}}' + "}}}"
    result = system.run_kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=manifest)
    (value,) = json.loads(result.stdout)["spec"]["template"]["extraArgs"].values()
    assert (type(value), value) == (type(want), want)


def test_crd_explains_itself(system: System) -> None:
    text = system.kubectl("explain", "yt.spec.template.batch")
    assert "Images a step over all GPUs" in text
    assert "DESCRIPTION:\n    <empty>" not in system.kubectl("explain", "yt.spec.template")
