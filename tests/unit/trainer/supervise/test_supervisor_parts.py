"""The pure parts of the supervisor: lines, progress, watchdog, outcome, configuration."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from yolo_crds.conditions import Reason
from yolo_crds.meta import Stage
from yolo_crds.status import Dataset
from yolo_crds.trainer import PROGRESS_MAX_BYTES, ExitCode, Prepared, TrainerConfig
from yolo_trainer.config import parse_config
from yolo_trainer.errors import InvalidArgumentsError
from yolo_trainer.process.report import finite
from yolo_trainer.supervise.child import worker_command
from yolo_trainer.supervise.outcome import Ending, decide, more_telling
from yolo_trainer.supervise.output import Lines
from yolo_trainer.supervise.progress import Progress
from yolo_trainer.supervise.watchdog import Watchdog
from yolo_trainer.training.overrides import build_overrides


def _config(template: dict[str, object] | None = None, **fields: object) -> TrainerConfig:
    base = {"model": "yolo11n.yaml", "data": {"train": "d"}}
    return TrainerConfig.model_validate(
        {"name": "t", "uid": "u", "modelName": "toy", "template": {**base, **(template or {})}, **fields}
    )


def test_lines_joins_what_came_in_pieces() -> None:
    lines = Lines()

    assert lines.feed(b"one\ntw", 0) == ["one"]
    assert lines.feed(b"o\r", 0) == []
    assert lines.feed(b"\nthree", 0) == ["two"]
    assert lines.flush(0) == ["three"]


def test_lines_shows_a_bar_now_and_then_and_its_end() -> None:
    lines = Lines()

    assert lines.feed(b"\r\x1b[K1%\r\x1b[K2%\r\x1b[K3%", 0) == ["1%"]
    assert lines.feed(b"\r\x1b[K4%", 11) == ["3%"]
    assert lines.feed(b"\r\x1b[K100%\n", 12) == ["100%"]


def test_lines_cuts_a_line_without_end() -> None:
    assert Lines().feed(b"x" * 20_000, 0) == ["x" * 20_000]


def test_progress_estimates_by_the_median_epoch() -> None:
    progress = Progress(0)
    now = 0.0
    for epoch, seconds in enumerate((100.0, 10.0, 12.0), start=1):
        progress.apply({"event": "epoch_started", "epoch": epoch, "epochs": 10, "batches": 4}, now)
        now += seconds
        progress.apply({"event": "epoch_finished", "epoch": epoch, "epochs": 10, "fitness": 0.5}, now)
    progress.apply({"event": "epoch_started", "epoch": 4, "epochs": 10, "batches": 4}, now)
    progress.apply({"event": "progress", "stage": "epoch", "batch": 2, "batches": 4}, now)

    line = progress.line(1, now + 5, 0)

    assert (line.epoch, line.epochs, line.batch, line.percent) == (4, 10, 2, 35.0)
    assert line.eta_seconds == 12 * 7 - 5


def test_progress_has_the_best_epoch_that_the_trainer_names() -> None:
    progress = Progress(0)
    best = {"epoch": 2, "fitness": 0.5, "metrics": {"m": 0.5, "bad": None}}
    progress.apply({"event": "epoch_finished", "epoch": 1, "epochs": 3, "fitness": 0.5, "best": None}, 1)
    progress.apply({"event": "epoch_finished", "epoch": 2, "epochs": 3, "fitness": 0.5, "best": best}, 2)
    progress.apply({"event": "epoch_finished", "epoch": 3, "epochs": 3, "fitness": 0.1, "best": best}, 3)

    line = progress.line(1, 4, 0)

    assert line.best is not None
    assert (line.best.epoch, line.best.fitness, line.best.metrics) == (2, 0.5, {"m": 0.5})


def test_progress_has_no_metrics_of_an_epoch_that_was_not_validated() -> None:
    progress = Progress(0)
    finished = {"event": "epoch_finished", "epochs": 3}
    progress.apply({**finished, "epoch": 1, "metrics": {"m": 0.5}, "fitness": 0.5}, 1)
    progress.apply({**finished, "epoch": 2, "metrics": {}, "fitness": None}, 2)

    line = progress.line(1, 3, 0)

    assert (line.metrics, line.fitness) == ({}, None)


def test_progress_estimates_the_first_epoch_by_its_own_pace() -> None:
    progress = Progress(0)
    progress.apply({"event": "epoch_started", "epoch": 1, "epochs": 2, "batches": 10}, 0)
    assert progress.line(1, 1, 0).eta_seconds is None
    progress.apply({"event": "progress", "stage": "epoch", "batch": 5, "batches": 10}, 10)

    assert progress.line(2, 10, 0).eta_seconds == 30


def test_progress_goes_on_where_an_earlier_attempt_ended() -> None:
    progress = Progress(0)
    best = {"epoch": 3, "fitness": 0.9, "metrics": {"m": 0.9}}
    progress.apply({"event": "resumed", "epoch": 5, "epochs": 10, "best": best}, 0)
    progress.apply({"event": "epoch_started", "epoch": 6, "epochs": 10, "batches": 4}, 0)
    progress.apply({"event": "epoch_finished", "epoch": 6, "epochs": 10, "fitness": 0.5}, 9)

    line = progress.line(1, 9, 0)

    assert (line.epoch, line.percent) == (6, 60.0)
    assert line.best is not None
    assert line.best.epoch == 3


def test_progress_line_is_never_too_long() -> None:
    progress = Progress(0)
    metrics = {f"metrics/a-rather-long-name-{i}": i / 3 for i in range(200)}
    progress.apply({"event": "epoch_finished", "epoch": 1, "epochs": 2, "metrics": metrics}, 1)

    assert len(progress.line(1, 1, 0).to_line()) <= PROGRESS_MAX_BYTES


def test_finite_leaves_no_nan() -> None:
    value = {"a": float("nan"), "b": [float("inf"), 1], "c": None, "d": True}

    assert finite(value) == {"a": None, "b": [None, 1], "c": None, "d": True}


def test_watchdog_counts_only_batches_while_training() -> None:
    watchdog = Watchdog(30, 0)
    watchdog.event({"event": "epoch_started"}, 0)
    watchdog.output(25)

    assert watchdog.silent_for(29) is None
    assert watchdog.silent_for(31) == 31


def test_watchdog_in_doubt_waits_no_longer_in_any_stage() -> None:
    watchdog = Watchdog(1800, 0)
    watchdog.event({"event": "progress", "stage": "save"}, 0)
    watchdog.doubt(60)

    assert watchdog.silent_for(59) is None
    assert watchdog.silent_for(61) == 61


def test_watchdog_gives_an_import_its_own_time() -> None:
    watchdog = Watchdog(30, 0)
    watchdog.event({"event": "progress", "stage": "import"}, 0)

    assert watchdog.silent_for(599) is None
    assert watchdog.silent_for(601) == 601


@pytest.mark.parametrize(
    ("returncode", "failure", "ending", "kills", "want"),
    [
        (0, None, Ending.INTERRUPTED, 0, (ExitCode.DONE, None)),
        (-signal.SIGKILL, None, None, 1, (ExitCode.WORKER_KILLED, Reason.OOM_KILLED)),
        (-signal.SIGKILL, None, Ending.INTERRUPTED, 0, (ExitCode.INTERRUPTED, Reason.INTERRUPTED)),
        (-signal.SIGSEGV, None, None, 0, (ExitCode.WORKER_KILLED, Reason.WORKER_KILLED)),
        (1, None, None, 0, (ExitCode.FAILED, Reason.TRAINING_FAILED)),
        (
            8,
            {"reason": "WorkerKilled", "message": "loader", "exit_code": 8},
            None,
            1,
            (ExitCode.WORKER_KILLED, Reason.OOM_KILLED),
        ),
        (
            4,
            {"reason": "Diverged", "message": "nan", "exit_code": 4},
            Ending.INTERRUPTED,
            0,
            (ExitCode.FAILED, Reason.DIVERGED),
        ),
    ],
)
def test_decide_weighs_all_that_is_known(
    returncode: int,
    failure: dict[str, object] | None,
    ending: Ending | None,
    kills: int,
    want: tuple[ExitCode, Reason | None],
) -> None:
    outcome = decide(returncode, failure, ending, "ended", kills)

    assert (outcome.exit_code, outcome.reason) == want


WITNESS = {
    "reason": "WorkerKilled",
    "message": "Connection reset by peer",
    "exit_code": 8,
    "secondhand": True,
}
ASKED = {"reason": "Interrupted", "message": "asked to end", "exit_code": 143, "secondhand": False}
CAUSE = {"reason": "CudaOutOfMemory", "message": "CUDA out of memory", "exit_code": 4, "secondhand": False}


@pytest.mark.parametrize("hearsay", [WITNESS, ASKED])
def test_more_telling_is_the_rank_that_knows_why(hearsay: dict[str, object]) -> None:
    assert more_telling(None, hearsay) is hearsay
    assert more_telling(hearsay, CAUSE) is CAUSE
    assert more_telling(CAUSE, hearsay) is CAUSE
    assert more_telling(WITNESS, ASKED) is WITNESS


def test_decide_tells_which_rank_the_kernel_killed_for_memory() -> None:
    said = "rank 1 was killed by signal 9 (SIGKILL)"
    seen = {"reason": "WorkerKilled", "message": said, "exit_code": 8, "secondhand": False, "seen": True}

    outcome = decide(137, seen, None, "", oom_kills=1, ranks=2)

    assert (outcome.reason, outcome.message) == (Reason.OOM_KILLED, f"out of memory (cgroup): {said}")


@pytest.mark.parametrize("hearsay", [WITNESS, ASKED])
def test_more_telling_is_the_launcher_that_heard_of_another_pods_end(hearsay: dict[str, object]) -> None:
    """A rank stops with that of the other pod, often before the launcher has heard of it."""
    message = "pod 1 was asked to end"
    heard = {"reason": "Interrupted", "message": message, "exit_code": 143, "secondhand": False, "seen": True}
    assert more_telling(hearsay, heard) is heard
    assert more_telling(heard, hearsay) is heard
    assert more_telling(CAUSE, heard) is CAUSE
    outcome = decide(143, heard, None, "", 0)
    assert (outcome.exit_code, outcome.message) == (ExitCode.INTERRUPTED, message)


def test_more_telling_is_the_launcher_that_saw_a_rank_killed() -> None:
    seen = {**WITNESS, "secondhand": False, "seen": True}
    assert more_telling(CAUSE, seen) is seen
    assert more_telling(seen, CAUSE) is seen


@pytest.mark.parametrize("failure", [None, WITNESS, ASKED])
@pytest.mark.parametrize(("kills", "want"), [(0, Reason.WORKER_KILLED), (1, Reason.OOM_KILLED)])
def test_decide_takes_a_lost_rank_for_killed(
    failure: dict[str, object] | None, kills: int, want: Reason
) -> None:
    outcome = decide(1, failure, None, "", kills, ranks=2)

    assert (outcome.exit_code, outcome.reason) == (ExitCode.WORKER_KILLED, want)


def test_parse_config_names_the_wrong_field() -> None:
    with pytest.raises(InvalidArgumentsError, match=r"template\.epochs: .*greater than or equal to 1"):
        parse_config(
            '{"name":"t","uid":"u","modelName":"toy",'
            '"template":{"model":"m","data":{"train":"d"},"epochs":0}}'
        )


def test_worker_command_starts_one_process_a_gpu() -> None:
    one = worker_command(Stage.TRAIN, _config({"resources": {"gpus": 1}}))
    four = worker_command(Stage.TRAIN, _config({"resources": {"gpus": 4}}))

    assert one[1:] == ["-m", "yolo_trainer.worker", "train"]
    assert four[1:] == ["-m", "yolo_trainer.supervise.ranks", "4", "train"]
    assert worker_command(Stage.PREPARE, _config({"resources": {"gpus": 4}}))[1:] == [*one[1:-1], "prepare"]


@pytest.mark.parametrize(
    ("template", "want"),
    [
        ({}, "auto"),
        ({"hyperparameters": {"lr0": 0.1}}, "SGD"),
        ({"extraArgs": {"momentum": "0.9"}}, "SGD"),
        ({"optimizer": "auto", "hyperparameters": {"lr0": 0.1}}, "auto"),
        ({"optimizer": "AdamW", "hyperparameters": {"lr0": 0.1}}, "AdamW"),
    ],
)
def test_build_overrides_takes_an_optimizer_that_obeys(template: dict[str, object], want: str) -> None:
    prepared = Prepared(uid="u", run=1, attempt=1, dataset=Dataset(hash="h"), data_yaml="/d/data.yaml")
    assert build_overrides(_config(template), prepared, Path("/runs/t"), "cpu", cpus=2)["optimizer"] == want


def test_build_overrides_lets_remedies_win() -> None:
    config = _config(
        {
            "batch": 16.0,
            "cache": "ram",
            "workers": 8,
            "hyperparameters": {"lr0": 0.1, "mosaic": 1.0, "close_mosaic": 3.0},
            "extraArgs": {"cos_lr": "true", "freeze": "[0, 1]"},
        },
        overrides={"batch": 8, "cache": False},
    )
    prepared = Prepared(uid="u", run=1, attempt=1, dataset=Dataset(hash="h"), data_yaml="/d/data.yaml")

    have = build_overrides(config, prepared, Path("/runs/train/toy/.attempts/t"), "cpu", cpus=2)

    want = {
        "batch": 8,
        "cache": False,
        "workers": 2,
        "lr0": 0.1,
        "close_mosaic": 3,
        "cos_lr": True,
        "freeze": [0, 1],
        "model": "yolo11n.yaml",
        "task": "detect",
        "data": "/d/data.yaml",
        "save_dir": "/runs/train/toy/.attempts/t",
    }
    assert {key: have[key] for key in want} == want
    assert isinstance(have["batch"], int)
    assert isinstance(have["close_mosaic"], int)
