"""What façade, operator and trainer read from a model's name."""

import pytest

from yolo_crds import models
from yolo_crds.training import Resources, parse_quantity


@pytest.mark.parametrize(
    ("model", "want"),
    [
        ("yolov5s", "detect"),
        ("yolov5s.pt", "detect"),
        ("yolo11n-seg.pt", "segment"),
        ("yolo26n-sem", "semantic"),
        ("yolov8n-pose.yaml", "pose"),
        ("rtdetr-l", "detect"),
        ("team/mine-obb.pt", "obb"),
        ("classify/mine.pt", "classify"),
        ("mine.pt", "detect"),
    ],
)
def test_infer_task_reads_the_name(model: str, want: str) -> None:
    assert models.infer_task(model) == want


@pytest.mark.parametrize(
    ("model", "want"),
    [
        ("yolo11n", ["yolo11n.pt"]),
        ("yolo11n.pt", ["yolo11n.pt"]),
        ("yolov5s", ["yolov5su.pt", "yolov5s.pt"]),
        ("yolov5s.pt", ["yolov5su.pt", "yolov5s.pt"]),
        ("yolov5su.pt", ["yolov5su.pt"]),
        ("team/mine", ["team/mine.pt"]),
    ],
)
def test_checkpoint_files_prefer_the_published_name(model: str, want: list[str]) -> None:
    assert models.checkpoint_files(model) == want


@pytest.mark.parametrize(
    ("model", "want"),
    [
        ("yolo11n.yaml", "yolo11n.yaml"),
        ("yolov5s6.yaml", "yolov5s-p6.yaml"),
        ("yolov8n6.yaml", "yolov8n-p6.yaml"),
        ("yolo11n.yml", None),
        ("own.yaml", None),
    ],
)
def test_package_architecture_is_the_file_that_ultralytics_opens(model: str, want: str | None) -> None:
    assert models.package_architecture(model) == want


@pytest.mark.parametrize(
    ("model", "want"),
    [
        ("yolo11nn", "yolo11n.pt"),
        ("yolo11nn.pt", "yolo11n.pt"),
        ("yolo11nn.yaml", "yolo11n.yaml"),
        ("yolo11n.yml", "yolo11n.yaml"),
        ("yolov5s", None),
        ("yolov5s6.yaml", None),
        ("mine/v1.pt", None),
    ],
)
def test_suggest_model_is_silent_on_known_names(model: str, want: str | None) -> None:
    assert models.suggest_model(model) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [("2", 2), ("250m", 1), ("1100m", 2), ("0.5", 1), ("1k", 1000), ("8Gi", 8 << 30), ("1.5Mi", 3 << 19)],
)
def test_parse_quantity_counts_whole_units(text: str, want: int) -> None:
    assert parse_quantity(text) == want


def test_parse_quantity_refuses_anything_else() -> None:
    with pytest.raises(ValueError, match="no quantity"):
        parse_quantity("much")


@pytest.mark.parametrize(
    ("given", "want"), [(2, "2"), (0.5, "0.5"), ("500m", "500m"), (17_179_869_184, "17179869184")]
)
def test_a_quantity_may_be_a_number(given: object, want: str) -> None:
    assert Resources.model_validate({"cpu": given, "memory": given}).cpu == want


@pytest.mark.parametrize("given", [True, -1, "2 CPUs", 1e-9, 10**17, [2]])
def test_a_quantity_is_nothing_else(given: object) -> None:
    with pytest.raises(ValueError, match="cpu"):
        Resources.model_validate({"cpu": given})
