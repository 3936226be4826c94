"""Random numbers of a training: each epoch's are a function of seed and epoch, and can be gone on with.

Data-loader processes have random numbers and image buffers of their own, which nobody can ask for: with them
an epoch that is resumed goes on over the same permutation with the augmentations of its beginning.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from ultralytics.utils import RANK


def seed_epoch(seed: int, epoch: int) -> int:
    """Makes an epoch's randomness a function of seed and epoch (from 0); returns the epoch's own seed."""
    mixed: int = (seed * 1_000_003 + epoch * 7_919 + max(RANK, 0)) % 2**31
    random.seed(mixed)
    np.random.seed(mixed)
    torch.manual_seed(mixed)
    return mixed


def reset(trainer: Any) -> None:
    """Seeds, loader and image buffer as if the program began with `trainer.epoch`."""
    seed = seed_epoch(trainer.args.seed, trainer.epoch)
    loader = trainer.train_loader
    generator = getattr(loader, "generator", None)
    if generator is not None:
        generator.manual_seed(seed)
    if hasattr(loader, "reset"):
        loader.reset()
    if not _has_buffer(loader.dataset):
        return
    # Mosaic draws from recently read images; with loaders in this process they outlive the epoch.
    dataset = loader.dataset
    for index in dataset.buffer:
        dataset.ims[index] = dataset.im_hw0[index] = dataset.im_hw[index] = None
    dataset.buffer.clear()


def capture(trainer: Any) -> dict[str, Any] | None:
    """What the next batch will be drawn with, as plain containers; None with data-loader processes."""
    loader = trainer.train_loader
    if loader.num_workers:
        return None
    kind, words, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": [str(kind), np.asarray(words).tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(trainer.device) if trainer.device.type == "cuda" else None,
        "buffer": list(loader.dataset.buffer) if _has_buffer(loader.dataset) else [],
    }


def restore(trainer: Any, saved: dict[str, Any] | None) -> None:
    """Goes on with what `capture` gave, after `reset`; not where loaders were processes, then or now."""
    loader = trainer.train_loader
    if saved is None or loader.num_workers:
        return
    if _has_buffer(loader.dataset):
        for index in saved["buffer"]:
            loader.dataset.load_image(index)
    random.setstate(saved["python"])
    kind, words, *rest = saved["numpy"]
    np.random.set_state((kind, np.array(words, dtype=np.uint32), *rest))
    torch.set_rng_state(saved["torch"])
    if saved["cuda"] is not None and trainer.device.type == "cuda":
        torch.cuda.set_rng_state(saved["cuda"], trainer.device)


def _has_buffer(dataset: Any) -> bool:
    """Whether a data set keeps the images that it read last."""
    return hasattr(dataset, "buffer") and getattr(dataset, "cache", "ram") != "ram"
