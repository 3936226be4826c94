"""A sample of the kill statistics; all of them: `make faults-trainer`."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("ultralytics")

from . import faults

pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]


def test_faults_leave_a_training_that_ends_as_if_there_had_been_none(tmp_path: Path) -> None:
    seen = faults.run_points([*range(11), 19], 0, tmp_path)

    print(faults.table(seen))
    assert [point.problem for point in seen if point.problem] == []
    assert sum(point.faults for point in seen) >= 9
