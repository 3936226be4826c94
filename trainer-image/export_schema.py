"""Write what the installed Ultralytics accepts as JSON: the source of `crds/yolo_crds/schema.json`.

Façade and operator must know argument names, types and bounds, but may not import Ultralytics (its licence
and its two gigabytes of torch stay in the trainer image). So the trainer image exports them, and the file is
committed. Run it inside that image: `python -m cluster.images schema` does, and writes the file.

Names, types and bounds come from the typed key sets of `ultralytics.cfg`; defaults, and the types of the keys
that are in no set, from `cfg/default.yaml` and its comments, which read `name: value # (types) description`.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import ultralytics
from ultralytics import cfg
from ultralytics.nn.tasks import guess_model_scale, guess_model_task
from ultralytics.utils import LOGGER, YAML
from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

VERSION = 1  # of the layout of this file
COMMENT = re.compile(r"^(\w+):[^#]*#\s*\(([^)]*)\)\s*(.*)$")
SECTION = re.compile(r"^# ([A-Z][\w/. ]*?) ?-*$")
JSON_TYPES = {
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "str": "string",
    "list": "array",
    "tuple": "array",
    "list[int]": "array",
}
# As in guess_model_scale, but keeping what follows the letter: yolo11n-seg is scale n of yolo11-seg.
SCALED = re.compile(r"(\d+)([nslmx])(.+)?$")
# Assets that no training starts from: other libraries' models, exports, calibration data.
TRAINABLE = re.compile(r"^(yolo(?!_nas)|rtdetr).*\.pt$")


def _comments(text: str) -> dict[str, tuple[list[str], str, str]]:
    """Types, description and section of each argument, read from default.yaml's comments."""
    found: dict[str, tuple[list[str], str, str]] = {}
    section = "mode"
    for line in text.splitlines():
        if match := COMMENT.match(line):
            name, types, description = match.groups()
            found[name] = ([t.strip() for t in re.split(r"[|,]", types)], description.strip(), section)
        elif match := SECTION.match(line):
            words = match[1].lower().replace("settings", "").strip()
            section = words if len(words) < 20 else section  # longer lines are prose
    return found


def _types(name: str, commented: list[str]) -> list[str]:
    """JSON types of one argument: the code's own key sets first, the comment for the keys in none."""
    if name in cfg.CFG_BOOL_KEYS:
        return ["boolean"]
    if name in cfg.CFG_INT_KEYS:
        return ["integer"]
    if name in cfg.CFG_FLOAT_KEYS:
        return ["number"]
    if name in cfg.CFG_STR_KEYS:
        return ["string"]
    types = {JSON_TYPES[t] for t in commented if t in JSON_TYPES}
    if name in cfg.CFG_FRACTION_KEYS:
        types = (types & {"array"}) | {"number"}  # `fraction` also takes a list
    if "number" in types:
        types.discard("integer")  # JSON Schema: every integer is a number
    return sorted(types)


def _bounds(name: str) -> dict[str, float]:
    """Limits that check_cfg enforces, whichever type it is given (a list is checked by Ultralytics alone)."""
    if name in cfg.CFG_INT_MIN:
        return {"minimum": cfg.CFG_INT_MIN[name]}
    if name == "fraction":
        return {"minimum": 0}  # above 1 it is a number of images
    if name in cfg.CFG_FRACTION_KEYS or name == "scale":
        return {"minimum": 0, "maximum": 1}
    return {}


def arguments() -> dict[str, dict[str, Any]]:
    """Every argument by name: types, default, whether null is accepted, bounds, description, section."""
    comments = _comments(cfg.DEFAULT_CFG_PATH.read_text(encoding="utf-8"))
    found = {}
    for name, default in cfg.DEFAULT_CFG_DICT.items():
        commented, description, section = comments[name]
        found[name] = {
            "default": default,
            "description": description,
            # check_cfg refuses None only for typed arguments whose default is something else.
            "nullable": default is None or name == "auto_augment",
            "section": section,
            "types": _types(name, commented),
            **_bounds(name),
        }
    return found


def architectures() -> dict[str, dict[str, str]]:
    """Every model YAML by the name that a user may give: its task, its file, its scale letter."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(Path(cfg.__file__).parent.joinpath("models").rglob("*.yaml")):
        model = YAML.load(path)
        # None for RT-DETR's head, which guess_model_task does not know; its class trains detection only.
        entry = {"task": guess_model_task(model) or "detect", "file": path.name}
        found[path.name] = entry
        if SCALED.search(path.stem):
            continue  # the file's own name has the letter, as yolov10n.yaml
        for scale in model.get("scales") or {}:
            name = re.sub(r"(\d+)", rf"\g<1>{scale}", path.name, count=1)
            if SCALED.sub(r"\1\3", name) == path.name and guess_model_scale(name) == scale:
                found[name] = {**entry, "scale": scale}
    return found


def weights() -> dict[str, dict[str, str]]:
    """Every published checkpoint that a training can start from: its task, as Ultralytics reads names."""
    return {n: {"task": guess_model_task(n)} for n in sorted(GITHUB_ASSETS_NAMES) if TRAINABLE.match(n)}


def schema() -> dict[str, Any]:
    """The whole export."""
    return {
        "version": VERSION,
        "ultralytics": ultralytics.__version__,
        "tasks": list(cfg.TASKS),
        "taskMetric": dict(cfg.TASK2METRIC),
        "arguments": arguments(),
        "architectures": architectures(),
        "weights": weights(),
    }


if __name__ == "__main__":
    LOGGER.setLevel("ERROR")  # guess_model_task warns of every name without a suffix
    # Into a file: Ultralytics logs to stdout.
    text = json.dumps(schema(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    Path(sys.argv[1]).write_text(text, encoding="utf-8")
