import copy
import json
from typing import Any

import pytest
from pydantic import ValidationError

from yolo_api.convert import to_manifest, to_patch, to_template
from yolo_api.errors import ConflictError, InvalidFieldsError, to_problem
from yolo_api.kube import Manifest
from yolo_api.schemas import StartRequest
from yolo_crds.meta import ANNOTATION_WARNINGS
from yolo_crds.training import YoloTraining

LABELS = ["helmet", "person"]


def request(**changes: object) -> StartRequest:
    body = {
        "model_name": "helmet",
        "train_ucd": "helmet_demo",
        "val_ucd": "None",
        "labels": "helmet,person",
        **changes,
    }
    return StartRequest.model_validate(body)


def template(**changes: object) -> Any:
    return to_manifest(request(**changes), LABELS)["spec"]["template"]


WANT_DEFAULT: Manifest = {
    "apiVersion": "yolo.training/v1alpha1",
    "kind": "YoloTraining",
    "metadata": {
        "name": "helmet",
        "annotations": {"yolo.training/model-name": "helmet", "yolo.training/warnings": "[]"},
    },
    "spec": {
        "modelName": "helmet",
        "run": 1,
        "resume": False,
        "template": {
            "model": "yolov5s",
            "data": {
                "train": "helmet_demo",
                "labels": LABELS,
                "lostLabels": "leaveOut",
                "missingClasses": "refuseTypos",
            },
            "epochs": 30,
            "batch": 10,
            "imgsz": 640,
            "optimizer": "auto",
            "hyperparameters": {},
            "extraArgs": {},
            "resources": {"gpus": 1},
        },
    },
}


def test_to_manifest_has_the_old_servers_defaults() -> None:
    assert to_manifest(request(), LABELS) == WANT_DEFAULT


def test_to_manifest_leaves_a_url_as_it_is() -> None:
    url = "https://example.org/a.zip?sig=a\\b/"
    data = to_manifest(request(train_ucd=f" {url}", val_ucd=url), LABELS)["spec"]["template"]["data"]
    assert (data["train"], data["val"]) == (url, url)


def test_to_manifest_of_everything_is_a_valid_training() -> None:
    asked = request(
        model_type="yolo11n.yaml",
        batch_size="16",
        device="0,1",
        epochs="100",
        imgsz="650",
        workers="4",
        model_name="安全帽 v1.2",
        train_ucd="team\\helmet_demo",
        val_ucd="datasets/val/",
        continue_train="true",
        hyp_dict={"lr0": "0.02", "copy_paste_mode": "mixup", "obj": 1},
    )
    manifest = to_manifest(asked, LABELS, {"cpu": "500m", "memory": "4Gi", "sharedMemory": "512Mi"})
    assert manifest["metadata"]["name"].startswith("v1-2-")
    assert json.loads(manifest["metadata"]["annotations"]["yolo.training/warnings"]) == [
        "hyp_dict: ignored obj: Ultralytics has no counterpart"
    ]
    assert manifest["spec"] == {
        "modelName": "安全帽 v1.2",
        "run": 1,
        "resume": True,
        "template": {
            "model": "yolo11n.yaml",
            "data": {
                "train": "team/helmet_demo",
                "val": "datasets/val",
                "labels": LABELS,
                "lostLabels": "leaveOut",
                "missingClasses": "refuseTypos",
            },
            "epochs": 100,
            "batch": 16,
            "imgsz": 672,
            "workers": 4,
            "optimizer": "SGD",
            "hyperparameters": {"lr0": 0.02},
            "extraArgs": {"copy_paste_mode": "mixup"},
            "resources": {"gpus": 2, "cpu": "500m", "memory": "4Gi", "sharedMemory": "512Mi"},
        },
    }
    YoloTraining.model_validate(manifest)


@pytest.mark.parametrize(
    ("device", "want"),
    [
        (0, 1),
        (3, 1),
        ("0", 1),
        ("7", 1),
        ("cuda:1", 1),
        ("cuda", 1),
        ("", 1),
        (None, 1),
        ("0,1,2", 3),
        ("0, 1", 2),
        ("cuda:0,1", 2),
        ([0, 1, 2], 3),
        (["0", "3"], 2),
        ([5], 1),
        ("cpu", 0),
        ("CPU", 0),
        (-1, 0),
        ("-1", 0),
    ],
)
def test_to_manifest_counts_the_gpus_of_a_device(device: object, want: int) -> None:
    assert template(device=device, batch_size=12)["resources"] == {"gpus": want}


@pytest.mark.parametrize(("size", "want"), [(10, 9), (2, 3), (9, 9)])
def test_to_manifest_makes_a_batch_one_that_the_gpus_share(size: int, want: int) -> None:
    made = to_manifest(request(device="0,1,2", batch_size=size), LABELS)
    assert made["spec"]["template"]["batch"] == want
    told = made["metadata"]["annotations"][ANNOTATION_WARNINGS]
    assert (f"batch_size: {size} images cannot be shared by 3 GPUs" in told) == (size != want)


@pytest.mark.parametrize(
    ("asked", "want"),
    [
        ({"batch_size": 12}, (12, None)),
        ({"batch_size": 9}, (8, "9 images cannot be shared by 4 GPUs")),
        ({"device": "0", "batch_size": 9}, (8, "9 images cannot be shared by 2 GPUs")),
    ],
)
def test_to_template_shares_the_batch_over_all_nodes(
    asked: dict[str, object], want: tuple[int, str | None]
) -> None:
    nodes = {"resources": {"gpus": 2, "nodes": 2}, "batch": 16}
    made = to_template(request(**asked, continue_train=True), LABELS, {}, base=nodes)
    assert (made.template["batch"], made.template["resources"]["nodes"]) == (want[0], 2)
    assert (want[1] or "") in " ".join(made.warnings)


def test_to_template_refuses_several_nodes_without_gpus() -> None:
    nodes = {"resources": {"gpus": 2, "nodes": 2}, "batch": 16}
    with pytest.raises(InvalidFieldsError, match=r"^device: 2 nodes train on at least one GPU each"):
        to_template(request(device="cpu"), LABELS, {}, base=nodes)


def test_to_manifest_refuses_a_batch_by_memory_on_several_gpus() -> None:
    with pytest.raises(InvalidFieldsError, match=r"^batch_size: -1 lets the memory of one GPU choose"):
        template(device="0,1,2", batch_size=-1)


@pytest.mark.parametrize(
    "device", [-2, "gpu", "mps", "0,0", [0, 0], [], "0,-1", [-1], 1.5, True, {"gpu": 0}, "0,", [[0]]]
)
def test_start_request_refuses_a_device(device: object) -> None:
    with pytest.raises(ValidationError, match="must be an index from 0"):
        request(device=device)


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({"model_type": "yolov5x"}, {"model": "yolov5x"}),
        ({"model_type": " rtdetr-l.pt "}, {"model": "rtdetr-l.pt"}),
        ({"model_type": "mine\\v1.pt"}, {"model": "mine/v1.pt"}),
        ({"batch_size": -1}, {"batch": -1}),
        ({"batch_size": "8"}, {"batch": 8}),
        ({"batch_size": None}, {"batch": 10}),
        ({"epochs": 1.0}, {"epochs": 1}),
        ({"imgsz": 1}, {"imgsz": 32}),
        ({"imgsz": 640}, {"imgsz": 640}),
        ({"imgsz": 641}, {"imgsz": 672}),
        ({"workers": 0}, {"workers": 0}),
        (
            {"val_ucd": ""},
            {
                "data": {
                    "train": "helmet_demo",
                    "labels": LABELS,
                    "lostLabels": "leaveOut",
                    "missingClasses": "refuseTypos",
                }
            },
        ),
        (
            {"val_ucd": None},
            {
                "data": {
                    "train": "helmet_demo",
                    "labels": LABELS,
                    "lostLabels": "leaveOut",
                    "missingClasses": "refuseTypos",
                }
            },
        ),
        (
            {"val_ucd": "none"},
            {
                "data": {
                    "train": "helmet_demo",
                    "labels": LABELS,
                    "lostLabels": "leaveOut",
                    "missingClasses": "refuseTypos",
                }
            },
        ),
        (
            {"val_ucd": "v"},
            {
                "data": {
                    "train": "helmet_demo",
                    "labels": LABELS,
                    "lostLabels": "leaveOut",
                    "missingClasses": "refuseTypos",
                    "val": "v",
                }
            },
        ),
        (
            {"lost_labels": "refuse"},
            {
                "data": {
                    "train": "helmet_demo",
                    "labels": LABELS,
                    "lostLabels": "refuse",
                    "missingClasses": "refuseTypos",
                }
            },
        ),
        (
            {"missing_classes": "allow"},
            {
                "data": {
                    "train": "helmet_demo",
                    "labels": LABELS,
                    "lostLabels": "leaveOut",
                    "missingClasses": "allow",
                }
            },
        ),
        ({"hyp_dict": None}, {"hyperparameters": {}}),
        ({"hyp_dict": {"momentum": 0.9}}, {"hyperparameters": {"momentum": 0.9}, "optimizer": "SGD"}),
    ],
)
def test_to_manifest_fields(changes: dict[str, object], want: dict[str, object]) -> None:
    got = template(**changes)
    assert {key: got[key] for key in want} == want


def test_to_manifest_warns_of_unknown_fields() -> None:
    manifest = to_manifest(request(epoch=3, colour="red"), LABELS)
    assert json.loads(manifest["metadata"]["annotations"]["yolo.training/warnings"]) == [
        "ignored the unknown field 'epoch'; did you mean 'epochs'?",
        "ignored the unknown field 'colour'",
    ]


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({"model_name": "x"}, "model_name: a model name has 2 to 128 characters, this one has 1"),
        ({"model_name": "../etc"}, "model_name: a model name neither begins nor ends with a blank or a dot"),
        ({"model_name": "a/b"}, "model_name: a model name has letters, digits, '.', '_', '-' and blanks; "),
        ({"model_name": "a;rm"}, "model_name: a model name has letters, digits, '.', '_', '-' and blanks; "),
        ({"model_name": 17}, "model_name: input should be a valid string, got 17"),
        ({"model_name": None}, "model_name: is required"),
        ({"batch_size": 0}, "batch_size: must be at least 1, or -1 to choose by the GPU's memory"),
        ({"batch_size": -2}, "batch_size: input should be greater than or equal to -1, got -2"),
        ({"batch_size": 1.5}, "batch_size: input should be a valid integer, got a number with a fractional"),
        ({"epochs": 0}, "epochs: input should be greater than or equal to 1, got 0"),
        ({"epochs": "many"}, "epochs: input should be a valid integer, unable to parse string as an integer"),
        ({"epochs": True}, "epochs: must be a whole number, got true"),
        ({"imgsz": 9000}, "imgsz: input should be less than or equal to 8192, got 9000"),
        ({"workers": -1}, "workers: input should be greater than or equal to 0, got -1"),
        ({"continue_train": "maybe"}, "continue_train: input should be a valid boolean, "),
        ({"hyp_dict": [1]}, "hyp_dict: input should be a valid dictionary, got [1]"),
        ({"labels": ["a", "b"]}, "labels: input should be a valid string, got ['a', 'b']"),
        ({"train_ucd": ""}, "train_ucd: string should have at least 1 character, got ''"),
        ({"device": 64 * "0,"}, "device: must be an index from 0"),
        ({"device": list(range(65))}, "device: at most 64 GPUs, got 65"),
    ],
)
def test_start_request_says_which_field_is_wrong(changes: dict[str, object], want: str) -> None:
    with pytest.raises(ValidationError) as refused:
        request(**changes)
    (problem,) = [to_problem(dict(error)) for error in refused.value.errors()]
    assert ": ".join(problem).startswith(want)


def test_start_request_names_a_misspelt_required_field() -> None:
    with pytest.raises(ValidationError) as refused:
        StartRequest.model_validate({"modelname": "a1", "train_ucd": "a", "val_ucd": "b", "labels": "c"})
    problems = [to_problem(dict(error)) for error in refused.value.errors()]
    assert problems == [("model_name", "is required; the body has 'modelname'")]


@pytest.mark.parametrize("model_type", ["yolov5s; rm -rf /", "$(id)", "a b", "ü"])
def test_to_manifest_refuses_what_is_no_model(model_type: str) -> None:
    with pytest.raises(InvalidFieldsError, match=r"model_type: .* is no model"):
        template(model_type=model_type)


def finished(**spec: Any) -> Manifest:
    body = copy.deepcopy(WANT_DEFAULT)
    body["metadata"] |= {"resourceVersion": "7", "annotations": {"kept": "yes"}}
    body["spec"] |= {"stop": True, "lifecycle": {"maxRestarts": 1}} | spec
    body["spec"]["template"] |= {"epochs": 100, "patience": 5, "scheduling": {"nodeSelector": {"a": "b"}}}
    return body


def test_to_patch_applies_new_options_and_keeps_the_rest() -> None:
    current = finished()
    before = copy.deepcopy(current)
    operations = to_patch(request(continue_train=True, epochs=200, batch_size=4), LABELS, current)
    assert current == before
    want_template = current["spec"]["template"] | {"epochs": 200, "batch": 4}
    assert operations == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {
            "op": "add",
            "path": "/metadata/annotations",
            "value": {
                "kept": "yes",
                "yolo.training/model-name": "helmet",
                "yolo.training/warnings": "[]",
            },
        },
        {
            "op": "replace",
            "path": "/spec",
            "value": {
                **current["spec"],
                "run": 2,
                "resume": True,
                "stop": False,
                "suspend": False,
                "template": want_template,
            },
        },
    ]


def test_to_patch_replaces_hyperparameters_and_data() -> None:
    current = finished()
    current["spec"]["template"] |= {
        "hyperparameters": {"mosaic": 0.0},
        "data": {"train": "a", "val": "b", "labels": ["x"], "seed": 3},
        "optimizer": "AdamW",
        "resources": {"gpus": 4, "memory": "64Gi"},
    }
    asked = request(continue_train=True, hyp_dict={"lr0": 0.1}, device="cpu", model_type="yolov5s")
    got = to_patch(asked, LABELS, current)[2]["value"]["template"]
    assert got["hyperparameters"] == {"lr0": 0.1}
    assert got["data"] == {"train": "helmet_demo", "labels": LABELS, "seed": 3}
    assert got["optimizer"] == "AdamW"  # it obeys lr0
    assert got["resources"] == {"gpus": 0, "memory": "64Gi"}


def test_to_patch_refuses_another_model() -> None:
    with pytest.raises(ConflictError, match="model_type: 'helmet' is a 'yolov5s' and cannot go on as"):
        to_patch(request(continue_train=True, model_type="yolo11n"), LABELS, finished())
