"""Daemons: started detached, recorded with their start time, ended only if they are provably ours.

A process is ours if its record's pid has the recorded start time, or if its environment carries our
state folder's mark. The mark also finds what a killed `up` started and had no time to record.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .paths import ClusterError

MARK = "YOLO_CLUSTER"
# Prints the pid of a detached "$@" whose output goes where the shell's stderr goes.
SPAWN = 'exec 3>&1 1>&2; setsid "$@" </dev/null 3>&- & echo $! >&3'


@dataclass(frozen=True)
class Daemon:
    """How a component is started; enough to start it again after a fault."""

    name: str
    argv: tuple[str, ...]
    netns: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"
    root: str | None = None


def start_time(pid: int) -> str | None:
    """A process's start in clock ticks since boot; None if it is gone or a zombie.

    One whose main thread has ended while others have not still holds its ports (proc(5): num_threads).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" and int(fields[17]) <= 1 else fields[19]


def marked(state: Path) -> list[int]:
    """Processes that carry the mark of the cluster in `state`, among them the shims of its pods."""
    want = f"{MARK}={state}".encode()
    return [pid for pid in _pids() if want in _environment(pid) and start_time(pid)]


def marked_states() -> set[Path]:
    """State folders of all clusters that have processes on this machine."""
    mark = f"{MARK}=".encode()
    found = {
        each.removeprefix(mark) for pid in _pids() for each in _environment(pid) if each.startswith(mark)
    }
    return {Path(os.fsdecode(state)) for state in found}


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def command_line(pid: int) -> list[str]:
    """A process's arguments; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def _environment(pid: int) -> list[bytes]:
    """`NAME=value` of all variables that a process was started with; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Signals each of `pids` that still exists."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def end(pids: Iterable[int], *, grace: float = 0.0) -> None:
    """Ends processes: SIGTERM and `grace` seconds first if given, then SIGKILL until none is left."""
    alive = {pid: start for pid in pids if (start := start_time(pid))}
    if grace and alive:
        send(alive, signal.SIGCONT)
        send(alive, signal.SIGTERM)
        _wait(alive, grace)
    send(alive, signal.SIGKILL)
    _wait(alive, 5.0)
    if alive:
        raise ClusterError(f"processes {sorted(alive)} survive SIGKILL")


def _wait(alive: dict[int, str], seconds: float) -> None:
    """Drops from `alive` who dies within `seconds`."""
    deadline = time.monotonic() + seconds
    while alive and time.monotonic() < deadline:
        for pid, started in list(alive.items()):
            if start_time(pid) != started:
                del alive[pid]
        if alive:
            time.sleep(0.02)


class Supervisor:
    """The daemons of one cluster, by their records in `<state>/run/<name>.json`."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.records = state / "run"
        self.logs = state / "logs"

    def names(self) -> list[str]:
        """Every component that was ever started here."""
        return sorted(path.stem for path in self.records.glob("*.json"))

    def pid(self, name: str) -> int | None:
        """The component's process, if it runs."""
        record = self._record(name)
        if record is None:
            return None
        pid = int(record["pid"])
        return pid if pid and start_time(pid) == record["start"] else None

    def daemon(self, name: str) -> Daemon:
        """How `name` was started last; raises ClusterError if it never was."""
        record = self._record(name)
        if record is None:
            raise ClusterError(f"no component {name!r} here; there are: {', '.join(self.names()) or 'none'}")
        # An older start had neither of the last two.
        places = record.get("cwd", "/"), record.get("root")
        return Daemon(name, tuple(record["argv"]), record["netns"], record["env"], *places)

    def runs(self, daemon: Daemon) -> bool:
        """Whether `daemon` runs just so, be it on record or started by an `up` that was killed."""
        if self.pid(daemon.name):
            return self.daemon(daemon.name) == daemon
        return self._unrecorded(daemon) is not None

    def ensure(self, daemon: Daemon) -> bool:
        """Starts `daemon` unless it runs just so, again if it runs otherwise. True if it was started."""
        running = self.pid(daemon.name)
        if running and self.daemon(daemon.name) == daemon:
            return False
        if running:
            end([running], grace=5.0)
        elif adopted := self._unrecorded(daemon):
            if {f"{name}={value}".encode() for name, value in daemon.env.items()} <= {*_environment(adopted)}:
                self._write(daemon, adopted)
                return False
            end([adopted], grace=5.0)
        self.start(daemon)
        return True

    def start(self, daemon: Daemon) -> None:
        """Starts `daemon` detached from this process, its output appended to `<state>/logs/<name>.log`."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self.records.mkdir(parents=True, exist_ok=True)
        self._write(daemon, 0)
        places = [f"--net=/run/netns/{daemon.netns}"] if daemon.netns else []
        places += [f"--root={daemon.root}"] if daemon.root else []
        enter = ["nsenter", *places, "--"] if places else []
        kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        environment = {**kept, **daemon.env, MARK: str(self.state)}
        # The shell ends at once, so that the daemon is nobody's child: no zombie in a long test run.
        with (self.logs / f"{daemon.name}.log").open("ab") as log:
            shell = subprocess.run(
                ["sh", "-c", SPAWN, "sh", *enter, *daemon.argv],
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
                check=True,
                cwd=daemon.cwd,
            )
        self._write(daemon, int(shell.stdout))

    def stop(self, name: str, *, grace: float = 0.0) -> None:
        """Ends the component if it runs; its record stays, so that it can be started again."""
        if pid := self.pid(name):
            end([pid], grace=grace)

    def forget(self, name: str, *, grace: float = 0.0) -> None:
        """Ends the component for good: nothing tells of it any more but its log."""
        self.stop(name, grace=grace)
        self._path(name).unlink(missing_ok=True)

    def require(self, *names: str) -> None:
        """Raises ClusterError with the end of its log if a component that was started has ended."""
        for name in names:
            if self.pid(name) is None:
                log = self.logs / f"{name}.log"
                lines = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
                raise ClusterError("\n  ".join([f"{name} ended; the last lines of {log}:", *lines]))

    def signal(self, name: str, number: signal.Signals) -> None:
        """Signals a running component; raises ClusterError if it does not run."""
        self.daemon(name)
        if not (pid := self.pid(name)):
            raise ClusterError(f"{name} does not run")
        send([pid], number)

    def _unrecorded(self, daemon: Daemon) -> int | None:
        want = list(daemon.argv)
        return next((pid for pid in marked(self.state) if command_line(pid) == want), None)

    def _path(self, name: str) -> Path:
        return self.records / f"{name}.json"

    def _record(self, name: str) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = json.loads(self._path(name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return record

    def _write(self, daemon: Daemon, pid: int) -> None:
        record = {**asdict(daemon), "pid": pid, "start": start_time(pid) if pid else None}
        aside = self._path(daemon.name).with_suffix(".tmp")
        aside.write_text(json.dumps(record))
        aside.replace(self._path(daemon.name))
