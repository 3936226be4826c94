"""The faults of the kill statistics, each from a fresh run folder to the end of its training.

A kind is a function of a point's chance; it returns how many faults came in time, and what they were.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .forked import Fault, Stage
from .training_process import Training, Volumes

EPOCHS = 3
TEMPLATE: dict[str, Any] = {"epochs": EPOCHS, "hyperparameters": {"nbs": 12, "warmup_epochs": 1}}
SMALL = Path(os.environ.get("SMALL_DISK", "/small"))
_BYTES_LEAST = 1 << 16
"""Of a file that a write is killed in: logs and tables stay below."""


@dataclass(frozen=True)
class Reference:
    """The training that nothing befell."""

    data: Path
    rows: list[dict[str, str]]
    state: dict[str, Any]
    seconds: float
    changes: int
    """Times that it opened, moved, linked or removed something in the run folder."""
    bytes: int
    """Size of its largest file."""


Kind = Callable[[random.Random, Reference, Volumes, Path], tuple[int, str]]


def _train(volumes: Volumes, folder: Path, attempt: int, fault: Fault | None = None) -> Stage:
    config = volumes.config(TEMPLATE, attempt=attempt, resume=attempt > 1)
    with Stage("prepare", config, folder) as prepare:
        code = prepare.finish()
        assert code == 0, prepare.output
    return Stage("train", config, folder, fault)


def _resume(volumes: Volumes, folder: Path, attempt: int) -> None:
    with _train(volumes, folder, attempt) as last:
        code = last.finish()
        assert code == 0, f"attempt {attempt} ended with {code}: {last.output}"


def _until_done(
    volumes: Volumes, folder: Path, faults: list[Fault], wanted: set[int], delay: float | None = None
) -> int:
    """Attempts with a fault each, then one without; how many of the faults came in time."""
    met = 0
    for attempt, fault in enumerate(faults, start=1):
        with _train(volumes, folder, attempt, fault if delay is None else None) as stage:
            if delay is not None:
                time.sleep(delay)
                stage.kill(fault.signal_number)
            code = stage.finish()
            assert code in wanted | {0}, f"attempt {attempt} ended with {code}: {stage.output}"
        if code == 0:
            return met
        met += 1
    _resume(volumes, folder, len(faults) + 1)
    return met


def _at_change(number: int, code: int) -> Kind:
    def point(chance: random.Random, reference: Reference, volumes: Volumes, folder: Path) -> tuple[int, str]:
        places = [chance.randint(1, reference.changes) for _ in range(chance.choice((1, 1, 2)))]
        faults = [Fault(number, at_change=place) for place in places]
        return _until_done(volumes, folder, faults, {code}), f"at change {places} of {reference.changes}"

    return point


def _at_moment(number: int, code: int) -> Kind:
    def point(chance: random.Random, reference: Reference, volumes: Volumes, folder: Path) -> tuple[int, str]:
        delay = chance.uniform(0, 0.8 * reference.seconds)
        return _until_done(volumes, folder, [Fault(number)], {code}, delay), f"after {delay:.2f} s"

    return point


def _amid_a_write(
    chance: random.Random, reference: Reference, volumes: Volumes, folder: Path
) -> tuple[int, str]:
    byte = chance.randint(_BYTES_LEAST, reference.bytes)
    faults = [Fault(at_byte=byte)]
    return _until_done(volumes, folder, faults, {-signal.SIGXFSZ}), f"at byte {byte} of a file"


def _disk_full(
    chance: random.Random, reference: Reference, volumes: Volumes, folder: Path
) -> tuple[int, str]:
    left = chance.randint(1, 5 * reference.bytes)
    config = volumes.config(TEMPLATE)
    with Stage("prepare", config, folder) as prepare:
        code = prepare.finish()
        assert code == 0, prepare.output
    found = os.statvfs(SMALL)
    filler = volumes.runs / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, found.f_bavail * found.f_bsize - left))
    try:
        with Stage("train", config, folder) as stage:
            code = stage.finish()
            assert code in (0, 6), f"ended with {code}: {stage.output}"
    finally:
        filler.unlink()
    if code:
        _resume(volumes, folder, 2)
    return int(code != 0), f"with {left} bytes left"


def _twin(chance: random.Random, reference: Reference, volumes: Volumes, folder: Path) -> tuple[int, str]:
    """The first attempt sleeps through the start of the second, and then goes on beside it or after it."""
    place = chance.randint(1, reference.changes)
    beside = chance.random() < 0.5
    with _train(volumes, folder, 1, Fault(signal.SIGSTOP, at_change=place)) as twin:
        twin.wait_for(lambda stage: stage.is_stopped or not stage.process.is_alive())
        with _train(volumes, folder, 2) as second:
            if beside:
                second.wait_for(lambda stage: stage.batches > 1 or not stage.process.is_alive())
                twin.kill(signal.SIGCONT)
            code = second.finish()
            assert code == 0, f"attempt 2 ended with {code}: {second.output}"
        twin.kill(signal.SIGCONT)
        code = twin.finish()
        assert code in (0, 9), f"the twin ended with {code}: {twin.output}"
    return 1, f"asleep at change {place}, awake {'beside' if beside else 'after'} its successor"


def _program(chance: random.Random, reference: Reference, volumes: Volumes, folder: Path) -> tuple[int, str]:
    """The whole program, supervisor and all."""
    number = chance.choice((signal.SIGTERM, signal.SIGKILL))
    epoch = chance.randint(1, EPOCHS)
    delay = chance.uniform(0, 0.5)
    with Training(volumes.config(TEMPLATE), folder) as training:
        training.wait_for(f"* start train {epoch}/{EPOCHS}")
        time.sleep(delay)
        if number == signal.SIGKILL:
            for child in _children(training.process.pid):
                os.kill(child, number)
        else:
            training.process.send_signal(number)
        code = training.finish()
        assert code in (0, 8, 143), training.output
    if code:
        with Training(volumes.config(TEMPLATE, attempt=2, resume=True), folder) as training:
            last = training.finish()
            assert last == 0, training.output
    return int(code != 0), f"{number.name} {delay:.2f} s into epoch {epoch}"


KINDS: dict[str, Kind] = {
    "kill at a change": _at_change(signal.SIGKILL, -signal.SIGKILL),
    "stop at a change": _at_change(signal.SIGTERM, 143),
    "kill amid a write": _amid_a_write,
    "kill": _at_moment(signal.SIGKILL, -signal.SIGKILL),
    "stop": _at_moment(signal.SIGTERM, 143),
    "disk full": _disk_full,
    "twin": _twin,
    "program": _program,
}


def _children(pid: int | None) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
