"""The run folder under interleavings, deaths and faults at every file operation (`runfolder_harness`)."""

import pytest

import runfolder_harness as harness


@pytest.mark.timeout(300)
def test_promises_hold_whoever_stops_dies_or_overtakes() -> None:
    count, broken = harness.run(harness.SEED, harness.QUICK)

    assert not broken[:10], f"{len(broken)} of {count}"
    assert count > 800
