import copy
import json
from typing import Any

import pytest
from pydantic import ValidationError

from yolo_api.convert import to_manifest, to_patch, to_training
from yolo_api.errors import ConflictError, InvalidFieldsError, to_problem
from yolo_api.hyp_arguments import lift_arguments
from yolo_api.schemas import StartRequest
from yolo_api.spec_keys import FIELDS, KEYS, OPTIONS, OWN_KEYS, WITHOUT_KEY
from yolo_crds.meta import ANNOTATION_WARNINGS
from yolo_crds.training import YoloTraining
from yolo_kube.connection import Manifest

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
        "hyp_dict: ignored obj: Ultralytics has no counterpart",
        "optimizer: took SGD, since auto ignores lr0",
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
        (1.0, 1),
        ([0.0, 1.0], 2),
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
def test_to_training_shares_the_batch_over_all_nodes(
    asked: dict[str, object], want: tuple[int, str | None]
) -> None:
    nodes = {"template": {"resources": {"gpus": 2, "nodes": 2}, "batch": 16}}
    made = to_training(request(**asked, continue_train=True), LABELS, {}, base=nodes)
    assert (made.spec["template"]["batch"], made.spec["template"]["resources"]["nodes"]) == (want[0], 2)
    assert (want[1] or "") in " ".join(made.warnings)


def test_to_training_refuses_several_nodes_without_gpus() -> None:
    nodes = {"template": {"resources": {"gpus": 2, "nodes": 2}, "batch": 16}}
    with pytest.raises(InvalidFieldsError, match=r"^device: 2 nodes train on at least one GPU each"):
        to_training(request(device="cpu"), LABELS, {}, base=nodes)


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
        ({"hyp_dict": {"momentum": 0.9}}, {"hyperparameters": {"momentum": 0.9}}),
    ],
)
def test_to_manifest_fields(changes: dict[str, object], want: dict[str, object]) -> None:
    got = template(**changes)
    assert {key: got[key] for key in want} == want


def test_to_manifest_warns_of_unknown_fields() -> None:
    manifest = to_manifest(request(epoch=3, colour="red", priority="high", lr0=0.1), LABELS)
    assert json.loads(manifest["metadata"]["annotations"]["yolo.training/warnings"]) == [
        "ignored the unknown field 'epoch'; did you mean 'epochs'?",
        "ignored the unknown field 'colour'",
        "ignored the unknown field 'priority'; did you mean 'priority_class_name'?",
        "ignored the unknown field 'lr0'; it belongs into hyp_dict",
    ]


def test_to_manifest_names_a_bounded_number_of_unknown_fields() -> None:
    many = {f"{number}{'x' * 100}": 1 for number in range(40_000)}
    told = json.loads(to_manifest(request(**many), LABELS)["metadata"]["annotations"][ANNOTATION_WARNINGS])
    assert len(told) == 21
    assert told[-1] == "ignored 39980 more unknown fields"
    assert max(map(len, told)) < 200


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
        (
            {"batch_size": 1.5},
            "batch_size: must be a whole number, or below 1 as a part of the GPU's memory, ",
        ),
        ({"epochs": 0}, "epochs: input should be greater than or equal to 1, got 0"),
        ({"epochs": "many"}, "epochs: input should be a valid integer, unable to parse string as an integer"),
        ({"epochs": True}, "epochs: must be a number, got true"),
        ({"imgsz": 9000}, "imgsz: input should be less than or equal to 8192, got 9000"),
        ({"workers": -1}, "workers: input should be greater than or equal to 0, got -1"),
        ({"continue_train": "maybe"}, "continue_train: input should be a valid boolean, "),
        ({"hyp_dict": [1]}, 'hyp_dict: must be an object such as {"lr0": 0.01}, got [1]'),
        ({"hyp_dict": "lr0=1"}, "hyp_dict: must be an object such as {\"lr0\": 0.01}, got 'lr0=1'"),
        (
            {"labels": {"0": "a"}},
            'labels: must be class names joined by ",", a list of them, or the path of a',
        ),
        (
            {"labels": ["a", ["b"]]},
            'labels: must be class names joined by ",", a list of them, or the path of',
        ),
        ({"labels": "[a, b"}, "labels: '[a, b' begins as a list and is none; give one such as"),
        ({"cpu": "many"}, "cpu: string should match pattern"),
        ({"gpus": True}, "gpus: must be a number, got true"),
        ({"task": "detct"}, "task: input should be 'detect', 'segment'"),
        ({"train_ucd": "a\ud800"}, "body: 'train_ucd' holds half of a character (a lone surrogate)"),
        ({"hyp_dict": {"\udc80": 1}}, "body: 'hyp_dict' holds half of a character (a lone surrogate)"),
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


WANT_PLACES: list[tuple[dict[str, object], dict[str, Any]]] = [
    ({"task": "segment", "model_type": "yolo11n-seg"}, {"template": {"task": "segment"}}),
    (
        {"memory": "32Gi", "cpu": 4, "gpus": "2"},
        {"template": {"resources": {"memory": "32Gi", "cpu": "4", "gpus": 2}}},
    ),
    ({"device": "0,1", "gpus": 2}, {"template": {"resources": {"gpus": 2}}}),
    ({"shared_memory": "1Gi", "nodes": 2}, {"template": {"resources": {"sharedMemory": "1Gi", "nodes": 2}}}),
    (
        {"queue_name": "team", "priority_class_name": "high", "node_selector": {"gpu": "h100"}},
        {
            "template": {
                "scheduling": {
                    "queueName": "team",
                    "priorityClassName": "high",
                    "nodeSelector": {"gpu": "h100"},
                }
            }
        },
    ),
    (
        {"tolerations": [{"key": "gpu", "toleration_seconds": 5}]},
        {"template": {"scheduling": {"tolerations": [{"key": "gpu", "tolerationSeconds": 5}]}}},
    ),
    ({"cache": True}, {"template": {"cache": "ram"}}),
    ({"save_interval": {"epochs": 5}}, {"template": {"saveInterval": {"epochs": 5, "minutes": 10}}}),
    ({"data_seed": 3, "seed": 4}, {"template": {"seed": 4, "data": {"seed": 3}}}),
    ({"max_restarts": "0"}, {"lifecycle": {"maxRestarts": 0}}),
    ({"batch_size": 0.7}, {"template": {"batch": 0.7}}),
    ({"memory": None}, {"template": {"resources": {"gpus": 1}}}),
    # Arguments of Ultralytics, which some clients put into hyp_dict:
    (
        {"hyp_dict": {"patience": 5, "optimizer": "AdamW"}},
        {"template": {"patience": 5, "optimizer": "AdamW"}},
    ),
    (
        {"hyp_dict": {"epochs": "7", "batch": 4, "cache": True}},
        {"template": {"epochs": 7, "batch": 4, "cache": "ram"}},
    ),
    ({"hyp_dict": {"epochs": "7"}, "epochs": 7}, {"template": {"epochs": 7}}),
    ({"hyp_dict": {"time": None, "seed": 3}}, {"template": {"seed": 3}}),
    ({"hyp_dict": {"model": "yolo11n.yaml"}}, {"template": {"model": "yolo11n.yaml"}}),
    ({"hyp_dict": '{"mosaic": 0}'}, {"template": {"hyperparameters": {"mosaic": 0.0}}}),
    ({"hyp_dict": {"lr0": 0.1, "optimizer": "auto"}}, {"template": {"optimizer": "auto"}}),
]


def contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], value) for key, value in part.items())
    return bool(whole == part)


@pytest.mark.parametrize(("changes", "want"), WANT_PLACES)
def test_to_manifest_places_every_option(changes: dict[str, object], want: dict[str, Any]) -> None:
    got = to_manifest(lift_arguments(request(**changes)), LABELS)["spec"]
    assert contains(got, want), got


def test_to_patch_places_options_too() -> None:
    asked = lift_arguments(
        request(continue_train=True, memory="1Gi", max_restarts=0, hyp_dict={"patience": 7})
    )
    got = to_patch(asked, LABELS, finished())[2]["value"]
    assert got["template"]["resources"] == {"gpus": 1, "memory": "1Gi"}
    assert (got["template"]["patience"], got["template"]["epochs"]) == (7, 100)
    assert got["lifecycle"] == {"maxRestarts": 0}


def test_every_field_of_the_resource_has_a_key() -> None:
    keys = [*OPTIONS, *OWN_KEYS.values()]
    assert set(keys) <= set(StartRequest.model_fields)
    assert FIELDS.keys() == KEYS.keys() | WITHOUT_KEY
    assert len(OPTIONS) == len(KEYS) - len(OWN_KEYS)
    assert set(keys) | {"device"} == set(StartRequest.model_fields)


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        (
            {"hyp_dict": {"epochs": 5}, "epochs": 6},
            "hyp_dict.epochs: is 5 here and 6 in 'epochs' beside it; give one",
        ),
        (
            {"hyp_dict": {"batch": 5, "batch_size": 6}},
            "hyp_dict.batch_size: is 6 here and 5 in 'batch'; give one of",
        ),
        ({"hyp_dict": {"patience": "x"}}, "hyp_dict.patience: input should be a valid integer"),
        ({"hyp_dict": {"seed": True}}, "hyp_dict.seed: must be a number, got true"),
        ({"device": "0,1", "gpus": 4}, "gpus: asks for 4, and device for 2; give one of them"),
        ({"optimizer": "Adm"}, "optimizer: 'Adm' is none of auto, SGD"),
        ({"task": "segment"}, "task: 'yolov5s' is a model for 'detect', not for 'segment'"),
        ({"nodes": 2, "gpus": 0}, "gpus: 2 nodes train on at least one GPU each"),
        ({"cpu_limit": "x"}, "cpu_limit: string should match"),
    ],
)
def test_to_manifest_refuses_in_the_words_of_the_request(changes: dict[str, object], want: str) -> None:
    try:
        to_manifest(lift_arguments(request(**changes)), LABELS)
    except ValidationError as error:
        text = ": ".join(to_problem(dict(error.errors()[0])))
    except InvalidFieldsError as error:
        text = str(error)
    else:
        text = ""
    assert text.startswith(want)


@pytest.mark.parametrize(
    ("changes", "optimizer", "want"),
    [
        ({"lr0": 0.1}, None, ["optimizer: took SGD, since auto ignores lr0"]),
        ({"lr0": 0.1, "optimizer": "AdamW"}, "AdamW", []),
        (
            {"lr0": 0.1, "optimizer": "auto"},
            "auto",
            ["optimizer auto ignores lr0; name an optimizer, such as SGD or AdamW"],
        ),
        ({"mosaic": 0.1}, None, []),
    ],
)
def test_to_manifest_says_what_becomes_of_the_learning_rate(
    changes: dict[str, object], optimizer: str | None, want: list[str]
) -> None:
    """The spec says what was asked; what trains, `choose_optimizer` says, for `kubectl` and REST alike."""
    made = to_manifest(lift_arguments(request(hyp_dict=changes)), LABELS)
    assert made["spec"]["template"].get("optimizer") == optimizer
    assert json.loads(made["metadata"]["annotations"][ANNOTATION_WARNINGS]) == want


def test_to_patch_takes_another_form_of_an_argument() -> None:
    current = finished()
    current["spec"]["template"]["extraArgs"] = {"freeze": "[0, 1]", "cos_lr": "true"}
    got = to_patch(request(continue_train=True, hyp_dict={"freeze": 10}), LABELS, current)[2]["value"][
        "template"
    ]
    assert (got["hyperparameters"], got["extraArgs"]) == ({"freeze": 10.0}, {"cos_lr": "true"})


def test_to_patch_refuses_another_task() -> None:
    with pytest.raises(
        ConflictError, match="task: 'helmet' was trained for 'detect' and cannot go on for 'pose'"
    ):
        to_patch(request(continue_train=True, task="pose"), LABELS, finished())
    same = to_patch(request(continue_train=True, task="detect"), LABELS, finished())
    assert "task" not in same[2]["value"]["template"]


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
