"""Real trainings of a toy model by the real program: inside the trainer image, where torch is."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ultralytics")
import torch

from yolo_crds.conditions import Reason
from yolo_crds.trainer import TrainerConfig
from yolo_trainer.prepare.checkpoints import check_checkpoint
from yolo_trainer.runfolder.attempt import claim

from .training_process import Training, Volumes, run

pytestmark = [pytest.mark.image, pytest.mark.timeout(240)]


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    return Volumes(tmp_path)


def _epochs(volumes: Volumes) -> list[int]:
    with (volumes.folder.train / "results.csv").open() as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


def _metrics(volumes: Volumes) -> list[dict[str, str]]:
    with (volumes.folder.train / "results.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "time"} for row in csv.DictReader(file)]


def test_training_publishes_files_at_the_old_paths(volumes: Volumes, tmp_path: Path) -> None:
    training = run(volumes.config({"extraArgs": {}}), tmp_path)

    assert training.process.returncode == 0, training.output
    folder = volumes.folder
    for path in (folder.train / "args.yaml", folder.train / "results.png", folder.weights / "best.pt"):
        assert path.is_file()
        assert not path.is_symlink()
    assert _epochs(volumes) == [1, 2, 3]
    log = folder.std_log.read_text().splitlines()
    want = [f"* start train {i}/3 , " for i in (1, 2, 3)]
    stamps = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert [re.sub(stamps, "", line) for line in log if line.startswith("* start train")] == want
    assert re.fullmatch(rf"\* train finished, {stamps}", log[-1])
    result = volumes.result()
    assert (result.exit_code, result.reason, result.epochs_done, result.epochs) == (0, None, 3, 3)
    assert result.weights is not None
    assert result.weights.best is not None
    assert result.weights.best.path == "train/toy/weights/best.pt"
    assert result.weights.best.size == (folder.weights / "best.pt").stat().st_size
    for name in ("best.pt", "last.pt"):
        check_checkpoint(folder.weights / name)  # another training may start from it


def test_training_prints_progress(volumes: Volumes, tmp_path: Path) -> None:
    training = run(volumes.config(), tmp_path)

    lines = training.progress
    assert [p.seq for p in lines] == sorted({p.seq for p in lines})
    assert (lines[-1].epoch, lines[-1].percent) == (3, 100)
    assert lines[-1].eta_seconds == 0
    assert "metrics/mAP50-95(B)" in lines[-1].metrics
    told = [line for line in training.lines if line.startswith("epoch") and " | " in line]
    shown = r"epoch {}/3 \| box [\d.]+  cls [\d.]+  dfl [\d.]+ \| mAP50-95 box [\d.]+ \(best"
    assert [bool(re.match(shown.format(i), line)) for i, line in enumerate(told, 1)] == [True] * 3, told


def test_training_resumed_is_the_training_uninterrupted(volumes: Volumes, tmp_path: Path) -> None:
    # nbs 12 with batch 4: gradients of three batches are summed, so an epoch of four ends amid a step.
    template = {"epochs": 4, "hyperparameters": {"nbs": 12, "warmup_epochs": 1}}
    other_root = tmp_path / "uninterrupted"
    other_root.mkdir()
    uninterrupted = Volumes(other_root)
    run(uninterrupted.config(template), tmp_path)
    with Training(volumes.config(template), tmp_path) as training:
        training.wait_for("* start train 3/4")
        assert training.stop() == 143, training.output
    assert volumes.result().reason is Reason.INTERRUPTED

    second = run(volumes.config(template, attempt=2, resume=True), tmp_path)

    assert second.process.returncode == 0, second.output
    assert _metrics(volumes) == _metrics(uninterrupted)
    want = torch.load(uninterrupted.attempt() / "state.pt", weights_only=True)
    have = torch.load(volumes.attempt(attempt=2) / "state.pt", weights_only=True)
    for part in ("model", "ema"):
        for name, tensor in want[part].items():
            assert torch.equal(tensor, have[part][name]), (part, name)
    starts = [line for line in volumes.folder.std_log.read_text().splitlines() if "* start train" in line]
    assert [line.split()[3] for line in starts] == ["1/4", "2/4", "3/4", "3/4", "4/4"]


def test_training_started_twice_as_the_same_attempt_goes_on(volumes: Volumes, tmp_path: Path) -> None:
    with Training(volumes.config(), tmp_path) as training:
        training.wait_for("* start train 3/3")
        assert training.stop() == 143, training.output

    second = run(volumes.config(), tmp_path)

    assert second.process.returncode == 0, second.output
    assert [line.split()[3] for line in second.lines if line.startswith("* start train")] == ["3/3"]
    assert _epochs(volumes) == [1, 2, 3]


def test_training_resumed_honours_new_arguments(volumes: Volumes, tmp_path: Path) -> None:
    run(volumes.config({"epochs": 2}), tmp_path)

    template = {"epochs": 4, "batch": 8, "hyperparameters": {"lr0": 0.0001}}
    second = run(volumes.config(template, run=2, resume=True), tmp_path)

    assert second.process.returncode == 0, second.output
    assert _epochs(volumes) == [1, 2, 3, 4]
    assert volumes.result(run=2).epochs_done == 4
    state = torch.load(volumes.attempt(run=2) / "state.pt", weights_only=True)
    assert {group["initial_lr"] for group in state["optimizer"]["groups"]} == {0.0001}


def test_training_stopped_while_importing_is_interrupted(volumes: Volumes, tmp_path: Path) -> None:
    assert run(volumes.config(stage="prepare"), tmp_path).process.returncode == 0
    with Training(volumes.config(stage="train"), tmp_path) as training:
        training.wait_for('"stage":"start"')
        assert training.stop() == 143, training.output
    assert volumes.result().reason is Reason.INTERRUPTED


def test_training_killed_goes_on_after_its_last_whole_epoch(volumes: Volumes, tmp_path: Path) -> None:
    with Training(volumes.config(), tmp_path) as training:
        training.wait_for("* start train 3/3")
        (worker,) = (
            int(pid)
            for pid in Path(f"/proc/{training.process.pid}/task/{training.process.pid}/children")
            .read_text()
            .split()
        )
        os.kill(worker, signal.SIGKILL)
        assert training.finish() == 8, training.output
    assert volumes.result().reason is Reason.WORKER_KILLED
    assert volumes.result().epochs_done == 2
    check_checkpoint(volumes.attempt() / "weights/last.pt")

    second = run(volumes.config(attempt=2, resume=True), tmp_path)

    assert second.process.returncode == 0, second.output
    assert _epochs(volumes) == [1, 2, 3]


def test_training_with_a_torn_state_goes_on_from_the_previous(volumes: Volumes, tmp_path: Path) -> None:
    run(volumes.config(), tmp_path)
    with (volumes.attempt() / "state.pt").open("r+b") as file:
        file.truncate(1000)

    second = run(volumes.config({"epochs": 4}, run=2, resume=True), tmp_path)

    assert second.process.returncode == 0, second.output
    starts = [line.split()[3] for line in second.lines if line.startswith("* start train")]
    assert starts == ["3/4", "4/4"]
    assert _epochs(volumes) == [1, 2, 3, 4]


def test_resume_with_nothing_to_train_changes_no_file(volumes: Volumes, tmp_path: Path) -> None:
    run(volumes.config(), tmp_path)
    published = [path for path in volumes.folder.train.rglob("*") if path.is_file() and _is_shown(path)]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in published}
    first = volumes.result()

    second = run(volumes.config(run=2, resume=True), tmp_path)

    assert second.process.returncode == 0, second.output
    assert not [line for line in second.lines if line.startswith("* start train")]
    assert "nothing to train: 3 epochs are done, 3 were asked for; raise template.epochs" in second.output
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in published} == before
    told = volumes.result(run=2)
    assert (told.epochs_done, told.metrics, told.best, told.weights) == (
        3,
        first.metrics,
        first.best,
        first.weights,
    )


def _is_shown(path: Path) -> bool:
    return not {".claims", ".publish"} & set(path.parts)


def test_training_finished_is_not_trained_twice(volumes: Volumes, tmp_path: Path) -> None:
    run(volumes.config(), tmp_path)

    second = run(volumes.config(attempt=2), tmp_path)

    assert second.process.returncode == 0
    finished = volumes.result(attempt=2).finished
    assert finished is not None
    assert finished.epochs_done == 3


def test_training_ends_early_by_patience(volumes: Volumes, tmp_path: Path) -> None:
    template = {"epochs": 60, "patience": 2, "hyperparameters": {"lr0": 0.02, "warmup_epochs": 0}}
    training = run(volumes.config(template), tmp_path)

    assert training.process.returncode == 0, training.output
    done = volumes.result().epochs_done
    assert done == _epochs(volumes)[-1]
    assert training.progress[-1].epoch == done


def test_training_fenced_by_a_newer_attempt_stops(volumes: Volumes, tmp_path: Path) -> None:
    with Training(volumes.config({"epochs": 50}), tmp_path) as training:
        training.wait_for("* start train 1/50")
        claim(TrainerConfig.model_validate(volumes.config({"epochs": 50}, attempt=2)))
        assert training.finish() == 9, training.output
    assert volumes.result().reason is Reason.FENCED


def test_training_without_the_gpu_it_asked_for_fails(volumes: Volumes, tmp_path: Path) -> None:
    training = run(volumes.config({"resources": {"gpus": 1}}), tmp_path)

    assert training.process.returncode == 5
    assert volumes.result().reason is Reason.NO_ACCELERATOR


def test_training_on_an_image_needs_it_no_more(volumes: Volumes, tmp_path: Path) -> None:
    image = tmp_path / "dataset"
    (volumes.data / "datasets/toy").rename(image)
    template = {"data": {"train": ".", "image": "registry.example.org/toy:v1"}, "epochs": 1}
    prepared = run(volumes.config(template, stage="prepare", artifactDir=str(image)), tmp_path)
    assert prepared.process.returncode == 0, prepared.output
    image.rename(tmp_path / "unmounted")
    training = run(volumes.config(template, stage="train"), tmp_path)
    assert training.process.returncode == 0, training.output

    commands = ["ls"], ["verify", "--content"], ["gc", "--older-than", "1d"]
    where = ["--data-dir", str(volumes.data), "--runs-dir", str(volumes.runs)]
    for command in commands:
        data = [sys.executable, "-m", "yolo_trainer", "data", *command, *where]
        found = subprocess.run(data, check=True, capture_output=True, text=True)
        assert {"ls": "toy r1a1", "verify": "whole, 24 images", "gc": "0 B freed"}[command[0]] in found.stdout
