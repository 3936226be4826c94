"""What the benchmark of the local cluster makes of its numbers."""

from pathlib import Path

from bench.image_sizes import largest, total
from bench.promises import Measured, print_table


def test_measured_is_judged_by_its_median() -> None:
    assert Measured("up", (4.0, 5.9, 30.0), 6).kept
    assert not Measured("up", (4.0, 6.1, 6.2), 6).kept
    assert Measured("image", (900.0,), None, "MB").kept


def test_print_table_shows_promise_verdict_and_runs() -> None:
    rows = [
        Measured("up", (4.0, 5.5, 7.0), 6),
        Measured("down", (12.0,), 10),
        Measured("image", (900.4,), None, "MB"),
    ]
    assert print_table(rows).splitlines() == [
        "          median    promise          runs",
        "up         5.5 s      ≤ 6 s  kept    4.0, 5.5, 7.0",
        "down      12.0 s     ≤ 10 s  MISSED",
        "image   900.4 MB",
    ]


def test_image_sizes_name_debian_and_python_packages(tmp_path: Path) -> None:
    files = {
        "usr/lib/libbig.so": 500,
        "opt/venv/lib/python3.13/site-packages/numpy/core.so": 300,
        "opt/venv/lib/python3.13/site-packages/numpy.libs/blas.so": 100,
        "opt/venv/lib/python3.13/site-packages/numpy-2.0.dist-info/RECORD": 50,
        "opt/torch/torch/lib.so": 450,
        "etc/passwd": 10,
    }
    for name, size in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "usr/lib/libbig.so.1").symlink_to("libbig.so")
    listed = tmp_path / "var/lib/dpkg/info/libbig:amd64.list"
    listed.parent.mkdir(parents=True)
    listed.write_text("/.\n/usr/lib\n/usr/lib/libbig.so\n/usr/lib/libbig.so.1\n")
    assert largest(tmp_path, 3) == [
        ("libbig (Debian)", 500),
        ("torch (Python)", 450),
        ("numpy (Python)", 400),
    ]
    assert total(tmp_path) == sum(files.values()) + listed.stat().st_size
