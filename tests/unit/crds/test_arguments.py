"""The argument checks that façade and trainer share."""

import pytest

from yolo_crds import arguments
from yolo_crds.schema import load_schema
from yolo_crds.training import Template


def template(**fields: object) -> Template:
    return Template.model_validate(
        {"model": "yolo11n.pt", "data": {"train": "demo", "labels": ["a"]}, **fields}
    )


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("true", True),
        ("False", False),
        ("none", None),
        ("8", 8),
        ("0.5", 0.5),
        ("[0, 2]", [0, 2]),
        ("(0.5, 2.0)", (0.5, 2.0)),
        ("'quoted'", "quoted"),
        ("max-autotune", "max-autotune"),
        ("__import__('os')", "__import__('os')"),
    ],
)
def test_parse_value_reads_as_the_command_line(text: str, want: object) -> None:
    assert arguments.parse_value(text) == want


@pytest.mark.parametrize("name", ["lr0", "mosaic", "close_mosaic", "warmup_epochs", "box"])
def test_check_hyperparameters_accepts_the_defaults(name: str) -> None:
    default = load_schema().arguments[name].default
    assert isinstance(default, int | float)
    assert arguments.check_hyperparameters({name: float(default)}) == []


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("warmup_epoch", 3.0, "did you mean 'warmup_epochs'"),
        ("zzz", 1.0, "has no argument 'zzz'"),
        ("lr", 0.1, "did you mean 'lr0'?"),
        ("learningRate", 0.1, "did you mean 'lr0'?"),
        ("wd", 0.1, "did you mean 'weight_decay'?"),
        ("lr0", 3.0, "too large; at most 1"),
        ("lr0", -1.0, "too small; at least 0"),
        ("nbs", 1.5, "takes a whole number"),
        ("cos_lr", 1.0, "takes true or false"),
        ("epochs", 3.0, "spec.template.epochs"),
        ("save_period", 3.0, "spec.template.savePeriod"),
        ("cls_pw", 1.0, "cannot be set"),
        ("degrees", float("inf"), "finite"),
    ],
)
def test_check_hyperparameters_names_what_is_wrong(name: str, value: float, want: str) -> None:
    (problem,) = arguments.check_hyperparameters({name: value})
    assert problem.field == f"template.hyperparameters.{name}"
    assert want in problem.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cos_lr", "true"),
        ("freeze", "10"),
        ("freeze", "[0, 1]"),
        ("classes", "none"),
        ("compile", "max-autotune"),
        ("fraction", "0.5"),
        ("pretrained", "false"),
        ("close_mosaic", "0"),
    ],
)
def test_check_extra_args_accepts_what_ultralytics_takes(name: str, text: str) -> None:
    assert arguments.check_extra_args({name: text}) == []


@pytest.mark.parametrize(
    ("name", "text", "want"),
    [
        ("project", "/x", "modelName"),
        ("save_dir", "/x", "modelName"),
        ("exist_ok", "true", "modelName"),
        ("device", "0", "resources.gpus"),
        ("resume", "true", "spec.resume"),
        ("data", "coco.yaml", "template.data"),
        ("mode", "val", "trains"),
        ("cfg", "x.yaml", "one by one"),
        ("model", "x.pt", "spec.template.model"),
        ("pretrained", "/tmp/x.pt", "template.model"),
        ("cos_lr", "yes", "takes true or false"),
        ("dropout", "none", "takes a number"),
        ("split", "1", "takes a word"),
        ("mozaic", "1", "did you mean 'mosaic'"),
        ("closeMosaic", "1", "did you mean 'close_mosaic'"),
        ("cos-lr", "true", "did you mean 'cos_lr'"),
        ("LR0", "0.1", "did you mean 'lr0'"),
        ("epochs", "3", "has a field of its own: spec.template.epochs"),
        ("savePeriod", "3", "has a field of its own: spec.template.savePeriod"),
        ("batch_size", "8", "did you mean the field spec.template.batch?"),
        ("save_perioc", "3", "did you mean the field spec.template.savePeriod?"),
        ("", "1", "has no argument ''"),
    ],
)
def test_check_extra_args_names_what_is_wrong(name: str, text: str, want: str) -> None:
    (problem,) = arguments.check_extra_args({name: text})
    assert problem.field == f"template.extraArgs.{name}"
    assert want in problem.message


@pytest.mark.parametrize(
    ("written", "text", "value"),
    [
        (0.5, "0.5", 0.5),
        (1e-05, "1e-05", 1e-05),
        (10, "10", 10),
        (True, "true", True),
        (False, "false", False),
        (None, "none", None),
        ([0, 1, 2], "[0, 1, 2]", [0, 1, 2]),
        ([], "[]", []),
        ("[0, 1]", "[0, 1]", [0, 1]),
        ("max-autotune", "max-autotune", "max-autotune"),
        ("1e-3", "1e-3", 0.001),
    ],
)
def test_extra_args_are_read_as_people_write_them(written: object, text: str, value: object) -> None:
    read = template(extraArgs={"a": written}).extra_args["a"]
    assert (read, arguments.parse_value(read)) == (text, value)


@pytest.mark.parametrize("written", [{}, {"a": 1}, ["x"], [[1]], [True], "x" * 257])
def test_extra_args_that_are_no_value_are_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"list of numbers such as|at most 256"):
        template(extraArgs={"a": written})


@pytest.mark.parametrize("model", ["/etc/x.pt", "../x.pt", "a/../../x.pt", "yolo11n.onnx"])
def test_check_model_refuses(model: str) -> None:
    (problem,) = arguments.check_model(model)
    assert problem.field == "template.model"


def test_check_model_refuses_a_task_that_the_model_is_not_made_for() -> None:
    (problem,) = arguments.check_model("yolo11n.pt", "segment")
    assert problem == arguments.Problem(
        "template.task", "'yolo11n.pt' is a model for 'detect', not for 'segment'"
    )


def test_check_arguments_collects_all() -> None:
    bad = template(optimizer="Sgdd", hyperparameters={"lr0": 2, "dropout": 0.1}, extraArgs={"dropout": "0.1"})
    want = ["template.optimizer", "template.hyperparameters.lr0", "template.extraArgs.dropout"]
    assert [p.field for p in arguments.check_arguments(bad)] == want
    assert arguments.check_arguments(template(optimizer="adamw", hyperparameters={"lr0": 0.003})) == []


@pytest.mark.parametrize(
    ("batch", "gpus", "want"),
    [
        (-1, 1, None),
        (0.5, 0, None),
        (7, 1, None),
        (12, 3, None),
        (16, 3, "16 images cannot be shared by 3 GPUs: it takes a multiple of 3, as 15 or 18"),
        (1, 2, "1 images cannot be shared by 2 GPUs: it takes a multiple of 2, as 2"),
        (4.5, 2, "4.5 images cannot be shared by 2 GPUs: it takes a multiple of 2, as 4 or 6"),
        (
            -1,
            2,
            "-1 lets the memory of one GPU choose; for 2 GPUs give a number of images that is a multiple",
        ),
        (
            0.6,
            4,
            "0.6 lets the memory of one GPU choose; for 4 GPUs give a number of images that is a multiple",
        ),
    ],
)
def test_check_arguments_refuses_a_batch_that_the_gpus_cannot_share(
    batch: float, gpus: int, want: str | None
) -> None:
    problems = arguments.check_arguments(template(batch=batch, resources={"gpus": gpus}))

    assert [p.field for p in problems] == (["template.batch"] if want else [])
    assert not want or problems[0].message.startswith(want)


def test_check_arguments_counts_the_gpus_of_all_nodes() -> None:
    assert arguments.check_arguments(template(batch=12, resources={"gpus": 2, "nodes": 3})) == []
    (problem,) = arguments.check_arguments(template(batch=16, resources={"gpus": 2, "nodes": 3}))
    assert (problem.field, problem.message) == (
        "template.batch",
        "16 images cannot be shared by 6 GPUs: it takes a multiple of 6, as 12 or 18",
    )
    (problem,) = arguments.check_arguments(template(batch=16, resources={"gpus": 0, "nodes": 2}))
    assert problem.field == "template.resources.gpus"
    assert "2 nodes train on at least one GPU each" in problem.message


def test_choose_optimizer_obeys_what_is_given_unless_auto_is_named() -> None:
    assert arguments.choose_optimizer(None, ["mosaic"]) == ("auto", None)
    taken = "optimizer: took SGD, since auto ignores lr0 and momentum"
    assert arguments.choose_optimizer(None, ["mosaic", "momentum", "lr0"]) == ("SGD", taken)
    named, told = arguments.choose_optimizer("Auto", ["mosaic", "momentum", "lr0"])
    assert named == "Auto"
    assert told == "optimizer auto ignores lr0 and momentum; name an optimizer, such as SGD or AdamW"
    assert "warmup_bias_lr" in str(arguments.choose_optimizer("auto", ["warmup_bias_lr"])[1])
    assert arguments.choose_optimizer("auto", ["mosaic"]) == ("auto", None)
    assert arguments.choose_optimizer("SGD", ["lr0"]) == ("SGD", None)


def test_headline_is_there_for_every_task() -> None:
    assert arguments.HEADLINE["detect"] == ("metrics/mAP50-95(B)", "mAP50-95")
    assert arguments.HEADLINE["segment"] == ("metrics/mAP50-95(M)", "mask mAP50-95")
    assert arguments.HEADLINE["semantic"] == ("metrics/mIoU", "mIoU")
