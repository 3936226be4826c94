"""What `template.model` means on the data volume, and which checkpoint a run can be resumed from."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from yolo_crds.models import (
    checkpoint_files,
    is_architecture,
    known_model,
    package_architecture,
    suggest_model,
)
from yolo_crds.schema import load_schema

from ..data.readers.yaml_file import read_yaml
from ..errors import (
    InvalidArgumentsError,
    InvalidDataError,
    WeightsMissingError,
)
from ..volume import beneath
from .checkpoints import OPEN_VOCABULARY_HINT, check_checkpoint

_OPEN_VOCABULARY = re.compile(r"-world|yoloe")  # as Ultralytics' YOLO tells them by the name
_TEXT_LAYER = re.compile(r"World|YOLOE")
_ACTIVATION = re.compile(r"(?:torch\.)?nn\.\w+\((?:\w+=[\w.\-]+(?:, ?\w+=[\w.\-]+)*)?\)\Z")
_MODULE = re.compile(r"(?:nn\.|torchvision\.ops\.)?\w+\Z")


def resolve_model(model: str, weights: Path) -> Path | None:
    """The checkpoint or architecture file below the weights folder that `model` means; None for an
    architecture that the package brings along.

    Raises WeightsMissingError when there is neither, InvalidArgumentsError for a file that is no model,
    LegacyCheckpointError for a checkpoint of the YOLOv5 repository.
    """
    _refuse_open_vocabulary(model)
    if is_architecture(model):
        return _resolve_architecture(model, weights)
    names = checkpoint_files(model)
    for candidate in names:
        found = _beneath(weights, candidate)
        if found.is_file():
            check_checkpoint(found)
            return found
    like = suggest_model(model)
    scratch = f"{PurePosixPath(model).stem}.yaml"
    raise WeightsMissingError(
        f"template.model: {' or '.join(reversed(names))} is not in {weights}"
        + (f"; did you mean {like}?" if like else ""),
        f"put the file into {weights}"
        + (
            f", or create another training with {scratch}, from scratch"
            if package_architecture(scratch)
            else ""
        ),
    )


def _refuse_open_vocabulary(model: str) -> None:
    """Refuses Ultralytics' own open-vocabulary models by name, before anybody fetches a file of them."""
    if known_model(model) and _OPEN_VOCABULARY.search(PurePosixPath(model).stem):
        raise InvalidArgumentsError(
            f"template.model: {model} is an open-vocabulary model: Ultralytics trains it with a text encoder "
            "from the network, which trainings do not reach",
            OPEN_VOCABULARY_HINT,
        )


def _beneath(weights: Path, name: str) -> Path:
    try:
        return beneath(weights, name)
    except ValueError as error:
        raise InvalidArgumentsError(f"template.model: {error}") from error


def _resolve_architecture(model: str, weights: Path) -> Path | None:
    found = _beneath(weights, model)
    if found.is_file():
        check_architecture(found)
        return found
    if package_architecture(model):
        return None
    like, version = suggest_model(model), load_schema().ultralytics
    raise WeightsMissingError(
        f"template.model: {model} is neither in {weights} nor known to Ultralytics {version}"
        + (f"; did you mean {like}?" if like else ""),
        f"put the file into {weights}, or name an architecture that Ultralytics knows",
    )


def check_architecture(path: Path) -> None:
    """Raises InvalidArgumentsError for a model YAML that is none, or that could run code when it is built:
    Ultralytics evaluates `activation` as Python and looks module names up among its globals.
    """
    try:
        content = read_yaml(path)
    except InvalidDataError as error:
        raise InvalidArgumentsError(f"template.model: {error.message}") from error
    activation = content.get("activation")
    if activation is not None and not (isinstance(activation, str) and _ACTIVATION.match(activation)):
        raise InvalidArgumentsError(
            f"template.model: {path}: `activation: {activation}` is not allowed; "
            "write a torch module, such as nn.LeakyReLU(negative_slope=0.1)"
        )
    layers = [content.get("backbone"), content.get("head")]
    if not all(isinstance(part, list) and part for part in layers):
        raise InvalidArgumentsError(f"template.model: {path} is no model: it needs `backbone:` and `head:`")
    for layer in [one for part in layers if part for one in part]:
        if not _is_layer(layer):
            raise InvalidArgumentsError(
                f"template.model: {path}: {layer!r} is no layer [from, number, module, args]"
            )
        if _TEXT_LAYER.match(layer[2]):
            raise InvalidArgumentsError(
                f"template.model: {path} describes an open-vocabulary model ({layer[2]}): Ultralytics trains "
                "it with a text encoder from the network, which trainings do not reach",
                OPEN_VOCABULARY_HINT,
            )


def _is_layer(layer: Any) -> bool:
    match layer:
        case [int() | list(), int(), str() as module, list()]:
            return bool(_MODULE.match(module)) and not module.startswith("_")
    return False
