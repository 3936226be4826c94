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

from .place import Share


def seed_of(seed: int, epoch: int, rank: int) -> int:
    """The seed of an epoch (from 0) in a rank."""
    return (seed * 1_000_003 + epoch * 7_919 + rank) % 2**31


def seed_epoch(seed: int, epoch: int) -> int:
    """Makes an epoch's randomness a function of seed, epoch (from 0) and rank; returns its own seed."""
    mixed = seed_of(seed, epoch, max(RANK, 0))
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
    if isinstance(share := loader.batch_sampler.sampler, Share):
        share.seed(seed_of(trainer.args.seed, trainer.epoch, rank=0))
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


def restore(trainer: Any, of_ranks: list[dict[str, Any] | None] | None) -> None:
    """Goes on with what `capture` gave by rank, after `reset`; not where loaders were processes, then or now,
    nor where there were more or fewer ranks.
    """
    loader = trainer.train_loader
    if not of_ranks or len(of_ranks) != max(1, trainer.world_size) or loader.num_workers:
        return
    saved = of_ranks[max(RANK, 0)]
    if saved is None:
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
