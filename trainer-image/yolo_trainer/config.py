"""Read the trainer's one JSON configuration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from yolo_crds.config_env import join_config
from yolo_crds.meta import CONFIG_ENV, normalize_model_name
from yolo_crds.trainer import TrainerConfig

from .errors import InvalidArgumentsError


def load_config(arguments: Sequence[str]) -> TrainerConfig:
    """The configuration in the file that the command line names, else in the environment (`meta.CONFIG_ENV`).

    Raises InvalidArgumentsError that names every wrong field.
    """
    return parse_config(_read(arguments))


def parse_config(text: str) -> TrainerConfig:
    """The configuration in a JSON text; raises InvalidArgumentsError that names every wrong field."""
    try:
        config = TrainerConfig.model_validate_json(text)
        return config.model_copy(update={"model_name": normalize_model_name(config.model_name)})
    except ValidationError as error:
        raise InvalidArgumentsError("; ".join(_sentences(error))) from error
    except ValueError as error:
        raise InvalidArgumentsError(f"modelName: {error}") from error


def _read(arguments: Sequence[str]) -> str:
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        raise InvalidArgumentsError(
            f"usage: python -m yolo_trainer [CONFIG.json]; without a file, {CONFIG_ENV} holds the JSON"
        )
    if not arguments:
        if text := join_config(os.environ):
            return text
        raise InvalidArgumentsError(f"no configuration: give a file, or set {CONFIG_ENV}")
    try:
        return Path(arguments[0]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentsError(f"cannot read the configuration {arguments[0]}: {error}") from error


def _sentences(error: ValidationError) -> list[str]:
    return [f"{'.'.join(map(str, item['loc'])) or 'configuration'}: {item['msg']}" for item in error.errors()]
