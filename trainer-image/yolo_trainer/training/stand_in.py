"""Several ranks on a CPU: what Ultralytics asks of GPUs, answered by what gloo and a CPU have.

For GPUs that are stand-ins (`accelerator.STAND_IN_ENV`), so that all else of a training on several GPUs
can be seen without one.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
import ultralytics.engine.validator
from torch import distributed, nn
from ultralytics.nn.autobackend import AutoBackend

_GpuParallel = nn.parallel.DistributedDataParallel


class _CpuParallel(_GpuParallel):  # type: ignore[misc, valid-type]
    """Takes no device: a CPU has no number."""

    def __init__(self, module: nn.Module, device_ids: object = None, **options: Any) -> None:
        del device_ids
        super().__init__(module, **options)


def _reduce(tensor: torch.Tensor, dst: int, op: Any) -> None:
    """`distributed.reduce`, with a mean, which gloo does not have."""
    if op != distributed.ReduceOp.AVG:
        distributed.reduce(tensor, dst, op)
        return
    distributed.reduce(tensor, dst, distributed.ReduceOp.SUM)
    tensor /= distributed.get_world_size()


def _on_cpu(*arguments: Any, **options: Any) -> Any:
    return AutoBackend(*arguments, **{**options, "device": torch.device("cpu")})


def train_ranks_on_cpu() -> None:
    """Lets Ultralytics train and validate in several ranks on the CPU, in this process."""
    nn.parallel.DistributedDataParallel = _CpuParallel
    validator: Any = ultralytics.engine.validator
    validator.dist = SimpleNamespace(reduce=_reduce, ReduceOp=distributed.ReduceOp)
    # The final validation asks torch for the GPU that the rank trained on.
    validator.get_torch_device_backend = lambda _: SimpleNamespace(current_device=lambda: 0)
    validator.AutoBackend = _on_cpu
