"""Names of models: what an old client may call one."""

import re

from yolo_crds.models import parse_earlier_run
from yolo_crds.schema import load_schema

from .errors import InvalidFieldsError

OLD_MODELS = ("yolov5n", "yolov5s", "yolov5m", "yolov5l", "yolov5x")
"""What the old server trained."""
_ALLOWED = re.compile(r"[A-Za-z0-9._/-]+\Z")


def to_model(model_type: str) -> str:
    """`template.model` for a `model_type`. Raises InvalidFieldsError."""
    model = model_type.strip().replace("\\", "/")
    try:
        if (earlier := parse_earlier_run(model)) is not None:
            return str(earlier)
    except ValueError as error:
        raise InvalidFieldsError([("model_type", str(error))]) from error
    if not _ALLOWED.match(model):
        text = f"{model_type!r} is no model; give a name such as yolov5s, yolo11n.yaml or folder/name.pt"
        raise InvalidFieldsError([("model_type", text)])
    return model


def list_model_types() -> list[str]:
    """Every `model_type` that the installed Ultralytics knows: the old server's, pretrained ones by their
    bare names, then architectures to be trained from scratch.
    """
    schema = load_schema()
    pretrained = [name.removesuffix(".pt") for name in schema.weights]
    return list(dict.fromkeys([*OLD_MODELS, *sorted(pretrained), *sorted(schema.architectures)]))
