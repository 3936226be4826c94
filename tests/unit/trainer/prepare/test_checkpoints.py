"""Files that are named as weights: what they are is said without loading them; real ones: tests/trainer."""

import io
import pickle
import zipfile
from pathlib import Path

import pytest

from yolo_trainer.errors import InvalidArgumentsError, LegacyCheckpointError
from yolo_trainer.prepare.checkpoints import check_checkpoint
from yolo_trainer.prepare.models import resolve_model

V2 = b"\x80\x02"


def archive(*globals_: tuple[str, str], pickled: bytes | None = None, **more: bytes) -> bytes:
    """What torch.save writes, with a pickle that names classes."""
    named = b"".join(f"c{module}\n{name}\n0".encode() for module, name in globals_)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("mine/data.pkl", pickled if pickled is not None else V2 + named + b"N.")
        for name, content in {"mine/version": b"3\n", **more}.items():
            file.writestr(name, content)
    return buffer.getvalue()


def proto_4(module: str, name: str) -> bytes:
    """A pickle of protocol 4 whose class is looked up by strings of the memo."""
    words = b"".join(
        b"\x8c" + bytes([len(word)]) + word.encode() + b"\x94" for word in (module, name, "other")
    )
    return b"\x80\x04" + words + b"000h\x00h\x01\x93."


TASKS = "ultralytics.nn.tasks"
TORCH = [
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch", "FloatStorage"),
    ("collections", "OrderedDict"),
    ("__builtin__", "set"),
]


@pytest.mark.parametrize(
    "globals_",
    [
        [(TASKS, "DetectionModel"), ("ultralytics.nn.modules.head", "Detect"), *TORCH],
        [(TASKS, "SegmentationModel"), ("ultralytics.nn.modules", "Conv"), *TORCH],
        [(TASKS, "YOLOv10DetectionModel"), ("ultralytics.nn.modules.block", "Silence"), *TORCH],
        [(TASKS, "ClassificationModel"), ("torchvision.transforms.transforms", "Compose"), *TORCH],
        [(TASKS, "RTDETRDetectionModel"), ("ultralytics.nn.modules.transformer", "AIFI"), *TORCH],
        [
            (TASKS, "PoseModel"),
            ("ultralytics.yolo.utils", "IterableSimpleNamespace"),
            ("pathlib", "PosixPath"),
        ],
        [(TASKS, "OBBModel"), ("ultralytics.utils.loss", "v8OBBLoss"), ("ultralytics.utils.tal", "Assigner")],
        [(TASKS, "DetectionModel"), ("numpy.core.multiarray", "scalar"), ("numpy", "dtype"), *TORCH],
    ],
)
def test_checkpoints_of_ultralytics_pass(tmp_path: Path, globals_: list[tuple[str, str]]) -> None:
    path = tmp_path / "mine.pt"
    path.write_bytes(archive(*globals_))
    check_checkpoint(path)


def test_pickles_of_later_protocols_pass(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    path.write_bytes(archive(pickled=proto_4(TASKS, "DetectionModel")))
    check_checkpoint(path)


WHOLE = archive((TASKS, "DetectionModel"))
SCRIPT = archive(("__torch__", "Model"), **{"mine/code/__torch__.py": b"", "mine/constants.pkl": b""})


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "a pointer of Git LFS"),
        (b"<!DOCTYPE html><html>Not found</html>", "a web page"),
        (b"\n  <HTML><body>", "a web page"),
        (b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', "a web page"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.3.0" + bytes(40), r"an exported model \(ONNX"),
        (b"\x08\x09:\xe5\x01\n\x10" + bytes(40), r"an exported model \(ONNX"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "Keras"),
        (b"\x1c\0\0\0TFL3" + bytes(40), "TensorFlow Lite"),
        (b"ftrt" + bytes(40), "TensorRT"),
        (b"\x40\x01\0\0{\"description\": 1", "TensorRT"),
        (b"\x40\x01\0\0\0\0\0\0{\"__metadata__\": 1", "safetensors"),
        (b"\0\0\0\0\x02\0\0\0\x05\0\0\0" + bytes(40), "weights of Darknet"),
        (b"\x1f\x8b\x08\0", "an archive"),
        (pickle.dumps({"a.weight": 1}), "a pickle of Python"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "PyTorch before 1.6"),
        (b'{"error": "not found"}', r"of no known kind: it begins with '\{\"error\""),
        (WHOLE[:-30], "torn: "),
        (WHOLE.replace(b"DetectionModel", b"DetectionM0del"), "torn: .*CRC"),
        (archive(pickled=b"\x80\x02X\xff\xff\xff\xffabc"), "torn: "),
        (archive(pickled=b""), "torn: "),
        (archive(("collections", "OrderedDict"), ("torch", "FloatStorage")), "a state dict"),
        (archive(pickled=pickle.dumps({"model": {"a.weight": 1}, "epoch": 3})), "a state dict"),
        (SCRIPT, "a TorchScript export"),
        (archive(("mmdet.models", "YOLOX"), *TORCH), r"another program: its classes are mmdet\.models"),
        (archive(("__main__", "Net"), *TORCH), r"another program: its classes are __main__\.Net"),
        (archive(("os", "system")), r"another program: its classes are os\.system"),
        (archive((TASKS, "DetectionModel"), ("os", "system")), r"does not load: os\.system"),
        (archive((TASKS, "PoseModel"), ("ultralytics.nn.extra.a", "Mine")), "does not load: ultralytics"),
        (archive((TASKS, "PoseModel"), ("ultralytics.models.yolo.model", "YOLO")), "does not load: ultra"),
        (archive(("torch.nn", "Sequential"), ("ultralytics.nn.modules.conv", "Conv")), "layers of"),
        (archive((TASKS, "WorldModel"), *TORCH), r"open-vocabulary model \(WorldModel\): .* text encoder"),
        (archive((TASKS, "YOLOESegModel"), *TORCH), r"open-vocabulary model \(YOLOESegModel\)"),
        (archive(pickled=proto_4(TASKS, "YOLOEModel")), r"open-vocabulary model \(YOLOEModel\)"),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_told_for_what_it_is(tmp_path: Path, content: bytes, want: str) -> None:
    path = tmp_path / "mine.pt"
    path.write_bytes(content)
    with pytest.raises(InvalidArgumentsError, match=want) as found:
        check_checkpoint(path)
    assert found.value.message.startswith(str(path))
    assert found.value.hint


def test_a_zip_of_something_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("images/a.jpg", "")
    with pytest.raises(InvalidArgumentsError, match=r"a zip archive that holds no data\.pkl"):
        check_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [
        archive(("models.yolo", "Model"), ("models.common", "Conv")),
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02cmodels.yolo\nModel\n.",
    ],
    ids=["zip", "before 1.6"],
)
def test_checkpoints_of_the_yolov5_repository_are_refused_as_such(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.pt"
    path.write_bytes(content)
    with pytest.raises(LegacyCheckpointError):
        check_checkpoint(path)


@pytest.mark.parametrize(
    "model", ["yolov8s-world", "yolov8s-worldv2.pt", "yoloe-11s-seg.pt", "yoloe-11s-seg-pf"]
)
def test_open_vocabulary_models_are_refused_by_name_before_the_file_is_asked_for(
    tmp_path: Path, model: str
) -> None:
    with pytest.raises(InvalidArgumentsError, match=r"^template\.model: .* is an open-vocabulary model"):
        resolve_model(model, tmp_path)


@pytest.mark.parametrize("model", ["yolov8s-world.yaml", "yoloe-26s-seg.yaml"])
def test_open_vocabulary_architectures_are_refused(tmp_path: Path, model: str) -> None:
    with pytest.raises(InvalidArgumentsError, match="is an open-vocabulary model"):
        resolve_model(model, tmp_path)


def test_an_own_architecture_with_a_head_for_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "backbone: [[-1, 1, Conv, [64, 3, 2]]]\nhead: [[[0], 1, WorldDetect, [nc, 512, True]]]\n"
    )
    with pytest.raises(
        InvalidArgumentsError, match=r"mine\.yaml describes an open-vocabulary model \(WorldDetect\)"
    ):
        resolve_model("mine.yaml", tmp_path)


def test_names_of_ones_own_may_be_alike(tmp_path: Path) -> None:
    (tmp_path / "my-world.pt").write_bytes(WHOLE)
    assert resolve_model("my-world", tmp_path) == tmp_path / "my-world.pt"
