"""A batch that is chosen by the GPU's memory, where pods share GPUs: by this training's part of it."""

from __future__ import annotations

from yolo_crds.arguments import AUTO_BATCH


def choose_batch(batch: float, share: float | None, device: str) -> tuple[float, str | None]:
    """Ultralytics' `batch`, and what to tell the user where it is another than was asked for."""
    if share is None or batch >= 1 or device == "cpu":
        return batch, None
    import torch

    return share_batch(batch, share, *torch.cuda.mem_get_info())


def share_batch(batch: float, share: float, free: int, total: int) -> tuple[float, str]:
    """The same for a GPU with so many bytes.

    Ultralytics takes its part of what is free at that moment, and a GPU that is time-sliced shows each of its
    pods all of its memory: the first to come would leave little to the others.
    """
    wanted = batch if batch > 0 else AUTO_BATCH
    part = wanted * min(1.0, share * total / max(free, 1))
    told = (
        f"batch {batch:g}: GPUs are shared here, so it is chosen for {wanted:.0%} of this training's share "
        f"({share:.0%}) of the GPU's memory; the trial that finds it may take more for a moment"
    )
    return round(part, 4), told
