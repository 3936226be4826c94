"""The benchmark's other side: Ultralytics' scan of the pictures that prepare is measured with."""

import importlib.util
from pathlib import Path

import pytest

from bench.data.pictures import CLASSES, write_yolo_set

pytest.importorskip("ultralytics")
pytestmark = pytest.mark.image
SCRIPT = Path(__file__).parents[2] / "trainer-image/bench_scan.py"


def test_scan_takes_every_picture(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("bench_scan", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    bench_scan = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench_scan)
    write_yolo_set(tmp_path / "demo", 20, 1)
    found = bench_scan.scan(tmp_path / "demo", len(CLASSES))
    assert found["images"] == 20
    (tmp_path / "demo/images/train/broken.jpg").write_bytes(b"no image")
    with pytest.raises(SystemExit, match="refuses 1 of 21 images"):
        bench_scan.scan(tmp_path / "demo", len(CLASSES))
