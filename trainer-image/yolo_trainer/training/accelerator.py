"""The GPUs that a training may use, seen from inside the worker."""

from __future__ import annotations

import os
from pathlib import Path

from yolo_crds.conditions import Reason
from yolo_crds.trainer import ExitCode

from ..errors import TrainerError
from ..process.report import Report

STAND_IN_ENV = "YOLO_STAND_IN_GPUS"
"""Set to `cpu` where a device plugin hands out GPUs that do not exist, as test clusters do; never by us."""

AMP_CHECK_WEIGHTS = "yolo26n.pt"
"""The checkpoint with which Ultralytics tries mixed precision on CUDA, and which it would download."""


def choose_device(gpus: int, report: Report) -> str:
    """Ultralytics' `device` for so many GPUs of the pod; the CPU where those are stand-ins, and said so.

    Raises TrainerError (NoAccelerator) when fewer are visible: training on a CPU instead would take weeks.
    """
    if gpus == 0:
        return "cpu"
    if os.environ.get(STAND_IN_ENV) == "cpu":
        report.warning(f"the {gpus} GPU(s) of the pod are stand-ins ({STAND_IN_ENV}=cpu): trained on the CPU")
        return "cpu"
    import torch

    visible = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if visible < gpus:
        raise TrainerError(
            Reason.NO_ACCELERATOR,
            f"{gpus} GPU(s) were asked for, but torch {torch.__version__} sees {visible}",
            exit_code=ExitCode.NO_ACCELERATOR,
        )
    return ",".join(map(str, range(gpus)))


def choose_amp(wanted: bool, device: str, weights: Path) -> bool | str:
    """Ultralytics' `amp`. Its check on CUDA needs a checkpoint: found in the weights folder it is used, else
    bfloat16, which needs no check, where the GPU has it.
    """
    if not wanted or device == "cpu":
        return wanted
    import torch
    import ultralytics.utils

    if (weights / AMP_CHECK_WEIGHTS).is_file():
        ultralytics.utils.WEIGHTS_DIR = weights
        return True
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16"
    import ultralytics.engine.trainer

    # Offline, the check could only give up after its time-outs and then allow mixed precision all the same.
    ultralytics.engine.trainer.check_amp = lambda _: True
    return True
