"""What Xids mean."""

import pytest

from yolo_crds.xids import XidClass, classify, describe, means_fault


@pytest.mark.parametrize(
    ("code", "want", "fault"),
    [
        (13, XidClass.PROGRAM, False),
        (94, XidClass.PROGRAM, False),
        (154, XidClass.NOTE, False),
        (48, XidClass.GPU, True),
        (109, XidClass.GPU, True),
        (79, XidClass.NODE, True),
        (999, XidClass.UNKNOWN, True),
    ],
)
def test_classify(code: int, want: XidClass, fault: bool) -> None:
    assert (classify(code), means_fault(code)) == (want, fault)


@pytest.mark.parametrize(
    ("code", "want"),
    [
        (79, "Xid 79 (it has fallen off the bus: the node needs a restart or a repair)"),
        (31, "Xid 31 (memory page fault)"),
        (158, "Xid 158 (the GPU needs a reset)"),
        (999, "Xid 999 (nothing more is known of this Xid)"),
        (8, "Xid 8"),
    ],
)
def test_describe(code: int, want: str) -> None:
    assert describe(code) == want
