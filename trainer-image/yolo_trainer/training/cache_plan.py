"""Where decoded images are kept between epochs: decided before the first one is read, and told.

Ultralytics looks at the node's memory, which is not the pod's, and keeps the files of `cache: disk` beside
the images, which are mounted read-only: the one ended in an OOM kill, the other in a line of the log.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from yolo_crds.layout import DataVolume
from yolo_crds.models import infer_task
from yolo_crds.trainer import Prepared, TrainerConfig
from yolo_crds.training import parse_quantity

from ..cgroup import memory_limit, memory_used
from ..data.manifest import read_manifest
from ..process.report import Report

Cache = str | bool
"""Ultralytics' `cache`: "ram", "disk" or False."""

TRAINING_BYTES = 3 << 29
"""What a training process takes besides: 0.7 GiB on the CPU, more with a GPU's context and pinned memory."""
LOADER_BYTES = 200 << 20
"""What a data-loader process takes of its own."""
MARGIN = 1.1
PREFETCHED = 4
"""Batches that a data-loader process has ready (ultralytics/data/build.py)."""
_CHANNELS = 3
_HEADER_BYTES = 128  # of a .npy file
_SMALL = 50
"""A set that takes no more than so small a part of the limit is kept anyway: it is not what kills."""
_DISK_PART = 0.9  # the kubelet evicts a pod whose emptyDir has grown beyond its size


@dataclass(frozen=True)
class Sizes:
    """Bytes of all images of a data set, decoded."""

    ram: int
    """As they are kept in memory: the longer edge `imgsz` long."""
    disk: int
    """As they are kept in files: in their own size."""


@dataclass(frozen=True)
class Room:
    """Bytes that there are for them."""

    memory: int | None
    """Left of the pod's limit, once the training itself has what it needs; None: nothing limits it."""
    disk: int
    """Of the cache folder; 0 where there is none."""


def measure(pixels: Iterable[tuple[int, int]], imgsz: int, *, whole: bool = False) -> Sizes:
    """Sizes of images of so many pixels (width, height); `whole`: they are not made smaller in memory."""
    ram = disk = 0
    for width, height in pixels:
        full = width * height * _CHANNELS
        disk += full + _HEADER_BYTES
        ratio = imgsz / max(width, height, 1)
        edges = (min(math.ceil(edge * ratio), imgsz) for edge in (width, height))
        ram += full if whole else math.prod(edges) * _CHANNELS
    return Sizes(ram, disk)


def memory_left(
    limit: int | None, used: int, ranks: int, workers: int, batch: float, imgsz: int, shared: int
) -> int | None:
    """What a training of so many processes leaves of the pod's memory; `shared` is the size of /dev/shm.

    `workers` are those of each rank. A batch of -1 or a fraction is not known yet: /dev/shm bounds it.
    """
    if limit is None:
        return None
    ready = ranks * workers * PREFETCHED * batch / max(ranks, 1) * imgsz**2 * _CHANNELS
    batches = min(shared, round(ready)) if batch >= 1 else shared if workers else 0
    left = limit - used - ranks * (TRAINING_BYTES + workers * LOADER_BYTES) - batches
    return max(left, limit // _SMALL)


def plan_cache(wanted: Cache, sizes: Sizes, room: Room, ranks: int = 1) -> tuple[Cache, str | None]:
    """Where images are kept, and what to tell the user where that is not as wanted.

    Each of the `ranks` keeps its own copies in memory; files they share.
    """
    if wanted not in {"ram", "disk"}:
        return False, None
    in_memory, in_files = round(sizes.ram * ranks * MARGIN), sizes.disk
    if wanted == "ram":
        if room.memory is None or in_memory <= room.memory:
            return "ram", None
        short = (
            f"cache: ram would take {_gib(in_memory)} of memory, and the pod's limit leaves "
            f"{_gib(room.memory)} for it"
        )
        if in_files <= room.disk:
            return "disk", f"{short}; images are cached on the node's disk"
        return False, f"{short}; images are not cached. Raise spec.template.resources.memory or lower imgsz"
    if in_files <= room.disk:
        return "disk", None
    if not room.disk:
        return False, "cache: disk has no place here; images are not cached"
    return False, (
        f"cache: disk would take {_gib(in_files)}, and there are {_gib(room.disk)} for it "
        "(spec.template.resources.cacheStorage, and what the node has free); images are not cached"
    )


def choose_cache(
    overrides: dict[str, object], config: TrainerConfig, prepared: Prepared, report: Report
) -> Cache:
    """Ultralytics' `cache` for this training; makes it keep files in the cache folder, and warns."""
    wanted = {True: "ram", "ram": "ram", "disk": "disk"}.get(overrides["cache"], False)
    template, volume = config.template, DataVolume(Path(config.data_dir))
    manifest = read_manifest(volume.prepared / prepared.dataset.hash) if wanted else None
    if not wanted or manifest is None:
        return wanted
    from .disk_cache import keep_in, tell_when_refused

    classify = (template.task or prepared.task or infer_task(template.model)) == "classify"
    imgsz, ranks = int(str(overrides["imgsz"])), max(1, template.resources.gpus)
    sizes = measure(((entry.width, entry.height) for entry in manifest.entries()), imgsz, whole=classify)
    memory = memory_left(
        memory_limit(),
        memory_used(),
        ranks,
        int(str(overrides["workers"])),
        # Fractions and -1 are for one GPU alone.
        float(str(overrides["batch"])) / template.resources.nodes,
        imgsz,
        parse_quantity(template.resources.shared_memory),
    )
    # Ultralytics' data set for classification has no place of its own for its files.
    folder = Path(config.cache_dir)
    disk = 0 if classify else _disk_room(folder, parse_quantity(template.resources.cache_storage))
    cache, warning = plan_cache(wanted, sizes, Room(memory, disk), ranks)
    if warning:
        report.warning(warning)
    if cache == "disk":
        keep_in(folder)
    tell_when_refused(report)
    return cache


def _disk_room(folder: Path, size: int) -> int:
    try:
        return min(round(size * _DISK_PART), shutil.disk_usage(folder).free)
    except OSError:
        return 0


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
