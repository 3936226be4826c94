"""SIGTERM in the worker: what it tears and what it does not, and how long a stop may take."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from yolo_trainer.process.interrupts import Interrupted, Interrupts, seconds_to_leave


@pytest.fixture
def interrupts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Interrupts]:
    monkeypatch.setattr("faulthandler.dump_traceback_later", lambda *_, **__: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    found = Interrupts()
    found.install()
    yield found
    for number, handler in before.items():
        signal.signal(number, handler)


def test_stop_takes_effect_at_once(interrupts: Interrupts) -> None:
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), signal.SIGTERM)
    assert interrupts.requested


def test_stop_within_a_step_takes_effect_at_its_end(interrupts: Interrupts) -> None:
    interrupts.hold()
    os.kill(os.getpid(), signal.SIGTERM)
    with interrupts.shielded():
        pass
    with pytest.raises(Interrupted):
        interrupts.release()


def test_second_stop_tears_nothing_that_the_first_one_began(interrupts: Interrupts) -> None:
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), signal.SIGTERM)

    os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        interrupts.check()


@pytest.mark.parametrize(
    ("grace", "want"), [(60, 20), (30, 20), (25, 18), (10, 3), (5, 1), (300, 260), (3600, 3560)]
)
def test_seconds_to_leave_follow_the_grace_period(grace: float, want: float) -> None:
    assert seconds_to_leave(grace) == want


STUCK = """
import os, signal, threading
from yolo_trainer.process.interrupts import Interrupts
interrupts = Interrupts()
interrupts.seconds = 0.3
interrupts.install()
with interrupts.shielded():
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(60)
"""


def test_stop_that_nothing_obeys_ends_the_process_and_says_where_it_was() -> None:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=50)

    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert time.monotonic() - began < 30
