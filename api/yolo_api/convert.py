"""From an old client's request to the custom resource: pure functions of plain values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from yolo_crds.arguments import check_arguments, check_batch, check_nodes, choose_optimizer
from yolo_crds.meta import ANNOTATION_MODEL_NAME, ANNOTATION_WARNINGS, API_VERSION, KIND, object_name
from yolo_crds.models import infer_task
from yolo_crds.references import is_url
from yolo_crds.training import Resources, Spec

from .data import is_none
from .errors import ConflictError, InvalidFieldsError, to_problem
from .hyperparameters import Converted, convert_hyperparameters
from .models import to_model
from .options import place_options
from .schemas import StartRequest
from .unknown_fields import tell_unknown
from .wording import to_key, to_rest_words

Manifest = dict[str, Any]

_IMGSZ_STEP = 32


@dataclass(frozen=True)
class Conversion:
    """The part of a spec that says what is to be trained and within which limits, and what has to be said
    about how it was made."""

    spec: Manifest
    """`template`, and `lifecycle` where the request or the earlier run has one."""
    warnings: tuple[str, ...] = ()


def to_training(
    request: StartRequest,
    labels: Sequence[str],
    resources: Mapping[str, str],
    base: Mapping[str, Any] | None = None,
) -> Conversion:
    """What is to be trained. With `base`, the spec of an earlier run, options that the request leaves out
    stay as they were there; else they have the old server's defaults.

    `labels` are the class names (`request.labels` may be a file); `resources` go under the requested GPUs.
    Raises InvalidFieldsError for all that cannot be trained as it is asked for.
    """
    asked = set(StartRequest.model_fields) if base is None else request.model_fields_set
    spec: Manifest = {"template": dict((base or {}).get("template") or {})}
    if base and "lifecycle" in base:
        spec["lifecycle"] = base["lifecycle"]
    template: Manifest = spec["template"]
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
        _check_gpus(request)
        template["resources"] = {**resources, **(template.get("resources") or {}), "gpus": request.device}
    place_options(request, spec)
    template = spec["template"]
    warnings = tell_unknown(request.model_extra or {}) + _share_batch(template, request)
    if "hyp_dict" in asked:
        warnings += _place_hyperparameters(template, convert_hyperparameters(request.hyp_dict))
    return Conversion(spec, tuple(warnings))


def _place_hyperparameters(template: Manifest, converted: Converted) -> list[str]:
    """What `hyp_dict` comes to, and the warnings about it."""
    if converted.problems:
        raise InvalidFieldsError(converted.problems)
    template["hyperparameters"] = numbers = converted.hyperparameters
    kept = {name: text for name, text in (template.get("extraArgs") or {}).items() if name not in numbers}
    template["extraArgs"] = kept | converted.extra_args
    _, told = choose_optimizer(template.get("optimizer"), converted.hyperparameters)
    return [*converted.warnings, *([told] if told else [])]


def to_manifest(
    request: StartRequest, labels: Sequence[str], resources: Mapping[str, str] | None = None
) -> Manifest:
    """The YoloTraining that a request asks for. Raises InvalidFieldsError as `to_training`."""
    conversion = to_training(request, labels, resources or {})
    spec = {"modelName": request.model_name, "run": 1, "resume": request.continue_train, **conversion.spec}
    _check(spec)
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": object_name(request.model_name),
            "annotations": _to_annotations(request.model_name, conversion.warnings),
        },
        "spec": spec,
    }


def to_patch(request: StartRequest, labels: Sequence[str], current: Manifest) -> list[Manifest]:
    """The JSON patch that makes an existing training go on with the request's options as its next run.

    It sets the resource version that was read, so the API server refuses it when anything changed since.
    Raises ConflictError when the request asks for another model: its checkpoints would not fit; and
    InvalidFieldsError as `to_training`.
    """
    spec, metadata = current["spec"], current["metadata"]
    template = spec["template"]
    if "model_type" in request.model_fields_set and to_model(request.model_type) != template["model"]:
        raise ConflictError(
            f"model_type: {request.model_name!r} is a {template['model']!r} and cannot go on as "
            f"{request.model_type!r}; leave model_type out, or clear_train_cache and start afresh"
        )
    _refuse_another_task(request, template)
    conversion = to_training(request, labels, {}, base=spec)
    if "task" not in template:
        conversion.spec["template"].pop("task", None)  # inferred then as now
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
        **conversion.spec,
    }
    _check(going_on)
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
        {"op": "replace", "path": "/spec", "value": going_on},
    ]


def _refuse_another_task(request: StartRequest, template: Manifest) -> None:
    was = template.get("task") or infer_task(template["model"])
    if (task := request.option("task")) not in (None, was):
        raise ConflictError(
            f"task: {request.model_name!r} was trained for {was!r} and cannot go on for {task!r}; leave task "
            "out, or clear_train_cache and start afresh"
        )


def _to_data(request: StartRequest, labels: Sequence[str], base: Mapping[str, Any]) -> Manifest:
    data = {**base, "train": _to_reference(request.train_ucd), "labels": list(labels)}
    data.pop("val", None)
    return data if is_none(request.val_ucd) else {**data, "val": _to_reference(request.val_ucd)}


def _check_gpus(request: StartRequest) -> None:
    """Raises InvalidFieldsError where `device` and `gpus` are both given and say different numbers."""
    both = {"device", "gpus"} <= request.model_fields_set
    if both and request.option("gpus") != request.device:
        text = f"asks for {request.option('gpus')}, and device for {request.device}; give one of them"
        raise InvalidFieldsError([("gpus", text)])


def _share_batch(template: Manifest, request: StartRequest) -> list[str]:
    """Makes a batch of images one that the GPUs share evenly, and says so: the old server took any."""
    resources, default = template.get("resources") or {}, Resources()
    each, nodes = resources.get("gpus", default.gpus), resources.get("nodes", default.nodes)
    if few := check_nodes(each, nodes):
        raise InvalidFieldsError([("gpus" if "gpus" in request.model_fields_set else "device", few)])
    gpus = each * nodes
    wrong = check_batch(template["batch"], gpus) if "batch" in template else None
    if wrong is None:
        return []
    if template["batch"] < 1:
        raise InvalidFieldsError([("batch_size", wrong)])
    template["batch"] = max(gpus, template["batch"] // gpus * gpus)
    return [f"batch_size: {wrong}; trained with {template['batch']}"]


def _check(spec: Manifest) -> None:
    """Raises InvalidFieldsError, with the keys of the request, for what resource or trainer would refuse.
    Fields that only a newer resource has are not for this version to judge.
    """
    try:
        checked = Spec.model_validate(spec)
    except ValidationError as error:
        wrong = [one for one in error.errors() if one["type"] != "extra_forbidden"]
        found = [(".".join(map(str, one["loc"])), to_problem(dict(one))[1]) for one in wrong]
    else:
        found = [(problem.field, problem.message) for problem in check_arguments(checked.template)]
    if found:
        raise InvalidFieldsError((to_key(field), to_rest_words(text)) for field, text in found)


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
