"""A stage's process: `python -m yolo_trainer.worker prepare|train [--held]`, started by the supervisor.

Held, it imports what the stage needs and waits for a line on its standard input: its supervisor's claim.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import traceback
from typing import NoReturn

from yolo_crds.conditions import Reason
from yolo_crds.config_env import join_config
from yolo_crds.meta import Stage
from yolo_crds.trainer import ExitCode

from .cgroup import cpus
from .config import parse_config
from .errors import TrainerError
from .process.diagnosis import diagnose
from .process.interrupts import Interrupted, Interrupts, seconds_to_leave
from .process.limits import limit_cpus
from .process.report import Report
from .runfolder.attempt import CLAIM_ENV


def main() -> NoReturn:
    """Runs one stage and leaves the process without waiting for threads or loaders."""
    interrupts = Interrupts()
    interrupts.install()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    os.umask(0o002)
    report = Report.from_environment()
    stage = Stage(sys.argv[1])
    # Prepare is all our own: what it does not expect is a fault of it, and no training failed.
    unknown = Reason.INTERNAL_ERROR if stage is Stage.PREPARE else Reason.TRAINING_FAILED
    code = ExitCode.DONE
    try:
        report.started()
        _run(stage, report, interrupts)
    except Interrupted as error:
        code = ExitCode.INTERRUPTED
        message = str(error) or "the worker was asked to end"
        report.failed(TrainerError(Reason.INTERRUPTED, message, exit_code=code))
    except Exception as error:
        failure = diagnose(error, unknown)
        if interrupts.requested and (failure.secondhand or not report.is_first):
            # The first rank has saved and left, as it was asked to, and this one was still in a collective.
            failure = TrainerError(
                Reason.INTERRUPTED, "the worker was asked to end", None, ExitCode.INTERRUPTED
            )
        elif failure.secondhand and report.has_peers:
            failure = TrainerError(
                Reason.PEER_LOST, failure.message, exit_code=ExitCode.PEER_LOST, secondhand=True
            )
        elif not isinstance(error, TrainerError):
            traceback.print_exc()  # into train_err.log, for who looks deeper
        report.failed(failure)
        code = failure.exit_code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run(stage: Stage, report: Report, interrupts: Interrupts) -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    config = parse_config(join_config(os.environ))
    interrupts.seconds = seconds_to_leave(config.grace_period_seconds)
    limit_cpus(cpus())
    if sys.argv[2:] == ["--held"]:
        _wait_for_turn()
    if stage is Stage.PREPARE:
        from .prepare.stage import prepare

        report(stage="verify")
        prepare(config, report)
        return
    # Here and not above: torch takes seconds, and a stop must be heard meanwhile.
    from .training.stage import train

    train(config, report, interrupts)


def _wait_for_turn() -> None:
    from .training.warm import warm_up

    warm_up()
    line = sys.stdin.readline()
    if not line:
        raise Interrupted("the supervisor ended before this stage began")
    os.environ[CLAIM_ENV] = line.strip()


if __name__ == "__main__":
    main()
