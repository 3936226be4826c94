"""A batch by the GPU's memory, where the GPU is shared."""

import pytest

from yolo_trainer.training.gpu_share import choose_batch, share_batch

GIB = 1 << 30


@pytest.mark.parametrize(
    ("batch", "share", "free", "want"),
    [(-1, 0.25, 80, 0.15), (0.8, 0.25, 80, 0.2), (-1, 0.25, 40, 0.3), (-1, 0.25, 20, 0.6),
     (-1, 0.25, 10, 0.6), (0.5, 1, 80, 0.5), (-1, 0.5, 0, 0.6)],
)  # fmt: skip
def test_share_batch_takes_its_part_of_the_share_whatever_is_free(
    batch: float, share: float, free: int, want: float
) -> None:
    """Ultralytics multiplies by what is free; more than that is never asked for."""
    part, told = share_batch(batch, share, free * GIB, 80 * GIB)
    assert part == want
    assert f"batch {batch:g}" in told
    assert f"({share:.0%})" in told


@pytest.mark.parametrize(
    ("batch", "share", "device"), [(16, 0.25, "0"), (-1, None, "0"), (-1, 0.25, "cpu"), (1, 0.5, "0")]
)
def test_choose_batch_leaves_all_others_alone(batch: float, share: float | None, device: str) -> None:
    assert choose_batch(batch, share, device) == (batch, None)
