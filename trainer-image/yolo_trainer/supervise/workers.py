"""The workers of a run's stages, one after the other, with train's imports under way beside prepare."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from yolo_crds.config_env import with_config
from yolo_crds.meta import Stage
from yolo_crds.trainer import TrainerConfig

from ..cgroup import cpus
from ..runfolder.attempt import CLAIM_ENV
from .child import Child, worker_command
from .offline import build_environment, fill_runtime

Command = Callable[[Stage, TrainerConfig], list[str]]


class Workers:
    """Starts one worker a stage, each with a runtime folder of its own.

    A program that runs both stages starts the train worker beside prepare's: it imports torch, which takes
    seconds, and waits. Launchers of several ranks are not held.
    """

    def __init__(self, config: TrainerConfig, command: Command = worker_command) -> None:
        self._config = config
        self._command = command
        self._holds = (
            config.stage is None and command is worker_command and config.template.resources.gpus <= 1
        )
        self._pids: set[int] = set()
        self._held: tuple[Child, tempfile.TemporaryDirectory[str]] | None = None

    @contextmanager
    def running(self, stage: Stage, claim: int) -> Iterator[Child]:
        """The stage's worker, at work under its supervisor's `claim`; in the end all of it is killed."""
        worker = self._held or self._start(stage, {CLAIM_ENV: str(claim)})
        self._held = None
        child, _ = worker
        self._pids = {child.pid}
        try:
            child.release(str(claim))
            if self._holds and stage is Stage.PREPARE:
                self._held = self._start(Stage.TRAIN, {}, held=True)
            yield child
        finally:
            _end(*worker)

    @property
    def pids(self) -> set[int]:
        """Of the running worker and the one that waits: their exit status is nobody else's to take."""
        return self._pids | ({self._held[0].pid} if self._held else set())

    def close(self) -> None:
        """Ends a worker that waits for a turn which does not come."""
        if self._held:
            _end(*self._held)
            self._held = None

    def _start(
        self, stage: Stage, told: Mapping[str, str], *, held: bool = False
    ) -> tuple[Child, tempfile.TemporaryDirectory[str]]:
        folder = tempfile.TemporaryDirectory(prefix="yolo-trainer-")
        runtime = Path(folder.name)
        fill_runtime(runtime)
        config = self._config.model_dump_json(by_alias=True)
        outer: Mapping[str, str] = {**with_config(os.environ, config), **told}
        command = [*self._command(stage, self._config), *(["--held"] if held else [])]
        return Child(command, build_environment(outer, runtime, cpus()), runtime, held=held), folder


def _end(child: Child, folder: tempfile.TemporaryDirectory[str]) -> None:
    child.signal_group(signal.SIGKILL)
    child.wait()
    child.close()
    folder.cleanup()
