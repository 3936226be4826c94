"""One worker process: its streams as lines, its events, and the signals that it gets."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from yolo_crds.meta import Stage
from yolo_crds.trainer import TrainerConfig

from ..node import Node
from ..process.report import EVENTS_ENV
from .output import Lines

GIVE_UP = signal.SIGUSR2
"""Tells the launcher of one of several pods that its ranks hang, which is nothing that anybody asked for."""
GPU_FAILED = signal.SIGHUP
"""Tells it that a GPU of its pod has failed, which the first pod, who watches for progress, shall know."""
_READ = 1 << 16
_DRAIN_SECONDS = 2.0
"""Grandchildren that were killed may hold the streams open a moment longer."""


def worker_command(stage: Stage, config: TrainerConfig) -> list[str]:
    """How a stage's worker is started: one process, or one a GPU (`ranks`)."""
    gpus = config.template.resources.gpus
    if stage is Stage.TRAIN and (gpus > 1 or Node.of(config).count > 1):
        return [sys.executable, "-m", "yolo_trainer.supervise.ranks", str(gpus), str(stage)]
    return [sys.executable, "-m", "yolo_trainer.worker", str(stage)]


class Child:
    """A worker in a session of its own, so that signals reach it and its data loaders as one group."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], runtime: Path, *, held: bool = False
    ) -> None:
        fifo = runtime / "events"
        os.mkfifo(fifo, 0o600)
        # Read and write: there is always a writer, so no end of file when a worker's process comes late.
        self._events = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        self._process = subprocess.Popen(
            command,
            env={**environment, EVENTS_ENV: str(fifo)},
            stdin=subprocess.PIPE if held else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._pids: set[int] = set()
        self._splitters = {"out": Lines(), "err": Lines()}
        self._event_rest = b""
        self._ended_at: float | None = None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._events, selectors.EVENT_READ, "event")
        for name, stream in (("out", self._process.stdout), ("err", self._process.stderr)):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, name)

    def release(self, line: str) -> None:
        """Lets a held worker begin: it waits for a line. One that has died meanwhile is found dead later."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self._process.stdin as stream:
                stream.write(f"{line}\n".encode())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """As of subprocess: negative for a signal, None while it runs."""
        return self._process.poll()

    def read(self, timeout: float) -> Iterator[tuple[str, str | Mapping[str, object]]]:
        """What came within `timeout` seconds: ("event", fields) and then ("out" or "err", line): events tell
        what the lines are of."""
        for key, _ in sorted(self._selector.select(timeout), key=lambda found: found[0].data != "event"):
            name: str = key.data
            data = self._take(key.fd)
            if data is None:
                continue
            if name == "event":
                for event in self._split_events(data):
                    yield name, event
            else:
                now = time.monotonic()
                if not data:
                    self._selector.unregister(key.fileobj)
                splitter = self._splitters[name]
                for line in splitter.feed(data, now) if data else splitter.flush(now):
                    yield name, line

    def is_over(self) -> bool:
        """Whether the process ended and its streams gave all; kills what is left of its group."""
        if self.returncode is None:
            return False
        if self._ended_at is None:
            self._ended_at = time.monotonic()
            self.signal_group(signal.SIGKILL)
        drained = len(self._selector.get_map()) == 1  # the FIFO never ends
        return drained or time.monotonic() - self._ended_at > _DRAIN_SECONDS

    def terminate(self, number: int = signal.SIGTERM) -> None:
        """Asks the worker to end: by SIGTERM, or, a launcher whose ranks hang, by `GIVE_UP`."""
        self.tell(number)

    def dump_stacks(self) -> None:
        """Lets each worker write its stacks to its standard error."""
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGUSR1)

    def tell(self, number: int) -> None:
        """Sends a signal to the worker, or launcher, alone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def signal_group(self, number: int) -> None:
        """Sends a signal to the worker and all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def wait(self) -> None:
        """Waits for a killed worker, but not longer than `_DRAIN_SECONDS`: a hung system call keeps it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_DRAIN_SECONDS)

    def close(self) -> None:
        """Gives the descriptors back."""
        self._selector.close()
        os.close(self._events)
        with contextlib.suppress(BrokenPipeError):
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()

    def _take(self, descriptor: int) -> bytes | None:
        try:
            return os.read(descriptor, _READ)
        except BlockingIOError:
            return None

    def _split_events(self, data: bytes) -> Iterator[Mapping[str, object]]:
        *lines, self._event_rest = (self._event_rest + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    if event.get("event") == "started":
                        self._pids.add(int(event["pid"]))
                    yield event


def reap_orphans(*own: int) -> None:
    """As PID 1: takes the exit status of processes that others left behind, but none of `own`."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid in own:
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(found.si_pid, 0)
