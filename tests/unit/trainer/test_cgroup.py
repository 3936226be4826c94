"""What a container may use: CPUs and memory by either version of cgroups and by the pod's own request."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from yolo_crds.meta import CPU_REQUEST_ENV, MEMORY_LIMIT_ENV
from yolo_trainer.cgroup import cpus, memory_limit, memory_used, oom_kills, threads
from yolo_trainer.process import limits

NODE_CPUS = 32


@pytest.fixture(autouse=True)
def large_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(NODE_CPUS)))


def _write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


QUOTA_2 = {"cpu_dot_max": "150000 100000\n"}
NO_QUOTA_2 = {"cpu_dot_max": "max 100000\n"}
QUOTA_1 = {"cpu__cpu_dot_cfs_quota_us": "150000\n", "cpu__cpu_dot_cfs_period_us": "100000\n"}
NO_QUOTA_1 = QUOTA_1 | {"cpu__cpu_dot_cfs_quota_us": "-1\n"}


@pytest.mark.parametrize(
    ("files", "request_", "want"),
    [
        (QUOTA_2, "8", 2),
        (QUOTA_1, "8", 2),
        (NO_QUOTA_2, "3", 3),
        (NO_QUOTA_1, "3", 3),
        ({}, "3", 3),
        (NO_QUOTA_2, "64", NODE_CPUS),
        (NO_QUOTA_2, "0", NODE_CPUS),
        (NO_QUOTA_2, "", NODE_CPUS),
        ({}, "two", NODE_CPUS),
        ({"cpu_dot_max": "5000 100000\n"}, "", 1),
    ],
)
def test_cpus_are_those_of_the_limit_else_of_the_request(
    tmp_path: Path, files: dict[str, str], request_: str, want: int
) -> None:
    assert cpus(_write(tmp_path, **files), {CPU_REQUEST_ENV: request_}) == want


@pytest.mark.parametrize(("ranks", "want"), [("", 8), ("1", 8), ("3", 2), ("16", 1)])
def test_ranks_share_the_cpus(tmp_path: Path, ranks: str, want: int) -> None:
    assert threads(tmp_path, {CPU_REQUEST_ENV: "8", "LOCAL_WORLD_SIZE": ranks}) == want


def test_limit_cpus_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: NODE_CPUS)
    monkeypatch.setattr(limits, "threads", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "32")
    limits.limit_cpus(4)
    assert (os.cpu_count(), os.environ["OMP_NUM_THREADS"]) == (4, "2")


@pytest.mark.parametrize(
    ("files", "environment", "want"),
    [
        ({"memory_dot_max": "2147483648\n"}, {}, 2 << 30),
        ({"memory_dot_max": "max\n"}, {}, None),
        ({"memory__memory_dot_limit_in_bytes": "1073741824\n"}, {}, 1 << 30),
        ({"memory__memory_dot_limit_in_bytes": "9223372036854771712\n"}, {}, None),
        ({"memory_dot_max": "max\n"}, {MEMORY_LIMIT_ENV: "3221225472"}, 3 << 30),
        ({}, {}, None),
    ],
)
def test_memory_limit_is_the_smallest_that_is_known(
    tmp_path: Path, files: dict[str, str], environment: dict[str, str], want: int | None
) -> None:
    assert memory_limit(_write(tmp_path, **files), environment) == want


def test_memory_used_leaves_file_pages_out(tmp_path: Path) -> None:
    assert memory_used(tmp_path) == 0
    one = {
        "memory__memory_dot_usage_in_bytes": "1000\n",
        "memory__memory_dot_stat": "inactive_file 5\ntotal_inactive_file 300\n",
    }
    assert memory_used(_write(tmp_path, **one)) == 700
    two = {"memory_dot_current": "900\n", "memory_dot_stat": "anon 500\ninactive_file 100\n"}
    assert memory_used(_write(tmp_path, **two)) == 800


def test_oom_kills_reads_either_version(tmp_path: Path) -> None:
    assert oom_kills(tmp_path) == 0
    _write(tmp_path, memory__memory_dot_oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert oom_kills(tmp_path) == 2
    _write(tmp_path, memory_dot_events="low 0\noom 3\noom_kill 3\n")
    assert oom_kills(tmp_path) == 3
