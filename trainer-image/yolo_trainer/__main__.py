"""`python -m yolo_trainer [CONFIG.json]`: prepare and train one model; see `config.load_config`.

`python -m yolo_trainer data …` looks after prepared data sets; see `keeping.command`.
"""

from __future__ import annotations

import sys

from yolo_crds.unknown_user import ensure_user

from .supervise.stop import StopSignal


def main() -> int:
    """The exit code, one of `trainer.ExitCode`."""
    ensure_user()
    if sys.argv[1:2] == ["data"]:
        # Here and not above: the supervisor of a training needs no image library.
        from .keeping import command

        return command.main(sys.argv[2:])
    stop = StopSignal()
    stop.install()
    # Here and not above: the contracts take half a second, in which PID 1 would not notice a SIGTERM.
    from .config import load_config
    from .errors import TrainerError
    from .node import Node
    from .supervise.outcome import Outcome
    from .supervise.results import build_refusal, write_termination_message
    from .supervise.supervisor import Supervisor

    try:
        config = load_config(sys.argv[1:])
        node = Node.of(config)
    except TrainerError as error:
        write_termination_message(build_refusal(Outcome.of(error)))
        print(f"ERROR {error.message}", file=sys.stderr)
        return int(error.exit_code)
    return int(Supervisor(config, stop, node=node).run())


if __name__ == "__main__":
    sys.exit(main())
