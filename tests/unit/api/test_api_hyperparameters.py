import pytest

from yolo_api.hyperparameters import convert_hyperparameters

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
    assert converted.optimizer == "SGD"
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
    [({}, "auto"), ({"mosaic": 0}, "auto"), ({"lr0": 0.1}, "SGD"), ({"momentum": 0.9}, "SGD")],
)
def test_convert_hyperparameters_chooses_an_optimizer_that_obeys(given: dict[str, object], want: str) -> None:
    assert convert_hyperparameters(given).optimizer == want


def test_convert_hyperparameters_puts_words_into_extra_args() -> None:
    converted = convert_hyperparameters({"copy_paste_mode": "mixup"})
    assert (converted.hyperparameters, converted.extra_args) == ({}, {"copy_paste_mode": "mixup"})


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("mosiac", 1, "is no hyperparameter of YOLOv5 or Ultralytics; did you mean 'mosaic'?"),
        ("anchor", 4, "is no hyperparameter of YOLOv5 or Ultralytics; did you mean 'anchor_t'?"),
        ("zzz", 1, "is no hyperparameter of YOLOv5 or Ultralytics"),
        ("batch", 3, "is no hyperparameter; give 'batch_size' beside hyp_dict"),
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
