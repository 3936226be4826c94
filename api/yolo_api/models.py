"""Names of models: what an old client may call one, and which file on the data volume it means."""

import re
from pathlib import PurePosixPath

from yolo_crds.arguments import load_schema

from .errors import InvalidFieldsError

OLD_MODELS = ("yolov5n", "yolov5s", "yolov5m", "yolov5l", "yolov5x")
"""What the old server trained."""
_P6 = re.compile(r"(yolov[58])([nslmx])6\Z")
_ALLOWED = re.compile(r"[A-Za-z0-9._/-]+\Z")


def to_model(model_type: str) -> str:
    """`template.model` for a `model_type`. Raises InvalidFieldsError."""
    model = model_type.strip().replace("\\", "/")
    if not _ALLOWED.match(model):
        text = f"{model_type!r} is no model; give a name such as yolov5s, yolo11n.yaml or folder/name.pt"
        raise InvalidFieldsError([("model_type", text)])
    return model


def weight_files(model: str) -> list[str]:
    """Names of the checkpoint that a bare name or .pt means, the likeliest first: yolov5s.pt is published as
    yolov5su.pt, with Ultralytics' own head.
    """
    stem = model.removesuffix(".pt")
    renamed = f"{stem}u.pt"
    return [renamed, f"{stem}.pt"] if renamed in load_schema().weights else [f"{stem}.pt"]


def package_architecture(model: str) -> str:
    """Name of the package's file for an architecture: yolov5s6.yaml is yolov5s-p6.yaml there."""
    path = PurePosixPath(model)
    return _P6.sub(r"\1\2-p6", path.stem) + ".yaml"


def list_model_types() -> list[str]:
    """Every `model_type` that the installed Ultralytics knows: the old server's, pretrained ones by their
    bare names, then architectures to be trained from scratch.
    """
    schema = load_schema()
    pretrained = [name.removesuffix(".pt") for name in schema.weights]
    return list(dict.fromkeys([*OLD_MODELS, *sorted(pretrained), *sorted(schema.architectures)]))
