"""From an old client's request to the custom resource: pure functions of plain values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yolo_crds.arguments import check_batch, check_nodes
from yolo_crds.meta import ANNOTATION_MODEL_NAME, ANNOTATION_WARNINGS, API_VERSION, KIND, object_name
from yolo_crds.references import is_url
from yolo_crds.schema import nearest
from yolo_crds.training import Resources

from .data import is_none
from .errors import ConflictError, InvalidFieldsError
from .hyperparameters import convert_hyperparameters
from .models import to_model
from .schemas import StartRequest

Manifest = dict[str, Any]

_IMGSZ_STEP = 32


@dataclass(frozen=True)
class Conversion:
    """A `spec.template`, and what has to be said about how it was made."""

    template: Manifest
    warnings: tuple[str, ...] = ()


def to_template(
    request: StartRequest,
    labels: Sequence[str],
    resources: Mapping[str, str],
    base: Mapping[str, Any] | None = None,
) -> Conversion:
    """What is to be trained. With `base`, the template of an earlier run, options that the request leaves out
    stay as they were there; else they have the old server's defaults.

    `labels` are the class names (`request.labels` may be a file); `resources` go under the requested GPUs.
    Raises InvalidFieldsError for a batch by memory on several GPUs, for several nodes without GPUs, and for
    hyperparameters that cannot be passed on.
    """
    asked = set(StartRequest.model_fields) if base is None else request.model_fields_set
    template: Manifest = dict(base or {})
    template["data"] = _to_data(request, labels, template.get("data") or {})
    if "lost_labels" in asked:
        template["data"]["lostLabels"] = request.lost_labels
    if "missing_classes" in asked:
        template["data"]["missingClasses"] = request.missing_classes
    options = {
        "model_type": ("model", to_model(request.model_type)),
        "epochs": ("epochs", request.epochs),
        "batch_size": ("batch", request.batch_size),
        "imgsz": ("imgsz", -(-request.imgsz // _IMGSZ_STEP) * _IMGSZ_STEP),
        "workers": ("workers", request.workers),
    }
    template |= {key: value for name, (key, value) in options.items() if name in asked and value is not None}
    if "device" in asked:
        template["resources"] = {**resources, **(template.get("resources") or {}), "gpus": request.device}
    warnings = _unknown_fields(request) + _share_batch(template)
    if "hyp_dict" in asked:
        converted = convert_hyperparameters(request.hyp_dict)
        if converted.problems:
            raise InvalidFieldsError(converted.problems)
        template["hyperparameters"] = converted.hyperparameters
        template["extraArgs"] = {**template.get("extraArgs", {}), **converted.extra_args}
        if template.get("optimizer", "auto") == "auto":
            template["optimizer"] = converted.optimizer
        warnings += converted.warnings
    return Conversion(template, tuple(warnings))


def to_manifest(
    request: StartRequest, labels: Sequence[str], resources: Mapping[str, str] | None = None
) -> Manifest:
    """The YoloTraining that a request asks for. Raises InvalidFieldsError as `to_template`."""
    conversion = to_template(request, labels, resources or {})
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": object_name(request.model_name),
            "annotations": _to_annotations(request.model_name, conversion.warnings),
        },
        "spec": {
            "modelName": request.model_name,
            "run": 1,
            "resume": request.continue_train,
            "template": conversion.template,
        },
    }


def to_patch(request: StartRequest, labels: Sequence[str], current: Manifest) -> list[Manifest]:
    """The JSON patch that makes an existing training go on with the request's options as its next run.

    It sets the resource version that was read, so the API server refuses it when anything changed since.
    Raises ConflictError when the request asks for another model: its checkpoints would not fit.
    """
    spec, metadata = current["spec"], current["metadata"]
    template = spec["template"]
    if "model_type" in request.model_fields_set and to_model(request.model_type) != template["model"]:
        raise ConflictError(
            f"model_type: {request.model_name!r} is a {template['model']!r} and cannot go on as "
            f"{request.model_type!r}; leave model_type out, or clear_train_cache and start afresh"
        )
    conversion = to_template(request, labels, {}, base=template)
    annotations = {
        **(metadata.get("annotations") or {}),
        **_to_annotations(request.model_name, conversion.warnings),
    }
    going_on = {
        **spec,
        "run": spec.get("run", 1) + 1,
        "resume": True,
        "stop": False,
        "suspend": False,
        "template": conversion.template,
    }
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
        {"op": "replace", "path": "/spec", "value": going_on},
    ]


def _to_data(request: StartRequest, labels: Sequence[str], base: Mapping[str, Any]) -> Manifest:
    data = {**base, "train": _to_reference(request.train_ucd), "labels": list(labels)}
    data.pop("val", None)
    return data if is_none(request.val_ucd) else {**data, "val": _to_reference(request.val_ucd)}


def _share_batch(template: Manifest) -> list[str]:
    """Makes a batch of images one that the GPUs share evenly, and says so: the old server took any."""
    resources, default = template.get("resources") or {}, Resources()
    each, nodes = resources.get("gpus", default.gpus), resources.get("nodes", default.nodes)
    if few := check_nodes(each, nodes):
        raise InvalidFieldsError([("device", few)])
    gpus = each * nodes
    wrong = check_batch(template["batch"], gpus) if "batch" in template else None
    if wrong is None:
        return []
    if template["batch"] < 1:
        raise InvalidFieldsError([("batch_size", wrong)])
    template["batch"] = max(gpus, template["batch"] // gpus * gpus)
    return [f"batch_size: {wrong}; trained with {template['batch']}"]


def _to_reference(ucd: str) -> str:
    """A data set's name as the trainer reads it; a URL as it is, since its signature may end in anything."""
    ucd = ucd.strip()
    if is_url(ucd):
        return ucd
    return ucd.replace("\\", "/").rstrip("/")


def _to_annotations(model_name: str, warnings: Sequence[str]) -> dict[str, str]:
    return {
        ANNOTATION_MODEL_NAME: model_name,
        ANNOTATION_WARNINGS: json.dumps(list(warnings), ensure_ascii=False),
    }


def _unknown_fields(request: StartRequest) -> list[str]:
    """The old server ignored fields that it did not know; so does this one, but says so."""
    warnings = []
    for name in request.model_extra or {}:
        like = nearest(name, StartRequest.model_fields)
        advice = f"; did you mean {like!r}?" if like else ""
        warnings.append(f"ignored the unknown field {name!r}{advice}")
    return warnings
