"""All measurements, inside the trainer's image: `python -m bench.data.run FOLDER IMAGES`.

The exit code is 1 when one of the promises is missed.
"""

import os
import platform
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

from yolo_trainer.cgroup import cpus

from .label_files import WRITERS, write_volume
from .pictures import CLASSES, write_yolo_set
from .processes import Measurement, measure
from .verdict import Format, Speeds, format_lines, missed, speed_lines

SCAN = "/repo/trainer-image/bench_scan.py"
MEMORY_IMAGES = 100_000
SETTLED_SECONDS = 3
"""A file that was just written is not taken for settled: `recall.SETTLED_NS`."""
_REPEATS = 3
_ASIDE = "aside-"


def main() -> int:
    folder, images = Path(sys.argv[1]), int(sys.argv[2])
    libraries = ", ".join(f"{name} {version(name)}" for name in ("ultralytics", "pillow"))
    say(f"Python {platform.python_version()}, {libraries}; {cpus()} CPUs; load {_load()}")
    volume = folder / f"speed-{images}"
    pictures = volume / "datasets/demo"
    say(f"pictures: {images} JPEGs")
    write_yolo_set(pictures, images, cpus())
    size = _read_all(pictures)
    say(f"{size / images / 1024:.0f} KiB each; read once, so the page cache is warm; cold means: no index")
    speeds = measure_speed(volume, pictures)
    say(f"load {_load()} at the end of this", "", *speed_lines(speeds), "")
    formats = measure_formats(folder, pictures, min(MEMORY_IMAGES, images * 2))
    say("", *format_lines(formats), "")
    faults = missed(speeds, formats)
    say(*(f"MISSED: {fault}" for fault in faults))
    return 1 if faults else 0


def measure_speed(volume: Path, pictures: Path) -> Speeds:
    """Theirs and ours in the order A B B A, then the whole decode, then unchanged sets."""

    def scan() -> Measurement:
        say("  Ultralytics' scan")
        return measure([SCAN, str(pictures), str(len(CLASSES))])

    def first(depth: str) -> Measurement:
        say(f"  first prepare, {depth}")
        _put_aside(volume)
        return measure(_prepare(volume, "detect", depth))

    def again(depth: str) -> list[Measurement]:
        say(f"  second prepare, {depth}, {_REPEATS} times")
        return [measure(_prepare(volume, "detect", depth)) for _ in range(_REPEATS)]

    scans, headers = [scan()], [first("header"), first("header")]
    again_header = again("header")
    scans.append(scan())
    speeds = Speeds(scans, headers, [first("decode")], again_header, again("decode"))
    for folder in [volume / "prepared", *volume.glob(f"{_ASIDE}*")]:
        shutil.rmtree(folder)
    return speeds


def _put_aside(volume: Path) -> None:
    """Not removed before the end: ext4 passes over inodes that were freed in the last minutes, one by one for
    each new file, which makes a file five times as dear as on a volume where nothing was removed."""
    if (prepared := volume / "prepared").exists():
        prepared.rename(volume / f"{_ASIDE}{len(list(volume.iterdir()))}")


def measure_formats(folder: Path, pictures: Path, count: int) -> dict[str, Format]:
    """What a first prepare of `count` images and of a fifth of them takes in each format, and how long a
    second one does."""
    found = {}
    volume = folder / "memory"
    for name, (task, _) in WRITERS.items():
        say(f"  {count} images, {name}")

        def prepare_new(images: int, depth: str, name: str = name, task: str = task) -> Measurement:
            write_volume(name, pictures, volume, images)
            time.sleep(SETTLED_SECONDS)
            return measure(_prepare(volume, task, depth))

        many, few, first = (
            prepare_new(images, depth)
            for images, depth in ((count, "header"), (count // 5, "header"), (count // 5, "decode"))
        )
        found[name] = Format(few, many, first, measure(_prepare(volume, task, "decode")))
    shutil.rmtree(volume)
    return found


def say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)


def _prepare(volume: Path, task: str, depth: str) -> list[str]:
    return ["-m", "bench.data.prepare", str(volume), task, depth]


def _load() -> str:
    """Of the last minute; above the number of CPUs, others work too and figures are what was left over."""
    return f"{os.getloadavg()[0]:.1f}"


def _read_all(pictures: Path) -> int:
    return sum(len(path.read_bytes()) for path in (pictures / "images/train").iterdir())


if __name__ == "__main__":
    sys.exit(main())
