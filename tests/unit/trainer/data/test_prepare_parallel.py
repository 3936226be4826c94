"""Work in threads and processes: order, few under way, faults and the end of the parent."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from yolo_trainer.data import parallel
from yolo_trainer.data.parallel import Workers, map_chunks, map_waiting
from yolo_trainer.errors import InvalidDataError
from yolo_trainer.process.diagnosis import diagnose

PROCESSES = Workers(2, chunk=8, in_processes=True)


def nobody(**_: object) -> None:
    """Takes reports."""


def square(numbers: list[int]) -> list[int]:
    return [number * number for number in numbers]


def fail(numbers: list[int]) -> list[int]:
    raise InvalidDataError(f"{numbers[0]} is wrong", "use another")


def die(numbers: list[int]) -> list[int]:
    os.kill(os.getpid(), signal.SIGKILL)
    return numbers


def test_map_chunks_keeps_order_and_few_under_way() -> None:
    taken: list[int] = []

    def take(numbers: list[int]) -> list[int]:
        taken.extend(numbers)
        return numbers

    result = map_chunks(take, range(200), 200, Workers(2, chunk=4), "verify", nobody)
    assert next(result) == 0
    assert len(taken) <= 2 * 4 * 4
    assert list(result) == list(range(1, 200))


def test_map_chunks_in_processes_keeps_order_and_reports_the_end() -> None:
    reports: list[dict[str, object]] = []
    found = map_chunks(square, range(100), 100, PROCESSES, "verify", lambda **fields: reports.append(fields))
    assert list(found) == [n * n for n in range(100)]
    assert (reports[-1]["batch"], reports[-1]["percent"]) == (100, 100.0)


@pytest.mark.parametrize(("slow", "want_elsewhere"), [(0.0, True), (60.0, False)])
def test_map_waiting_takes_threads_once_the_volume_is_slow(
    monkeypatch: pytest.MonkeyPatch, slow: float, want_elsewhere: bool
) -> None:
    monkeypatch.setattr(parallel, "SLOW_SECONDS", slow)
    here = threading.get_ident()
    elsewhere: list[bool] = []

    def take(numbers: list[int]) -> list[int]:
        elsewhere.append(threading.get_ident() != here)
        return numbers

    reports: list[dict[str, object]] = []
    found = map_waiting(take, range(200), 200, "scan", lambda **fields: reports.append(fields))
    assert list(found) == list(range(200))
    assert elsewhere[0] is False
    assert any(elsewhere) == want_elsewhere
    assert reports[-1]["batch"] == 200


def test_an_error_of_a_process_comes_whole() -> None:
    with pytest.raises(InvalidDataError, match="0 is wrong") as error:
        list(map_chunks(fail, range(100), 100, PROCESSES, "verify", nobody))
    assert error.value.hint == "use another"


def test_a_killed_process_is_told() -> None:
    with pytest.raises(BrokenProcessPool) as error:
        list(map_chunks(die, range(100), 100, PROCESSES, "verify", nobody))
    assert diagnose(error.value).reason == "WorkerKilled"


def test_workers_are_processes_only_for_many_items_and_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "cpus", lambda: 4)
    monkeypatch.setattr(parallel, "memory_limit", lambda: None)
    assert Workers.computing(100_000) == Workers(4, in_processes=True)
    assert not Workers.computing(10).in_processes
    monkeypatch.setattr(parallel, "cpus", lambda: 1)
    assert not Workers.computing(100_000).in_processes


@pytest.mark.parametrize(("mebibytes", "want"), [(600, 1), (768, 4), (2048, 24), (1 << 20, 32)])
def test_processes_fit_into_the_memory_limit(
    monkeypatch: pytest.MonkeyPatch, mebibytes: int, want: int
) -> None:
    monkeypatch.setattr(parallel, "cpus", lambda: 32)
    monkeypatch.setattr(parallel, "memory_limit", lambda: mebibytes << 20)
    assert Workers.computing(100_000).in_processes == (want > 1)
    if want > 1:
        assert Workers.computing(100_000).count == want


def wait_for_ever(numbers: list[int]) -> list[int]:
    os.write(1, f"{os.getpid()}\n".encode())  # at once: lines that `print` writes may mingle
    signal.pause()
    return numbers


CHILD = """
import os, sys
sys.path[:0] = {path!r}
import test_prepare_parallel as t
from yolo_trainer.process.interrupts import Interrupted, Interrupts
if __name__ == "__main__":
    Interrupts().install()
    try:
        list(t.map_chunks(t.wait_for_ever, range(32), 32, t.PROCESSES, "verify", t.nobody))
    except Interrupted:
        os._exit(143)
"""


@pytest.mark.parametrize(("number", "want"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)])
def test_processes_end_with_their_parent_whatever_they_do(tmp_path: Path, number: int, want: int) -> None:
    script = tmp_path / "child.py"
    path = [str(Path(__file__).parent), *sys.path]
    script.write_text(CHILD.format(path=path))
    # Killed, it leaves the folder of its sockets behind; `tmp_path` is too long a name for these.
    with (
        tempfile.TemporaryDirectory() as sockets,
        subprocess.Popen(
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TMPDIR": sockets},
        ) as child,
    ):
        assert child.stdout is not None
        assert all(int(child.stdout.readline()) != child.pid for _ in range(2))
        child.send_signal(number)
        assert child.stdout.read() == ""  # it ends, since no process holds the pipe open any more
    assert child.returncode == want
