"""A GPU without room: the fault's name, and the operator's remedy until the training fits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytest.importorskip("ultralytics")

from trainer.training_process import Volumes
from yolo_crds.conditions import Reason
from yolo_crds.status import Failure, Remedy
from yolo_crds.training import Template
from yolo_operator.remedies import REMEDIES_MOST, build_overrides, choose_remedy

from .conftest import Card
from .test_gpu_training import train

pytestmark = [pytest.mark.gpu, pytest.mark.image, pytest.mark.timeout(1200)]

FREE_MIB = 6 << 10
"""What another process leaves: yolo11n takes it with some 40 images of 640 pixels."""
BATCH = 128


@contextmanager
def _crowded(mebibytes: int) -> Iterator[None]:
    """Another process has all of the GPU's memory but so much."""
    command = [sys.executable, "-m", "gpu.hog", str(mebibytes)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as hog:
        assert hog.stdin is not None
        assert hog.stdout is not None
        try:
            assert hog.stdout.readline().startswith("holds ")
            yield
        finally:
            hog.stdin.close()


def test_half_the_batch_until_it_fits(volumes: Volumes, real_card: Card) -> None:
    wanted = {
        "model": "yolo11n.yaml",
        "epochs": 1,
        "imgsz": 640,
        "batch": BATCH,
        "resources": real_card.resources,
    }
    template = Template.model_validate(volumes.config(wanted)["template"])
    remedies: list[Remedy] = []
    with _crowded(FREE_MIB):
        for attempt in range(1, REMEDIES_MOST + 2):
            overrides = build_overrides(remedies)
            code, training = train(volumes, real_card, wanted, attempt=attempt, overrides=overrides)
            if code == 0:
                break
            result = volumes.result(attempt=attempt)
            assert result.reason == Reason.CUDA_OUT_OF_MEMORY, training.output
            why = Failure(reason=result.reason, message=result.message)
            remedy = choose_remedy(why, attempt, template, remedies)
            assert remedy is not None
            remedies.append(remedy)
        else:
            raise AssertionError(f"no batch fitted: {remedies}")
    assert remedies, "the first batch fitted: the GPU was not crowded"
    assert (remedies[0].argument, remedies[0].before, remedies[0].after) == ("batch", "128", "64")
