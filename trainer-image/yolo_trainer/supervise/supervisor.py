"""PID 1 of the trainer: runs the stages as child processes, watches them, and always says how they ended.

Only the standard library and the contracts are imported here, so nothing that a training does to memory, GPU
or interpreter can keep the supervisor from writing the termination message.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from yolo_crds.conditions import HINTS, Reason
from yolo_crds.layout import RunFolder
from yolo_crds.meta import Stage
from yolo_crds.trainer import ExitCode, Result, TrainerConfig

from ..cgroup import oom_kills
from ..errors import TrainerError, from_os_error, volume_errors
from ..node import Node
from ..runfolder.attempt import Attempt, claim, rejoin
from ..runfolder.attempts import find_finished
from .child import GIVE_UP, GPU_FAILED, Child, reap_orphans, worker_command
from .console import Console
from .gpu_events import SILENCE_SECONDS, GpuEvents, blame
from .outcome import Ending, Outcome, decide, more_telling
from .progress import Progress
from .results import (
    TERMINATION_LOG,
    build_finished,
    build_result,
    tell_finished,
    write_termination_message,
)
from .stop import StopSignal
from .watchdog import Watchdog
from .workers import Command, Workers

_TICK_SECONDS = 0.2
_KILL_BEFORE_GRACE = 5.0
"""The worker is killed so long before the kubelet would kill all: the message is still to be written."""
_DUMP_SECONDS = 1.0
"""A hung worker gets so long to write its stacks: SIGTERM may overtake the signal that asks for them."""
_HUNG_SECONDS = 10.0
"""And so long to leave by itself."""


class Supervisor:
    """One run of the program: one stage, or both."""

    def __init__(
        self,
        config: TrainerConfig,
        stop: StopSignal,
        command: Command = worker_command,
        termination_log: Path = TERMINATION_LOG,
        node: Node | None = None,
    ) -> None:
        """`node`: which of several pods this is, as `Node.of` says."""
        self._node = node or Node()
        self.config = config
        self._stop = stop
        self.folder = RunFolder(config.model_name, Path(config.runs_dir))
        self.attempt: Attempt | None = None
        self.progress = Progress(time.monotonic())
        self.console = Console(self.progress, config.time_zone, leads=self._node.leads)
        self._workers = Workers(config, command)
        self._termination_log = termination_log
        self._deadline = time.monotonic() + (config.active_deadline_seconds or float("inf"))
        self._ending: tuple[Ending, str] | None = None
        self._terminate_at = self._kill_at = float("inf")
        self._failure: Mapping[str, object] | None = None
        self._finished: Result | None = None

    def run(self) -> ExitCode:
        """Runs the configured stage, or both; the exit code is that of the last one."""
        os.umask(0o002)  # façade, prepare and train share a group
        outcome = Outcome(ExitCode.DONE)
        for stage in [self.config.stage] if self.config.stage else list(Stage):
            started_at = time.time()
            outcome = self._guarded(stage)
            self._conclude(stage, outcome, started_at)
            if not outcome.ok or self._finished:
                break
        self._workers.close()
        self.console.close()
        return outcome.exit_code

    def _guarded(self, stage: Stage) -> Outcome:
        """Runs a stage; whatever goes wrong in the supervisor itself is an outcome, too."""
        try:
            return self._run_stage(stage)
        except TrainerError as error:
            return Outcome.of(error)
        except OSError as error:
            return Outcome.of(from_os_error(error, self.folder.train, "write"))
        except Exception as error:
            traceback.print_exc()
            message = f"the supervisor failed: {type(error).__name__}: {error}"
            return Outcome(ExitCode.FAILED, Reason.INTERNAL_ERROR, message, HINTS[Reason.INTERNAL_ERROR])

    def _run_stage(self, stage: Stage) -> Outcome:
        self.attempt = None
        if self._stop.number:  # before it takes the folder from anybody
            name = signal.Signals(self._stop.number).name
            return Outcome.of(
                TrainerError(Reason.INTERRUPTED, f"ended by {name}", exit_code=ExitCode.INTERRUPTED)
            )
        if not self._node.leads:
            return self._follow()
        self.attempt = claim(self.config) if stage is Stage.PREPARE else rejoin(self.config)
        self._finished = self.attempt.finished
        if self._finished:
            return Outcome(ExitCode.DONE)
        self.console.use_logs(self.attempt.open_logs())
        outcome = self._work(stage, self.attempt.claim.number)
        if stage is Stage.PREPARE and outcome.ok:
            self._finished = self.attempt.finished  # it found nothing to train
        return outcome

    def _follow(self) -> Outcome:
        """Trains as one of the pods that the first one speaks for: nothing of the run folder is this one's,
        and whether there is progress, only the first one can see.
        """
        with volume_errors(self.folder.train, "read"):
            self._finished = find_finished(self.folder, self.config.uid, self.config.run)
        if self._finished:
            return Outcome(ExitCode.DONE)
        outcome = self._work(Stage.TRAIN, 0)
        return replace(outcome, message="pod 0 tells how it ended") if outcome.ok else outcome

    def _work(self, stage: Stage, claim: int) -> Outcome:
        kills = oom_kills()
        gpus = self.config.template.resources.gpus if stage is Stage.TRAIN else 0
        with GpuEvents(wanted=gpus > 0) as gpu_events, self._workers.running(stage, claim) as child:
            self._watch(child, gpu_events)
            if child.returncode:
                gpu_events.linger()
        ending, message = self._ending or (None, "")
        returncode = child.returncode
        assert returncode is not None
        ranks = self.config.template.resources.all_gpus if stage is Stage.TRAIN else 1
        outcome = decide(returncode, self._failure, ending, message, oom_kills() - kills, ranks=ranks)
        return blame(outcome, gpu_events.heard)

    def _watch(self, child: Child, gpu_events: GpuEvents) -> None:
        """Follows a child to its end."""
        watchdog = Watchdog(self.config.stall_timeout_seconds, time.monotonic())
        while not child.is_over():
            for kind, value in child.read(_TICK_SECONDS):
                now = time.monotonic()
                if isinstance(value, str):
                    watchdog.output(now)
                    self.console.line(kind, value, now)
                else:
                    watchdog.event(value, now)
                    self._take(value, now)
                    if value.get("event") == "gpu_failed":
                        self._warn(str(value["message"]), now)
                        watchdog.doubt(SILENCE_SECONDS)
            now = time.monotonic()
            for heard in gpu_events.news():
                self._warn(str(heard), now)
                if heard.is_fault:
                    watchdog.doubt(SILENCE_SECONDS)
                    if not self._node.leads:
                        child.tell(GPU_FAILED)
            self.console.progress_if_due(now)
            self._end_if_due(child, watchdog, now)
            if os.getpid() == 1:
                reap_orphans(*self._workers.pids)

    def _warn(self, message: str, now: float) -> None:
        self.progress.warn(message)
        self.console.line("err", f"WARNING {message}", now)
        self.console.progress(now)

    def _take(self, event: Mapping[str, object], now: float) -> None:
        self.progress.apply(event, now)
        if heading := self.progress.heading():
            self.console.say(heading)
        match event.get("event"):
            case "epoch_started":
                self.console.legacy(f"start train {event['epoch']}/{event['epochs']} ", now)
            case "epoch_finished":
                self.console.say(self.progress.epoch_line(event, now))
                self.console.progress_if_due(now, news=True)
            case "failed":
                self._failure = more_telling(self._failure, event)

    def _end_if_due(self, child: Child, watchdog: Watchdog, now: float) -> None:
        if self._ending:
            if now >= self._terminate_at:
                self._terminate_at = float("inf")
                hangs = self._ending[0] is Ending.HUNG and self._node.count > 1
                child.terminate(GIVE_UP if hangs else signal.SIGTERM)
            if now >= self._kill_at:
                child.signal_group(signal.SIGKILL)
            return
        grace = max(1.0, self.config.grace_period_seconds - _KILL_BEFORE_GRACE)
        if self._stop.number:
            name = signal.Signals(self._stop.number).name
            self._end(Ending.INTERRUPTED, f"ended by {name}", now, now + grace)
        elif now >= self._deadline:
            limit = self.config.active_deadline_seconds
            message = f"not finished within the {limit} s that were left (activeDeadlineSeconds)"
            self._end(Ending.DEADLINE, message, now, now + grace)
        elif self.attempt and (silence := watchdog.silent_for(now)) is not None:
            child.dump_stacks()
            message = f"no sign of progress for {silence:.0f} s in stage {watchdog.stage}"
            self._end(Ending.HUNG, message, now + _DUMP_SECONDS, now + _HUNG_SECONDS)

    def _end(self, ending: Ending, message: str, terminate_at: float, kill_at: float) -> None:
        self._ending = ending, message
        self._terminate_at, self._kill_at = terminate_at, kill_at
        self.console.line("err", f"WARNING {message}", time.monotonic())

    def _conclude(self, stage: Stage, outcome: Outcome, started_at: float) -> None:
        """Says how a stage ended, wherever somebody may look; none of it keeps the others from being said."""
        now = time.monotonic()
        if not self._finished:  # without the volume: a mount that hangs answers no read, and time is short
            said = build_result(self.config, stage, outcome, self.progress, None, started_at)
            write_termination_message(said, self._termination_log)
        result = self._result(stage, outcome, started_at)
        write_termination_message(result, self._termination_log)
        try:
            if self.attempt:  # else the folder is not ours to write into
                self.attempt.finish(result)
        except TrainerError as error:
            self.console.line("err", f"WARNING the end cannot be stored: {error}", now)
        if not outcome.ok:
            self.console.line("err", f"ERROR {outcome.reason}: {outcome.message}", now)
            if outcome.hint:
                self.console.say(f"HINT {outcome.hint}")
        elif self._finished:
            self.console.line("out", tell_finished(self.config, self._finished), now)
        elif stage is Stage.TRAIN:
            self.console.legacy("train finished", now)
        self.console.progress(now)

    def _result(self, stage: Stage, outcome: Outcome, started_at: float) -> Result:
        if self._finished:
            return build_finished(self.config, stage, self._finished)
        try:
            return build_result(self.config, stage, outcome, self.progress, self.attempt, started_at)
        except TrainerError:  # the volume is what failed, perhaps
            return build_result(self.config, stage, outcome, self.progress, None, started_at)
