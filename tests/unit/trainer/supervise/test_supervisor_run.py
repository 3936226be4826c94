"""The supervisor with small workers as real child processes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from yolo_crds.conditions import Reason
from yolo_crds.layout import RunFolder
from yolo_crds.meta import Stage, attempt_token
from yolo_crds.trainer import (
    PROGRESS_EVERY_LINES,
    PROGRESS_PREFIX,
    TERMINATION_MESSAGE_MAX_BYTES,
    ExitCode,
    Result,
    TrainerConfig,
    parse_progress,
    parse_result,
)
from yolo_trainer.errors import TrainerError
from yolo_trainer.node import Node
from yolo_trainer.runfolder.attempt import Attempt, claim
from yolo_trainer.runfolder.logs import Log
from yolo_trainer.supervise.gpu_events import GpuEvents, Heard
from yolo_trainer.supervise.stop import StopSignal
from yolo_trainer.supervise.supervisor import Supervisor

UID = "0123456789abcdef"
PRELUDE = """
import os, signal, sys, time
from yolo_trainer.process.report import Report
from yolo_trainer.errors import TrainerError
from yolo_crds.conditions import Reason
report = Report.from_environment()
report.started()
"""


@pytest.fixture
def stop() -> Iterator[StopSignal]:
    """Installed, and taken away again."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    found = StopSignal()
    found.install()
    yield found
    for number, handler in before.items():
        signal.signal(number, handler)


class Runner:
    """Runs a supervisor over a worker given as Python text."""

    def __init__(self, root: Path, stop: StopSignal, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.folder = RunFolder("toy", root)
        self.termination_log = root / "termination-log"
        self.termination_log.touch()
        self.out = ""
        self._stop = stop
        self._capsys = capsys

    def config(self) -> TrainerConfig:
        """Of a training without a GPU."""
        template = {"model": "yolo11n.yaml", "data": {"train": "d"}, "resources": {"gpus": 0}}
        wire = {
            "name": "toy",
            "uid": UID,
            "modelName": "toy",
            "runsDir": str(self.root),
            "template": template,
        }
        return TrainerConfig.model_validate({"stage": "train", **wire})

    def run(
        self, worker: str, *, claimed: bool = True, node: Node | None = None, **fields: object
    ) -> ExitCode:
        """The exit code; limits in `fields` may be below those that the contract allows, to be quick.

        For a train stage the folder is taken before, as its prepare stage would have done (`claimed`).
        """
        config = self.config().model_copy(update=fields)
        if claimed and config.stage is Stage.TRAIN:
            claim(config)
        text = PRELUDE + textwrap.dedent(worker)
        command = [sys.executable, "-c", text]
        supervisor = Supervisor(config, self._stop, lambda *_: command, self.termination_log, node)
        code = supervisor.run()
        self.out = self._capsys.readouterr().out
        return code

    @property
    def result(self) -> Result:
        found = parse_result(self.folder.result(attempt_token(UID, 1, 1)).read_text())
        assert found is not None
        return found

    @property
    def message(self) -> Result:
        found = parse_result(self.termination_log.read_text())
        assert found is not None
        return found


@pytest.fixture
def runner(tmp_path: Path, stop: StopSignal, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(tmp_path, stop, capsys)


TRAINING = """
for epoch in (1, 2):
    report.epoch_started(epoch, 2, 4)
    for batch in range(4):
        report.batch("epoch", batch + 1, 4, float(batch + 10 * epoch))
    metrics = {"m": epoch / 2, "bad": float("nan")}
    best = {"epoch": epoch, "fitness": epoch / 2, "metrics": metrics}
    report.epoch_finished(epoch, epochs=2, metrics=metrics, fitness=epoch / 2, best=best)
report.finished(metrics={"m": 1.0})
print("bye", file=sys.stderr)
"""


def test_run_of_a_good_worker_leaves_logs_and_result(runner: Runner) -> None:
    assert runner.run(TRAINING) is ExitCode.DONE

    lines = runner.folder.std_log.read_text().splitlines()
    assert [line.partition(" ,")[0] for line in lines[:2]] == ["* start train 1/2", "* start train 2/2"]
    assert lines[-1].startswith("* train finished, ")
    assert runner.folder.err_log.read_text() == "bye\n"
    assert not runner.folder.std_log.is_symlink()
    result = runner.result
    assert (result.exit_code, result.epochs_done, result.epochs, result.metrics) == (0, 2, 2, {"m": 1.0})
    assert result.best is not None
    assert result.best.epoch == 2
    assert runner.message.exit_code == 0
    last = [parsed for line in runner.out.splitlines() if (parsed := parse_progress(line))][-1]
    assert (last.epoch, last.percent, last.eta_seconds) == (2, 100, 0)


def epoch_finished(epoch: int) -> dict[str, object]:
    return {
        "event": "epoch_finished",
        "epoch": epoch,
        "epochs": 2,
        "metrics": {"metrics/mAP50-95(B)": epoch / 4},
        "best": {"epoch": 1, "fitness": 0.25, "metrics": {"metrics/mAP50-95(B)": 0.25}},
        "losses": {"train/box_loss": 0.8421, "train/cls_loss": 0.5},
    }


def test_people_are_shown_a_line_an_epoch_and_the_file_keeps_the_tables(
    runner: Runner, stop: StopSignal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    val: dict[str, object] = {"event": "progress", "stage": "val", "batch": 0, "batches": 1}
    said: list[str | dict[str, object]] = [
        {"event": "progress", "stage": "import"},
        {"event": "progress", "stage": "scan"},
        "   from  n    params  module",
        "",
    ]
    for epoch in (1, 2):
        said += [
            {"event": "epoch_started", "epoch": epoch, "epochs": 2, "batches": 4},
            "",
            f"        {epoch}/2         0G      0.842: 100%",
            "Closing dataloader mosaic",
            val,
            epoch_finished(epoch),
            "                   all          8          8",  # a pipe of its own: it may come late
        ]
    said += [val, "                   red          4          4", {"event": "finished", "metrics": {}}]
    supervisor = Supervisor(runner.config(), stop)
    file = tmp_path / "std.log"
    supervisor.console.use_logs({"out": Log(file.open("w"))})

    for now, one in enumerate(said):
        if isinstance(one, str):
            supervisor.console.line("out", one, now)
        else:
            supervisor._take(one, now)
    supervisor.console.close()

    shown = [line for line in capsys.readouterr().out.splitlines() if PROGRESS_PREFIX not in line]
    stamp = r" , \d.*"
    assert [re.sub(stamp, "", line) for line in shown] == [
        "--- loading PyTorch and Ultralytics",
        "--- reading the data set",
        "   from  n    params  module",  # of no epoch
        "",
        "--- training from epoch 1 to 2",
        "* start train 1/2",
        "Closing dataloader mosaic",
        "epoch 1/2 | box 0.842  cls 0.500 | mAP50-95 box 0.250 (best) | 5.0 s | 5.0 s left",
        "* start train 2/2",
        "Closing dataloader mosaic",
        "epoch 2/2 | box 0.842  cls 0.500 | mAP50-95 box 0.500 (best 0.250, epoch 1) | 5.0 s",
        "--- validating best.pt",
        "                   red          4          4",
    ]
    starts = {f"* start train {epoch}/2" for epoch in (1, 2)}
    want = [one for one in said if isinstance(one, str)]
    lines = [re.sub(stamp, "", line) for line in file.read_text().splitlines()]
    assert [line for line in lines if line not in starts] == want


def test_run_prints_progress_in_any_hundred_lines(runner: Runner) -> None:
    runner.run("for i in range(450): print(i)")

    lines = runner.out.splitlines()
    places = [i for i, line in enumerate(lines) if PROGRESS_PREFIX in line]
    gaps = [b - a for a, b in zip([-1, *places], [*places, len(lines)], strict=False)]
    assert max(gaps) <= PROGRESS_EVERY_LINES
    want = [str(i) for i in range(450)]
    assert [line for line in lines if line.isdigit()] == want


def test_run_shows_a_bar_as_few_lines(runner: Runner) -> None:
    runner.run(r"""sys.stdout.write("".join(f"\r\033[K{i}%" for i in range(300)) + "\n")""")

    shown = [line for line in runner.folder.std_log.read_text().splitlines() if line.endswith("%")]
    assert shown[-1] == "299%"
    assert len(shown) <= 3


def test_run_takes_the_workers_word_for_its_failure(runner: Runner) -> None:
    code = runner.run("""
        report.failed(TrainerError(Reason.CUDA_OUT_OF_MEMORY, "no room for 64 images"))
        sys.exit(4)
    """)

    assert code is ExitCode.FAILED
    assert (runner.message.reason, runner.message.message) == (
        Reason.CUDA_OUT_OF_MEMORY,
        "no room for 64 images",
    )
    assert runner.message.hint
    assert f"HINT {runner.message.hint}" in runner.out


def test_run_takes_the_word_of_the_rank_that_knows_why(runner: Runner) -> None:
    runner.run("""
        lost = "Connection reset by peer"
        report.failed(TrainerError(Reason.WORKER_KILLED, lost, secondhand=True))
        report.failed(TrainerError(Reason.CUDA_OUT_OF_MEMORY, "no room for 64 images"))
        report.failed(TrainerError(Reason.INTERRUPTED, "the launcher ended the rest"))
        sys.exit(1)
    """)

    assert runner.message.reason is Reason.CUDA_OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("number", "want"),
    [("SIGKILL", Reason.WORKER_KILLED), ("SIGBUS", Reason.SHARED_MEMORY_EXHAUSTED)],
)
def test_run_names_the_signal_that_killed_the_worker(runner: Runner, number: str, want: Reason) -> None:
    code = runner.run(f"os.kill(os.getpid(), signal.{number})")

    assert code is ExitCode.WORKER_KILLED
    assert runner.result.reason is want


def test_run_forwards_sigterm_and_exits_143(runner: Runner) -> None:
    code = runner.run("""
        def leave(*_):
            report.failed(TrainerError(Reason.INTERRUPTED, "asked to end"))
            os._exit(143)
        signal.signal(signal.SIGTERM, leave)
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(60)
    """)

    assert code is ExitCode.INTERRUPTED
    assert runner.message.reason is Reason.INTERRUPTED


def test_run_kills_a_worker_that_ignores_sigterm_and_still_says_so(runner: Runner) -> None:
    code = runner.run(
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(60)
        """,
        grace_period_seconds=5,
    )

    assert code is ExitCode.INTERRUPTED
    assert runner.message.reason is Reason.INTERRUPTED


def test_run_ends_a_worker_without_batches_and_keeps_its_stacks(runner: Runner) -> None:
    code = runner.run(
        """
        import faulthandler
        faulthandler.register(signal.SIGUSR1)
        report.epoch_started(1, 2, 4)
        def stuck_in_here():
            while True:
                print("still printing", flush=True)
                time.sleep(0.05)
        stuck_in_here()
        """,
        stall_timeout_seconds=1,
    )

    assert code is ExitCode.HUNG
    assert runner.result.reason is Reason.HUNG
    assert "stuck_in_here" in runner.folder.err_log.read_text()


@pytest.mark.parametrize(("node", "want"), [(Node(), signal.SIGTERM), (Node(0, 2), signal.SIGUSR2)])
def test_run_tells_a_launcher_of_several_pods_that_its_ranks_hang(
    runner: Runner, node: Node, want: signal.Signals
) -> None:
    """It tells the other pods, where it would hand on a SIGTERM as somebody's wish to stop."""
    code = runner.run(
        """
        def leave(number, frame):
            print("asked by", signal.Signals(number).name, flush=True)
            sys.exit(1)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, leave)
        report.epoch_started(1, 2, 4)
        time.sleep(60)
        """,
        stall_timeout_seconds=1,
        node=node,
    )

    assert code is ExitCode.HUNG
    assert f"asked by {want.name}" in runner.out


def test_run_is_impatient_once_a_gpu_of_another_pod_has_failed(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yolo_trainer.supervise.supervisor.SILENCE_SECONDS", 0.5)
    code = runner.run(
        """
        report.epoch_started(1, 2, 4)
        report.gpu_failed("a GPU of pod 1 has failed")
        time.sleep(60)
        """,
        node=Node(0, 2),
    )

    assert code is ExitCode.HUNG
    assert "WARNING a GPU of pod 1 has failed" in runner.folder.err_log.read_text()
    assert runner.result.warnings == ["a GPU of pod 1 has failed"]


def test_run_in_another_pod_than_the_first_tells_its_launcher_of_a_failed_gpu(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(GpuEvents):
        """Has heard of it as soon as somebody listens to the signal."""

        def news(self) -> list[Heard]:
            if self._told or not (runner.root / "ready").exists():
                return []
            self._told = 1
            return [Heard(79, "GPU-a")]

    monkeypatch.setattr("yolo_trainer.supervise.supervisor.GpuEvents", Failing)
    code = runner.run(
        f"""
        from pathlib import Path
        signal.signal(signal.SIGHUP, lambda *_: os._exit(0))
        Path({str(runner.root / "ready")!r}).touch()
        time.sleep(60)
        """,
        claimed=False,
        node=Node(1, 2),
    )

    assert code is ExitCode.DONE, "it was told"


def test_run_takes_output_for_life_outside_of_batches(runner: Runner) -> None:
    code = runner.run(
        """
        report(stage="scan")
        for _ in range(8):
            print("scanning", flush=True)
            time.sleep(0.2)
        """,
        stall_timeout_seconds=1,
    )

    assert code is ExitCode.DONE


def test_run_ends_at_its_deadline(runner: Runner) -> None:
    code = runner.run("time.sleep(60)", active_deadline_seconds=1)

    assert code is ExitCode.FAILED
    assert runner.result.reason is Reason.DEADLINE_EXCEEDED


def test_run_leaves_no_grandchild_behind(runner: Runner, tmp_path: Path) -> None:
    runner.run(f"""
        import subprocess
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
    """)

    stat = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z"


def test_run_stops_when_a_newer_attempt_owns_the_folder(runner: Runner) -> None:
    runner.run("pass", attempt=2)

    assert runner.run("print('trained')", claimed=False) is ExitCode.FENCED
    assert "trained" not in runner.folder.std_log.read_text()
    assert runner.message.reason is Reason.FENCED


def test_run_keeps_the_termination_message_short(runner: Runner) -> None:
    runner.run("""
        for i in range(60):
            report.warning(f"warning {i} " + "ü" * 100)
        report.failed(TrainerError(Reason.TRAINING_FAILED, "x" * 1900))
        sys.exit(4)
    """)

    assert len(runner.termination_log.read_bytes()) <= TERMINATION_MESSAGE_MAX_BYTES
    assert runner.termination_log.read_text().isascii()
    assert len(runner.result.warnings) == 60


def test_run_does_not_make_a_termination_log(runner: Runner) -> None:
    runner.termination_log.unlink()

    assert runner.run("pass") is ExitCode.DONE
    assert not runner.termination_log.exists()


def test_run_of_both_stages_ends_with_a_failed_prepare(runner: Runner) -> None:
    code = runner.run(
        """
        report.failed(TrainerError(Reason.INVALID_DATA, "no images"))
        sys.exit(3)
        """,
        stage=None,
    )

    assert code is ExitCode.FAILED  # as the worker's own word said; its reason counts
    assert runner.result.stage is Stage.PREPARE


def test_run_of_train_that_had_finished_says_so_without_a_worker(runner: Runner) -> None:
    assert runner.run(TRAINING) is ExitCode.DONE

    assert runner.run("raise SystemExit('trained twice')") is ExitCode.DONE

    assert (runner.message.stage, runner.message.epochs_done) == (Stage.TRAIN, 2)
    assert "trained twice" not in runner.folder.err_log.read_text()


def test_run_of_prepare_that_had_finished_hands_that_on(runner: Runner) -> None:
    assert runner.run(TRAINING) is ExitCode.DONE

    assert runner.run("raise SystemExit('prepared')", stage=Stage.PREPARE, attempt=2) is ExitCode.DONE

    finished = runner.message.finished
    assert finished is not None
    assert (finished.attempt, finished.epochs_done) == (1, 2)


FOUND_NOTHING = """
from yolo_crds.trainer import Result, TrainerConfig
from yolo_trainer.runfolder.attempt import CLAIM_ENV, join

config = TrainerConfig.model_validate({config!r})
attempt = join(config, int(os.environ[CLAIM_ENV]))
said = {{"message": "nothing to train: why", "warnings": ["nothing to train: why"]}}
attempt.finish(Result(stage="train", uid=config.uid, run=1, attempt=1, exit_code=0, epochs_done=2, **said))
"""


@pytest.mark.parametrize("stage", [Stage.PREPARE, None])
def test_run_of_prepare_that_finds_nothing_to_train_ends_the_run(runner: Runner, stage: Stage | None) -> None:
    template = {"model": "yolo11n.yaml", "data": {"train": "d"}}
    config = {
        "name": "toy",
        "uid": UID,
        "modelName": "toy",
        "runsDir": str(runner.root),
        "template": template,
    }

    assert runner.run(FOUND_NOTHING.format(config=config), stage=stage) is ExitCode.DONE

    told = runner.message
    assert (told.stage, told.message) == (Stage.PREPARE, "nothing to train: why")
    assert told.finished is not None
    assert (told.finished.epochs_done, told.finished.warnings) == (2, ["nothing to train: why"])
    assert "nothing to train: why" in runner.folder.std_log.read_text()
    assert runner.result.stage is Stage.TRAIN


def test_run_of_a_new_object_on_an_old_folder_is_not_fenced(runner: Runner) -> None:
    runner.run("pass", run=9)

    assert runner.run(TRAINING, stage=None, uid="fedcba9876543210") is ExitCode.DONE
    assert runner.message.uid == "fedcba9876543210"


def test_run_tells_of_a_file_whose_name_is_no_text(runner: Runner) -> None:
    """A name in Latin-1 from an old archive is a lone surrogate in a message, which UTF-8 has not."""
    code = runner.run(r"""
        report.warning("skipped caf\udce9.jpg")
        report.failed(TrainerError(Reason.INVALID_DATA, "caf\udce9.jpg is no image"))
        sys.exit(3)
    """)

    assert code is ExitCode.FAILED  # as the worker's own word said
    assert runner.message.reason is Reason.INVALID_DATA
    assert runner.message.message == runner.result.message == r"caf\xe9.jpg is no image"
    assert runner.result.warnings == [r"skipped caf\xe9.jpg"]
    assert r"ERROR InvalidData: caf\xe9.jpg is no image" in runner.folder.err_log.read_text()


def test_run_says_how_it_ended_before_it_asks_the_volume(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount that hangs answers no read, and the kubelet does not wait."""
    said: list[Result] = []

    def hang(attempt: Attempt) -> None:
        said.append(runner.message)
        raise TrainerError(Reason.VOLUME_UNAVAILABLE, "gone")

    monkeypatch.setattr(Attempt, "prepared", property(hang))
    runner.run("os.kill(os.getpid(), signal.SIGKILL)")

    assert [result.reason for result in said] == [Reason.WORKER_KILLED]
    assert runner.message.reason is Reason.WORKER_KILLED


def test_run_that_is_asked_to_end_before_it_begins_takes_no_folder(runner: Runner, stop: StopSignal) -> None:
    signal.raise_signal(signal.SIGTERM)

    assert runner.run("print('prepared')", stage=Stage.PREPARE) is ExitCode.INTERRUPTED
    assert runner.message.reason is Reason.INTERRUPTED
    assert not runner.folder.train.exists()


def test_program_hears_a_stop_before_its_contracts_are_imported(tmp_path: Path) -> None:
    heard = """
import os, runpy, signal, sys

class Late:  # asks to end at the first import that follows the handler's
    def find_spec(self, name, *_):
        if name == "yolo_trainer.config":
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Late())
sys.argv = ["yolo_trainer", sys.argv[1]]
runpy.run_module("yolo_trainer", run_name="__main__")
"""
    config = {
        "stage": "prepare",
        "name": "toy",
        "uid": UID,
        "modelName": "toy",
        "runsDir": str(tmp_path / "runs"),
    }
    template = {"model": "yolo11n.yaml", "data": {"train": "d"}, "resources": {"gpus": 0}}
    (tmp_path / "config.json").write_text(json.dumps({**config, "template": template}))

    ended = subprocess.run([sys.executable, "-c", heard, str(tmp_path / "config.json")], capture_output=True)

    assert ended.returncode == ExitCode.INTERRUPTED, ended.stderr.decode()
    assert not (tmp_path / "runs").exists()
