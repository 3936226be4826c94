"""What the tests run on: a real GPU, or the CPU in its place where `YOLO_TEST_GPU=stand-in` says so."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from trainer.training_process import Volumes


@dataclass(frozen=True)
class Card:
    """The GPU of a test."""

    real: bool

    @property
    def resources(self) -> dict[str, Any]:
        """Of a training on it."""
        return {"gpus": 1 if self.real else 0, "cpu": str(len(os.sched_getaffinity(0)))}


@pytest.fixture(scope="session")
def card() -> Card:
    """A GPU, or its stand-in."""
    return Card(real=os.environ.get("YOLO_TEST_GPU") != "stand-in")


@pytest.fixture
def real_card(card: Card) -> Card:
    """A GPU; a stand-in will not do."""
    if not card.real:
        pytest.skip("needs a real GPU")
    return card


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    """A toy data set."""
    return Volumes(tmp_path)
