"""The chart's CronJob removes the prepared sets that nobody uses, and only those."""

import os
import subprocess
import time

import pytest

from cluster import Cluster
from demo.install import System, change_values
from e2e.trainings import finish_training, prepared_folder, start_training

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

_ABANDONED = "0123456789abcdef" * 2
_DAYS = 24 * 3600


def test_collector_removes_what_nobody_used_for_long(system: System, cluster: Cluster) -> None:
    start_training(system, "e2e-collector", data={"train": "datasets/digits"})
    used = finish_training(system, "e2e-collector")["dataset"]["hash"]
    prepared = prepared_folder(system, cluster)
    long_ago = time.time() - 40 * _DAYS
    for name in ("{}", ".used-{}"):  # the set, and the stamp of its last use
        copy = prepared / name.format(_ABANDONED)
        subprocess.run(["cp", "--archive", prepared / name.format(used), copy], check=True)
        os.utime(copy, (long_ago, long_ago))

    change_values(system, "storage.gc.schedule=@yearly")
    job = "job/e2e-collector"
    system.kubectl("create", "job", "e2e-collector", f"--from=cronjob/{system.release}-gc")
    system.kubectl("wait", "--for=condition=Complete", job, "--timeout=120s")
    told = system.kubectl("logs", job)
    system.kubectl("delete", job)
    change_values(system, "storage.gc.schedule=")
    assert f"removed set {_ABANDONED}" in told
    assert not (prepared / _ABANDONED).exists()
    assert (prepared / used / "manifest.jsonl").is_file()
