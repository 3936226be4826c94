"""The CRD's CEL rules on a real API server, and what a tightened bound means to stored objects."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from demo.install import System
from integration.trainings_api import Body, TrainingsApi, refusals
from yolo_crds.generate import build_crd
from yolo_crds.meta import API_VERSION, KIND

STORED: Body = {
    "modelName": "安全帽 v1.2",
    "run": 2,
    "template": {
        "model": "yolo11n.yaml",
        "task": "detect",
        "data": {"train": "cats"},
        "epochs": 500,
        "extraArgs": {"mosaic": 0.5, "freeze": [0, 1], "cos_lr": True},
    },
}
_KEY_RULE = "each key matches"
_GOOD_KEYS = [{}, {"lr0": 1}, {"a" * 64: 1}]
_BAD_KEYS = [{"LR 0": 1}, {"0lr": 1}, {"": 1}, {"a" * 65: 1}, {"lr0": 1, "é": 1}]

# CEL compares them without knowing what they are.
_CHANGED_ARGUMENTS: list[Body] = [
    {},
    {"mosaic": 0.6, "freeze": [0, 1], "cos_lr": True},
    {"mosaic": "0.5", "freeze": [0, 1], "cos_lr": True},
    {"mosaic": 0.5, "freeze": [0, 2], "cos_lr": True},
    {"mosaic": 0.5, "freeze": [0, 1]},
    {"mosaic": 0.5, "freeze": [0, 1], "cos_lr": True, "plots": False},
]


def _template(**changes: Any) -> Body:
    return {"run": 3, "template": STORED["template"] | changes}


def _data(**changes: str | None) -> Body:
    data = {"train": ".", "image": "registry.example.org/cats:1"} | changes
    return _template(data={key: value for key, value in data.items() if value is not None})


def _shared(batch: float | None, gpus: int | None, nodes: int | None = None) -> Body:
    asked = {"gpus": gpus, "nodes": nodes}
    resources = {name: number for name, number in asked.items() if number is not None}
    return _template(batch=batch, resources=resources)


def _limited(cpu: str | int | None, limit: str | int) -> Body:
    return _template(resources={"cpuLimit": limit} | ({} if cpu is None else {"cpu": cpu}))


# (field, start of the message) → what may become of `STORED`, what may not; None removes a field
RULES: dict[tuple[str, str], tuple[list[Body], list[Body]]] = {
    ("spec", "spec.template changes only together with a higher spec.run"): (
        [{"suspend": True}, {"run": 3}, _template(epochs=7), {"run": 99_999}],
        [
            {"template": STORED["template"] | {"epochs": 7}},
            {"run": 1},
            _template(epochs=7) | {"run": 1},
            *({"template": STORED["template"] | {"extraArgs": changed}} for changed in _CHANGED_ARGUMENTS),
        ],
    ),
    ("spec.template.model", "spec.template.model never changes"): (
        [_template(optimizer="SGD")],
        [_template(model="yolo11n.pt")],
    ),
    ("spec.template", "spec.template.task never changes"): (
        [_template(imgsz=320)],
        [_template(task="segment"), _template(task=None)],
    ),
    ("spec", "spec.modelName never changes"): (
        [{"run": 3}],
        [{"modelName": "安全帽 v1.3"}, {"modelName": None}],
    ),
    ("spec.template.data.train", "with data.image, train is a path within the image"): (
        [_data(train=good) for good in (".", "coco/instances.json", "a b/c")]
        + [_data(image=None, train=good) for good in ("/data/cats", "https://example.org/cats.zip")],
        [_data(train=bad) for bad in ("/data/cats", "https://example.org/cats.zip", "http://a")],
    ),
    ("spec.template.data.val", "with data.image, val is a path within the image"): (
        [_data(val="val"), _data(image=None, val="/data/cats")],
        [_data(val="/data/cats"), _data(val="https://example.org/cats.zip")],
    ),
    ("spec.template.batch", "with several GPUs, batch is a whole number that resources.gpus times"): (
        [
            _shared(16, 2),
            _shared(16, None),
            _shared(-1, 0),
            _shared(0.6, 1),
            _shared(None, 4),
            _shared(63, 21),
            _shared(12, 2, 3),
            _shared(None, None, 16),
            _shared(-1, 1, 1),
        ],
        [
            *(_shared(batch, 2) for batch in (-1, 0.6, 4.5)),
            *(_shared(16, 3), _shared(None, 5), _shared(1, 64)),
            *(_shared(8, 2, 3), _shared(-1, 1, 2), _shared(0.6, None, 2), _shared(16, 1, 3)),
        ],
    ),
    ("spec.template.resources.gpus", "several nodes train on at least one GPU each"): (
        [_shared(16, 0, 1), _shared(16, 1, 2), _shared(16, None, 2)],
        [_shared(16, 0, 2)],
    ),
    ("spec.template.resources.cpuLimit", "cpuLimit is at least cpu"): (
        [_limited(*good) for good in ((None, 2), (4, 4), ("500m", "0.5"), (None, "2500m"), ("2", "2k"))],
        [_limited(*bad) for bad in ((None, 1), (4, 2), ("0.5", "499m"), ("2", "1999m"))],
    ),
    ("spec.template.hyperparameters", _KEY_RULE): (
        [_template(hyperparameters=keys) for keys in _GOOD_KEYS],
        [_template(hyperparameters=keys) for keys in _BAD_KEYS],
    ),
}
MODEL_NAMES = (
    ["ab", "_a", "-a", "a-", "a_b.c d", "v1.2", "안전모", "café", "cafe\u0301", "ヘルメット", "９９"],
    ["a/b", "a\\b", "a..b", "..", " ab", "ab ", ".ab", "ab.", "\u0301a", "a\nb", "a\tb", "a\u00a0b", "a:b"],
)


def _find_rules(schema: dict[str, Any], field: str) -> Iterator[tuple[str, str]]:
    """(field that is blamed, message) of every rule."""
    for rule in schema.get("x-kubernetes-validations", []):
        yield field + rule.get("fieldPath", ""), rule["message"]
    for name, child in schema.get("properties", {}).items():
        yield from _find_rules(child, f"{field}.{name}" if field else name)


def _schema(crd: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _training(name: str, spec: Body) -> Body:
    without = {key: value for key, value in spec.items() if value is not None}
    without["template"] = {key: value for key, value in spec["template"].items() if value is not None}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": without}


@pytest.fixture(scope="module")
def stored(trainings: TrainingsApi) -> Iterator[TrainingsApi]:
    """The API with `STORED` in it."""
    trainings.create(_training("crd-rules", STORED)).raise_for_status()
    yield trainings
    trainings.delete("crd-rules")


def test_crd_has_no_rule_without_a_test() -> None:
    found = list(_find_rules(_schema(build_crd()), ""))
    tested = [*RULES, ("spec.modelName", "a model name has")]
    assert sorted(found) == sorted(
        (field, message)
        for field, message in found
        if any(field == of and message.startswith(start) for of, start in tested)
    )
    assert len(found) == len(tested)


@pytest.mark.parametrize("rule", RULES, ids="-".join)
def test_crd_keeps_each_rule(stored: TrainingsApi, rule: tuple[str, str]) -> None:
    field, message = rule
    good, bad = RULES[rule]
    current = stored.get("crd-rules")
    for changes in good:
        answer = stored.replace(_changed(current, changes), dry_run=True)
        assert refusals(answer) == {}, changes
    for changes in bad:
        refused = refusals(stored.replace(_changed(current, changes), dry_run=True))
        assert message in refused.get(field, ""), (changes, refused)


def _changed(current: Body, changes: Body) -> Body:
    return current | {"spec": _training("crd-rules", current["spec"] | changes)["spec"]}


def test_crd_takes_model_names_of_all_scripts_and_no_path(trainings: TrainingsApi) -> None:
    good, bad = MODEL_NAMES
    for name in good:
        answer = trainings.create(_training("crd-name", STORED | {"modelName": name}), dry_run=True)
        assert refusals(answer) == {}, name
    for name in bad:
        answer = trainings.create(_training("crd-name", STORED | {"modelName": name}), dry_run=True)
        assert "a model name has" in refusals(answer).get("spec.modelName", ""), name


def _labelled(*labels: str) -> Body:
    return _template(data={"train": "cats", "labels": [*labels]})


def test_crd_refuses_a_label_that_is_there_twice(stored: TrainingsApi) -> None:
    current = stored.get("crd-rules")
    for good in (_labelled(), _labelled("cat", "dog"), _labelled("cat", "Cat", " cat")):
        assert refusals(stored.replace(_changed(current, good), dry_run=True)) == {}
    for bad in (_labelled("cat", "dog", "cat"), _labelled("dog", "cat", "cat")):
        refused = refusals(stored.replace(_changed(current, bad), dry_run=True))
        assert refused == {"spec.template.data.labels[2]": 'Duplicate value: "cat"'}


def test_labels_of_two_appliers_are_never_merged(trainings: TrainingsApi) -> None:
    """Their order is the class index, so the list is one value to server-side apply."""
    one, other = (
        {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "crd-applied"}, "spec": STORED | spec}
        for spec in (_labelled("cat", "dog"), _labelled("dog"))
    )
    try:
        trainings.apply(one, "first").raise_for_status()
        refused = trainings.apply(other, "second")
        assert refused.status_code == 409
        assert [*refusals(refused)] == [".spec.template.data"]
        swapped = one | {"spec": STORED | _labelled("dog", "cat") | {"run": 4}}
        assert refusals(trainings.apply(swapped, "first")) == {}
        assert trainings.get("crd-applied")["spec"]["template"]["data"]["labels"] == ["dog", "cat"]
    finally:
        trainings.delete("crd-applied")


def _tighten(schema: dict[str, Any]) -> None:
    """A later version that allows less in one field of each kind."""
    spec = schema["properties"]["spec"]["properties"]
    template = spec["template"]["properties"]
    template["epochs"]["maximum"] = 400
    template["optimizer"]["pattern"] = "^(auto|SGD)$"
    template["data"]["properties"]["labels"]["maxItems"] = 1
    template["extraArgs"]["maxProperties"] = 3
    spec["modelName"]["x-kubernetes-validations"].append(
        {"rule": "!self.contains(' ')", "message": "no blank"}
    )


@pytest.fixture
def tighten(system: System, trainings: TrainingsApi) -> Iterator[Callable[[], None]]:
    """Call it to install the tightened CRD; afterwards the real one is back and in force."""

    def install(crd: dict[str, Any], *, strict: bool) -> None:
        system.run_kubectl("apply", "-f", "-", stdin=json.dumps(crd))
        probe = _training("crd-probe", STORED)
        end = time.monotonic() + 20
        while trainings.create(probe, dry_run=True).is_success == strict:
            assert time.monotonic() < end, "the API server did not take up the CRD"
            time.sleep(0.05)

    real = build_crd()
    tightened = copy.deepcopy(real)
    _tighten(_schema(tightened))
    yield lambda: install(tightened, strict=True)
    install(real, strict=False)


def test_crd_leaves_stored_objects_updatable_when_bounds_are_tightened(
    trainings: TrainingsApi, tighten: Callable[[], None]
) -> None:
    loose = _template(optimizer="AdamW", extraArgs={"a": "1", "b": 2, "c": None, "d": [3]})
    loose["template"]["data"] = {"train": "cats", "labels": ["cat", "dog"]}
    outside = {
        "spec.template.epochs",
        "spec.template.optimizer",
        "spec.template.data.labels",
        "spec.template.extraArgs",
    }
    training = _training("crd-ratchet", STORED | loose)
    trainings.create(training).raise_for_status()
    try:
        tighten()
        fresh = _training("crd-fresh", training["spec"])
        assert refusals(trainings.create(fresh, dry_run=True)).keys() >= outside
        # Rules are looked at only where all bounds are kept.
        fresh = _training("crd-fresh", STORED | _template(epochs=400))
        assert refusals(trainings.create(fresh, dry_run=True)).keys() == {"spec.modelName"}

        current = trainings.get("crd-ratchet")
        current["spec"] |= {"suspend": True, "run": 4}
        current["spec"]["template"] |= {"imgsz": 320}
        assert refusals(trainings.replace(current)) == {}
        assert refusals(trainings.replace_status("crd-ratchet", {"phase": "Running", "run": 4})) == {}

        current = trainings.get("crd-ratchet")
        assert current["spec"]["template"]["epochs"] == 500
        current["spec"]["run"] = 5
        current["spec"]["template"]["epochs"] = 450
        assert refusals(trainings.replace(current)).keys() == {"spec.template.epochs"}
        current["spec"]["template"]["epochs"] = 400
        assert refusals(trainings.replace(current)) == {}
    finally:
        trainings.delete("crd-ratchet")
