"""The benchmark's own parts on a few images; what it measures is not judged here."""

import json
import os
import sys
from pathlib import Path

import pytest

from bench.data.__main__ import main
from bench.data.label_files import WRITERS, write_volume
from bench.data.pictures import BOXES, write_yolo_set
from bench.data.prepare import prepare
from bench.data.processes import Measurement, measure, tree_memory
from bench.data.verdict import MAX_MEMORY, Format, Speeds, format_lines, missed, speed_lines

IMAGES = 20


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speed") / "datasets/demo"
    write_yolo_set(folder, IMAGES, 1)
    return folder


def test_pictures_are_written_once(pictures: Path) -> None:
    before = {path: path.stat().st_ino for path in (pictures / "images/train").iterdir()}
    assert len(before) == IMAGES
    assert all(10_000 < path.stat().st_size < 80_000 for path in before)
    write_yolo_set(pictures, IMAGES, 1)
    assert {path: path.stat().st_ino for path in (pictures / "images/train").iterdir()} == before


@pytest.mark.parametrize("depth", ["header", "decode"])
def test_prepare_measures_the_speed_set(pictures: Path, depth: str) -> None:
    found = prepare(pictures.parents[1], "detect", depth)
    assert found["images"] == IMAGES
    assert float(str(found["seconds"])) > 0


@pytest.mark.parametrize("name", WRITERS)
def test_prepare_takes_every_memory_set_whole(pictures: Path, tmp_path: Path, name: str) -> None:
    volume = tmp_path / "memory"
    write_volume(name, pictures, volume, 30)
    assert prepare(volume, WRITERS[name][0], "header")["images"] == 30
    (report,) = volume.glob("prepared/*/report.json")
    details = json.loads(report.read_text())
    assert details["dataset"]["boxes"] == 30 * BOXES
    assert details["dataset"]["skipped"] == {}


def test_measure_runs_a_process_of_its_own() -> None:
    code = "import json, os; print('noise'); print(json.dumps({'images': os.getpid(), 'seconds': 2}))"
    found = measure(["-c", code])
    assert found.images != os.getpid()
    assert found.rate == found.images / 2
    with pytest.raises(SystemExit, match="ended with 3"):
        measure(["-c", "raise SystemExit(3)"])


def test_tree_memory_counts_this_process() -> None:
    assert tree_memory(os.getpid()) > 10 << 20
    assert tree_memory(2**22 + 1) == 0


def measured(seconds: float, peak: int = 50 << 20) -> list[Measurement]:
    return [Measurement(1000, seconds, peak)]


def speeds(header: float = 0.8, again: float = 0.1) -> Speeds:
    return Speeds(measured(1.0), measured(header), measured(4.0), measured(0.1), measured(again))


def form(peak: int = 100 << 20, again: float = 0.1) -> Format:
    few = Measurement(200, 2.0, 20 << 20)
    first, second = (Measurement(200, seconds, 20 << 20) for seconds in (8.0, again))
    return Format(few, Measurement(1000, 9.0, peak), first, second)


def test_tables_show_rates_and_ratios() -> None:
    assert speed_lines(speeds())[1:3] == [
        "Ultralytics' scan: header, labels        1.00      1000        50",
        "first prepare, header                    0.80      1250        50  1.25 x the scan",
    ]
    assert speed_lines(speeds())[-1].endswith("40.0 x the first")
    lines = [line.split() for line in format_lines({"UCD": form()})]
    assert lines[1:4] == [
        ["UCD", "200", "2.0", "20"],
        ["UCD", "1000", "9.0", "100"],
        ["UCD", "1000000", "-", "100000", "not", "measured:", "a", "straight", "line"],
    ]
    assert lines[-1] == ["UCD", "200", "8.0", "0.10", "80.0", "x", "the", "first"]


def test_missed_names_every_promise_that_is_not_kept() -> None:
    assert missed(speeds(), {"UCD": form()}) == []
    assert missed(speeds(header=1.25, again=0.5), {"UCD": form(MAX_MEMORY + 1, again=1.0)}) == [
        "prepare by header: 0.80 x Ultralytics' scan, not 1.0",
        "second prepare: 8.0 x as fast as the first, not 20.0",
        "UCD: 1024 MiB, more than 1024",
        "UCD: second prepare 8.0 x as fast, not 20.0",
    ]


def test_too_few_images_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.data", "7"])
    with pytest.raises(SystemExit):
        main()
    assert "7 images are too few" in capsys.readouterr().err
