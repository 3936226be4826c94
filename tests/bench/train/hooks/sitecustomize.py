"""Notes when Ultralytics' events come, in any program that has this folder on its PYTHONPATH.

Python imports a module of this name at its start. Each event adds a line of JSON to the file that
BENCH_STAMPS names: `[name, Unix seconds, metrics or null]`.
"""

import importlib.util
import json
import os
import sys
import time
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

_CALLBACKS = "ultralytics.utils.callbacks.base"
_EVENTS = ("on_train_start", "on_train_batch_start", "on_train_epoch_end", "on_fit_epoch_end")


class _Finder(MetaPathFinder):
    """Finds Ultralytics' default callbacks as they are and adds ours when they are imported."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname != _CALLBACKS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            for event in _EVENTS:
                module.default_callbacks[event].append(_stamp(event))

        loader.exec_module = exec_module
        return spec


def _stamp(event: str) -> Any:
    seen: set[int] = set()

    def stamp(trainer: Any) -> None:
        if event == "on_train_batch_start":  # the first one of a training alone
            if seen:
                return
            seen.add(1)
        metrics = {k: float(v) for k, v in trainer.metrics.items()} if event == "on_fit_epoch_end" else None
        with open(os.environ["BENCH_STAMPS"], "a", encoding="ascii") as file:  # noqa: PTH123
            file.write(json.dumps([event, time.time(), metrics]) + "\n")

    return stamp


if os.environ.get("BENCH_STAMPS"):
    sys.meta_path.insert(0, _Finder())
