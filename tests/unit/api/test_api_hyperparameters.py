import pytest

from yolo_api.hyp_arguments import own_key
from yolo_api.hyperparameters import convert_hyperparameters
from yolo_crds.schema import load_schema

# YOLOv5 v7.0, data/hyps/hyp.scratch-low.yaml.
V5_DEFAULTS = {
    "lr0": 0.01,
    "lrf": 0.01,
    "momentum": 0.937,
    "weight_decay": 0.0005,
    "warmup_epochs": 3.0,
    "warmup_momentum": 0.8,
    "warmup_bias_lr": 0.1,
    "box": 0.05,
    "cls": 0.5,
    "cls_pw": 1.0,
    "obj": 1.0,
    "obj_pw": 1.0,
    "iou_t": 0.2,
    "anchor_t": 4.0,
    "fl_gamma": 0.0,
    "hsv_h": 0.015,
    "hsv_s": 0.7,
    "hsv_v": 0.4,
    "degrees": 0.0,
    "translate": 0.1,
    "scale": 0.5,
    "shear": 0.0,
    "perspective": 0.0,
    "flipud": 0.0,
    "fliplr": 0.5,
    "mosaic": 1.0,
    "mixup": 0.0,
    "copy_paste": 0.0,
}
NOT_PASSED = {"cls_pw", "obj", "obj_pw", "iou_t", "anchor_t", "fl_gamma"}


def test_convert_hyperparameters_takes_all_28_of_yolov5() -> None:
    assert len(V5_DEFAULTS) == 28
    converted = convert_hyperparameters(V5_DEFAULTS)
    want = {name: value for name, value in V5_DEFAULTS.items() if name not in NOT_PASSED} | {"box": 7.5}
    assert converted.hyperparameters == want
    assert converted.extra_args == {}
    assert converted.problems == []
    assert converted.warnings == [
        "hyp_dict: ignored obj, obj_pw, iou_t, anchor_t, fl_gamma: Ultralytics has no counterpart",
        "hyp_dict: ignored cls_pw: it means something else in Ultralytics than in YOLOv5",
        "hyp_dict: box 0.05 was taken as a YOLOv5 value and scaled to 7.5: its default is 0.05 there and "
        "7.5 in Ultralytics",
    ]


@pytest.mark.parametrize("name", sorted(V5_DEFAULTS.keys() - NOT_PASSED - {"box", "cls"}))
def test_convert_hyperparameters_passes_on_what_means_the_same(name: str) -> None:
    converted = convert_hyperparameters({name: V5_DEFAULTS[name]})
    assert converted.hyperparameters == {name: V5_DEFAULTS[name]}
    assert converted.warnings == []


@pytest.mark.parametrize("name", sorted(NOT_PASSED))
def test_convert_hyperparameters_never_passes_on_without_a_warning(name: str) -> None:
    converted = convert_hyperparameters({name: 0.7})
    assert (converted.hyperparameters, converted.extra_args) == ({}, {})
    assert len(converted.warnings) == 1
    assert name in converted.warnings[0]


@pytest.mark.parametrize(
    ("given", "want", "warned"),
    [
        ({"box": 0.02}, {"box": 3.0}, True),
        ({"box": "0.1"}, {"box": 15.0}, True),
        ({"box": 7.5}, {"box": 7.5}, False),  # Ultralytics' own scale
        ({"cls": 0.3}, {"cls": 0.3}, False),  # both defaults are 0.5
        ({"lr0": "1e-3"}, {"lr0": 0.001}, False),
        ({"dfl": 1.5, "nbs": 64, "erasing": "0.2"}, {"dfl": 1.5, "nbs": 64, "erasing": 0.2}, False),
    ],
)
def test_convert_hyperparameters_values(
    given: dict[str, object], want: dict[str, float], warned: bool
) -> None:
    converted = convert_hyperparameters(given)
    assert converted.hyperparameters == want
    assert bool(converted.warnings) == warned
    assert converted.problems == []


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (
            {"dropout": 0.1, "close_mosaic": "5", "iou": 0.6},
            ({"dropout": 0.1, "close_mosaic": 5.0, "iou": 0.6}, {}),
        ),
        ({"cos_lr": True, "rect": "false"}, ({}, {"cos_lr": "true", "rect": "false"})),
        ({"freeze": 10}, ({"freeze": 10.0}, {})),
        ({"freeze": [0, 1], "classes": "[0, 2]"}, ({}, {"freeze": "[0, 1]", "classes": "[0, 2]"})),
        ({"auto_augment": None, "freeze": None}, ({}, {"auto_augment": "none", "freeze": "none"})),
        ({"compile": "default"}, ({}, {"compile": "default"})),
    ],
)
def test_convert_hyperparameters_takes_every_argument(
    given: dict[str, object], want: tuple[dict[str, float], dict[str, str]]
) -> None:
    converted = convert_hyperparameters(given)
    assert converted.problems == []
    assert (converted.hyperparameters, converted.extra_args) == want


def test_convert_hyperparameters_takes_the_default_of_every_argument_or_says_where_it_goes() -> None:
    """Whatever the installed version has; so that no argument is ever called unknown that it knows."""
    for name, argument in load_schema().arguments.items():
        if name in NOT_PASSED or own_key(name):
            continue
        converted = convert_hyperparameters({name: argument.default})
        told = dict(converted.problems).get(f"hyp_dict.{name}")
        taken = name in converted.hyperparameters or name in converted.extra_args
        assert taken if told is None else told.startswith("cannot be set: "), (name, told)


def test_convert_hyperparameters_names_a_bounded_number() -> None:
    problems = convert_hyperparameters({f"unknown{number}": 1 for number in range(40_000)}).problems
    assert len(problems) == 21
    assert problems[-1] == ("hyp_dict", "and perhaps more: the first 20 are named")


def test_convert_hyperparameters_puts_words_into_extra_args() -> None:
    converted = convert_hyperparameters({"copy_paste_mode": "mixup"})
    assert (converted.hyperparameters, converted.extra_args) == ({}, {"copy_paste_mode": "mixup"})


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("mosiac", 1, "is no argument of YOLOv5 or Ultralytics; did you mean 'mosaic'?"),
        ("anchor", 4, "is no argument of YOLOv5 or Ultralytics; did you mean 'anchor_t'?"),
        ("lr", 0.1, "is no argument of YOLOv5 or Ultralytics; did you mean 'lr0'?"),
        ("lro", 0.1, "is no argument of YOLOv5 or Ultralytics; did you mean 'lr0'?"),
        ("zzz", 1, "is no argument of YOLOv5 or Ultralytics"),
        ("memory", "3Gi", "is no hyperparameter; give 'memory' beside hyp_dict"),
        ("train_ucd", "x", "is no hyperparameter; give 'train_ucd' beside hyp_dict"),
        ("resume", True, "cannot be set: set continue_train"),
        ("device", "0,1", "cannot be set: the scheduler chooses GPUs; set gpus"),
        ("data", "coco.yaml", "cannot be set: the data set is named by train_ucd"),
        ("name", "exp", "cannot be set: the run folder is chosen by model_name"),
        ("close_mosaic", "late", "must be a number, got 'late'"),
        ("cos_lr", "maybe", "'maybe' does not fit; it takes true or false"),
        ("cos_lr", {"a": 1}, "must be true or false, got {'a': 1}"),
        ("auto_augment", "x" * 257, "has 257 characters; at most 256"),
        ("lr0", 10**400, f"must be a number, got 1{'0' * 76}..."),
        ("freeze", [10**400] * 2, "has 806 characters; at most 256"),
        ("lr0", "fast", "must be a number, got 'fast'"),
        ("lr0", True, "must be a number, got True"),
        ("lr0", None, "must be a number, got None"),
        ("lr0", [0.1], "must be a number, got [0.1]"),
        ("lr0", "nan", "must be a number, got 'nan'"),
        ("lr0", float("inf"), "must be a number, got inf"),
        ("lr0", 3, "3 is too large; at most 1"),
        ("mosaic", -1, "-1 is too small; at least 0"),
        ("distill_model", "x.pt", "cannot be set: a second checkpoint is not loaded"),
    ],
)
def test_convert_hyperparameters_refuses(name: str, value: object, want: str) -> None:
    assert convert_hyperparameters({name: value}).problems == [(f"hyp_dict.{name}", want)]
