"""Ranks begin together and end together: real processes, which stand for workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from yolo_crds.conditions import Reason
from yolo_trainer.process.report import Report
from yolo_trainer.supervise import ranks as module
from yolo_trainer.supervise.ranks import Ranks, rank_environment

STUBBORN = "trap '' TERM; "
WAIT = "while :; do sleep 0.02; done"


class Events:
    """The supervisor's end of a report."""

    def __init__(self, fifo: Path) -> None:
        os.mkfifo(fifo)
        self._descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        self.report = Report(fifo)

    def __iter__(self) -> Iterator[dict[str, object]]:
        try:
            yield from map(json.loads, os.read(self._descriptor, 1 << 16).splitlines())
        except BlockingIOError:
            return


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events(tmp_path / "events")


def shell(*of_rank: str) -> list[str]:
    """A command that does something else in each rank."""
    cases = "".join(f"{rank}) {script};; " for rank, script in enumerate(of_rank))
    return ["sh", "-c", f"case $RANK in {cases} esac"]


def test_ranks_that_end_well_are_a_training_that_ended_well(events: Events, tmp_path: Path) -> None:
    script = f"env > {tmp_path}/$RANK"

    assert Ranks(shell(script, script, script), 3, events.report).run() == 0

    assert not list(events)
    told = [
        dict(line.split("=", 1) for line in (tmp_path / str(n)).read_text().splitlines()) for n in range(3)
    ]
    port = int(told[0]["MASTER_PORT"])
    for rank, environment in enumerate(told):
        assert environment.items() >= rank_environment(rank, 3, port).items()


@pytest.mark.parametrize(
    ("number", "reason", "message"),
    [
        ("KILL", Reason.WORKER_KILLED, "rank 1 was killed by signal 9 (SIGKILL)"),
        ("BUS", Reason.SHARED_MEMORY_EXHAUSTED, "rank 1 died of a bus error: /dev/shm is full"),
    ],
)
def test_killed_rank_is_told_and_ends_the_others(
    events: Events, monkeypatch: pytest.MonkeyPatch, number: str, reason: Reason, message: str
) -> None:
    monkeypatch.setattr(module, "_FAILED_SECONDS", 0.1)
    began = time.monotonic()

    code = Ranks(shell(STUBBORN + WAIT, f"kill -{number} $$", WAIT), 3, events.report).run()

    assert code == 128 + signal.Signals[f"SIG{number}"]
    assert time.monotonic() - began < 5
    assert [(event["event"], event["reason"], event["message"]) for event in events] == [
        ("failed", reason, message)
    ]


def test_rank_that_failed_by_itself_has_told_why(events: Events) -> None:
    assert Ranks(shell(WAIT, "exit 4"), 2, events.report).run() == 4

    assert not list(events)


def test_stop_waits_for_the_first_rank_alone(
    events: Events, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_LEAVING_SECONDS", 0.1)
    saves = f"trap 'sleep 0.3; touch {tmp_path}/saved; exit 143' TERM; touch {tmp_path}/began; {WAIT}"
    ranks = Ranks(shell(saves, STUBBORN + WAIT, "trap 'exit 143' TERM; " + WAIT), 3, events.report)

    def stop() -> None:
        while not (tmp_path / "began").exists():
            time.sleep(0.01)
        ranks.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    code = ranks.run()
    thread.join()

    assert (tmp_path / "saved").exists()
    assert code == 143
    assert not list(events)


def test_command_line_starts_the_real_workers() -> None:
    """Without a configuration they end by themselves, and the launcher with them."""
    command = [sys.executable, "-m", "yolo_trainer.supervise.ranks", "2", "train"]

    assert subprocess.run(command, capture_output=True).returncode == 2
