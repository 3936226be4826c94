"""The place in an epoch: which batches are trained, and a pass over the data that leaves those out.

An epoch's permutation is a function of seed and epoch, so a number of batches says which images are done.
It is counted where batches are trained: loaders that read ahead do not change it.
"""

from __future__ import annotations

import builtins
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import ultralytics.engine.trainer
from ultralytics.utils import RANK


@dataclass
class Place:
    """How far a training is: whole epochs, then batches of the next one."""

    epochs: int = 0
    """Trained, validated and entered in results.csv."""
    batches: int = 0
    losses: dict[str, Any] = field(default_factory=dict)
    """Running means of the epoch's losses over those batches, by name."""
    rates: list[float] = field(default_factory=list)
    """Learning rates of the last batch by parameter group."""
    randomness: list[dict[str, Any] | None] | None = None
    """As `randomness.capture` has it after the last batch, by rank; None where that is not known."""

    @property
    def key(self) -> tuple[int, int]:
        """What tells two places of a training apart."""
        return self.epochs, self.batches

    def capture(self, trainer: Any) -> dict[str, Any]:
        """The place as a part of a state."""
        losses = {} if not self.batches else trainer.tloss or {}
        return {
            "batches": self.batches,
            "split": split_of(trainer),
            "losses": {name: float(value) for name, value in losses.items()},
            "randomness": self.randomness or [],
            "rates": [float(group["lr"]) for group in trainer.optimizer.param_groups],
        }

    def restore(self, trainer: Any, epochs: int, saved: Mapping[str, Any]) -> bool:
        """Goes on from a saved place; False where the epoch starts over, since its batches are others now."""
        self.epochs, self.batches = epochs, 0
        if not saved.get("batches"):
            return True
        if saved["split"] != split_of(trainer):
            return False
        self.batches = int(saved["batches"])
        self.losses = {k: torch.tensor(v, device=trainer.device) for k, v in saved["losses"].items()}
        self.rates = list(saved["rates"])
        self.randomness = saved["randomness"]
        # What the first batch would set; there may be none left before the validation.
        trainer.loss_names = tuple(self.losses)
        trainer.loss_items = self.losses
        trainer.loss = torch.stack(list(self.losses.values())).sum()
        return True


def split_of(trainer: Any) -> dict[str, Any]:
    """All that decides which images a batch of an epoch has, over all ranks: however many those are."""
    loader = trainer.train_loader
    return {
        "seed": int(trainer.args.seed),
        "images": len(loader.dataset),
        "batches": len(loader),
        "batch": int(trainer.batch_size),
    }


class Rest:
    """A batch sampler of one pass from its batch number `first` on.

    Ultralytics' own never ends: its loaders read ahead into the next epoch, in an order that is drawn anew.
    """

    def __init__(self, batches: Iterable[list[int]]) -> None:
        self.sampler = batches  # the name by which InfiniteDataLoader.__len__ asks for the whole epoch
        self.first = 0

    def __iter__(self) -> Iterator[list[int]]:
        return itertools.islice(iter(self.sampler), self.first, None)


class Share:
    """A rank's part of each batch, of an order that all ranks draw alike: the one that one process draws.

    Torch's own sampler for ranks repeats images so that all have the same number, and its batches are others
    with every number of ranks. Here no image comes twice, but where a last batch has fewer images than ranks.
    """

    def __init__(self, images: int, batch: int, rank: int, ranks: int, drop_last: bool) -> None:
        """`batch` images are shared by all ranks."""
        self._images, self._batch = images, min(batch, images)
        self._rank, self._ranks = rank, ranks
        whole = images / max(1, self._batch)
        self._batches = math.floor(whole) if drop_last else math.ceil(whole)
        self._generator = torch.Generator()

    def seed(self, seed: int) -> None:
        """Of the next pass; the same in all ranks."""
        self._generator.manual_seed(seed)

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[list[int]]:
        # The iterator of one process's DataLoader takes a number before its sampler takes any.
        torch.empty((), dtype=torch.int64).random_(generator=self._generator)
        order = torch.randperm(self._images, generator=self._generator).tolist()
        for start in range(0, self._batches * self._batch, self._batch):
            together = order[start : start + self._batch]
            yield together[self._rank :: self._ranks] or [together[self._rank % len(together)]]


def follow(trainer: Any) -> None:
    """Lets a trainer's loader start an epoch at any batch, and several ranks share each batch."""
    loader, ranks = trainer.train_loader, trainer.world_size
    if not isinstance(loader.batch_sampler, Rest):
        batches = loader.batch_sampler.sampler
        if ranks > 1:
            batches = Share(len(loader.dataset), int(trainer.batch_size), RANK, ranks, batches.drop_last)
        object.__setattr__(loader, "batch_sampler", Rest(batches))
    ultralytics.engine.trainer.enumerate = _enumerate


def start_at(loader: Any, first: int) -> None:
    """The next pass begins with batch number `first`."""
    loader.batch_sampler.first = first


def _enumerate(items: Any, start: int = 0) -> Iterator[tuple[int, Any]]:
    """`enumerate` as the training loop sees it: warm-up and mean losses go by the number of the batch."""
    rest = getattr(items, "batch_sampler", None)
    if not isinstance(rest, Rest):
        return builtins.enumerate(items, start)
    return builtins.enumerate(itertools.islice(items, len(items) - rest.first), rest.first)
