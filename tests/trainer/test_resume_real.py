"""What a stop keeps, and that a training in pieces is the training in one: real torch, forked workers."""

from __future__ import annotations

import csv
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ultralytics")

import torch

from yolo_crds.trainer import ExitCode

from .forked import Fault, Stage, read_record, run_attempt
from .outcomes import assert_same, rows, state
from .training_process import MODEL, Volumes

pytestmark = [pytest.mark.image, pytest.mark.timeout(240)]

IMAGES = 16
BATCHES = 4
END_TO_END = "end2end: True\nreg_max: 1\n" + MODEL
SEGMENT = MODEL.replace("Detect, [nc]", "Segment, [nc, 4, 8]")


def make(root: Path, name: str) -> Volumes:
    (root / name).mkdir()
    return Volumes(root / name)


def trained(record: Path) -> list[tuple[int, Counter[str]]]:
    """Each pass over an epoch's batches: the epoch (from 0) and how often it had each image."""
    passes: dict[tuple[int, int], Counter[str]] = {}
    for line in read_record(record):
        passes.setdefault((line["pid"], line["epoch"]), Counter()).update(line["images"])
    return [(epoch, images) for (_, epoch), images in passes.items()]


def polygons(volumes: Volumes) -> None:
    """Makes the boxes of the toy data to polygons of four corners."""
    for file in volumes.data.glob("datasets/*/labels/*/*.txt"):
        name, *box = file.read_text().split()
        x, y, w, h = map(float, box)
        corners = [
            (x - w / 2, y - h / 2),
            (x + w / 2, y - h / 2),
            (x + w / 2, y + h / 2),
            (x - w / 2, y + h / 2),
        ]
        file.write_text(" ".join([name, *(f"{v:.5f}" for corner in corners for v in corner)]) + "\n")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch", [4, 6])
def test_stop_within_an_epoch_leaves_no_image_out_and_takes_none_twice(
    tmp_path: Path, workers: int, batch: int
) -> None:
    volumes = make(tmp_path, "stopped")
    template = {"workers": workers}
    code, output = run_attempt(volumes, tmp_path, template, Fault(signal.SIGTERM, at_batch=batch))
    assert code == 143, output
    assert f"Using {workers} dataloader workers" in output

    code, output = run_attempt(volumes, tmp_path, template, attempt=2, resume=True)

    assert code == 0, output
    seen: dict[int, Counter[str]] = {}
    for epoch, images in trained(tmp_path / "batches.jsonl"):
        seen.setdefault(epoch, Counter()).update(images)
    assert {epoch: len(images) for epoch, images in seen.items()} == dict.fromkeys(range(3), IMAGES)
    assert {count for images in seen.values() for count in images.values()} == {1}
    assert [row["epoch"] for row in rows(volumes)] == ["1", "2", "3"]


KILL = Fault(signal.SIGKILL, at_batch=9)
STOP = Fault(signal.SIGTERM, at_batch=9)


@pytest.mark.parametrize(
    ("template", "model", "fault"),
    [
        pytest.param({}, MODEL, STOP, id="stop"),
        pytest.param({}, MODEL, Fault(signal.SIGTERM, at_report=("val", 2)), id="stop-in-validation"),
        pytest.param({}, MODEL, Fault(signal.SIGTERM, at_report=("save", 2)), id="stop-in-save"),
        pytest.param({"workers": 1}, MODEL, KILL, id="one-worker"),
        pytest.param({"workers": 2}, MODEL, KILL, id="two-workers"),
        pytest.param(
            {"workers": 2},
            MODEL,
            Fault(signal.SIGTERM, at_report=("val", 2)),
            id="two-workers-stop-in-validation",
        ),
        pytest.param({"task": "segment"}, SEGMENT, KILL, id="segment"),
        pytest.param({"task": "segment"}, SEGMENT, STOP, id="segment-stop"),
        pytest.param({}, END_TO_END, KILL, id="end-to-end"),
        pytest.param({}, END_TO_END, STOP, id="end-to-end-stop"),
        pytest.param({"optimizer": "MuSGD"}, END_TO_END, KILL, id="musgd"),
        pytest.param({"optimizer": "MuSGD"}, MODEL, STOP, id="musgd-stop"),
        pytest.param(
            {"epochs": 60, "patience": 2, "hyperparameters": {"lr0": 0.02, "warmup_epochs": 0}},
            MODEL,
            STOP,
            id="patience",
        ),
    ],
)
def test_training_in_two_attempts_is_the_training_in_one(
    tmp_path: Path, template: dict[str, Any], model: str, fault: Fault
) -> None:
    # nbs 12 with batch 4: gradients of three batches are summed, so an epoch of four ends amid a step.
    base = {"epochs": 4, "hyperparameters": {"nbs": 12, "warmup_epochs": 1}}
    one, two = make(tmp_path, "one"), make(tmp_path, "two")
    for volumes in (one, two):
        (volumes.data / "weights" / "tiny.yaml").write_text(model)
        if model is SEGMENT:
            polygons(volumes)
    code, output = run_attempt(one, tmp_path / "one", base | template)
    assert code == 0, output
    code, output = run_attempt(two, tmp_path / "two", base | template, fault)
    assert code == (143 if fault.signal_number == signal.SIGTERM else -signal.SIGKILL), output

    code, output = run_attempt(two, tmp_path / "two", base | template, attempt=2, resume=True)

    assert code == 0, output
    assert_same(two, one)


def test_resumed_state_that_is_saved_again_at_once_is_the_same(tmp_path: Path) -> None:
    """The best epoch's checkpoints are made anew, with the gradients that are still to be summed."""
    template = {"epochs": 4, "hyperparameters": {"nbs": 12, "warmup_epochs": 1}}
    one, three = make(tmp_path, "one"), make(tmp_path, "three")
    code, output = run_attempt(one, tmp_path / "one", template)
    assert code == 0, output
    for attempt, batch in ((1, 9), (2, 0)):
        fault = Fault(at_batch=batch)
        code, output = run_attempt(
            three, tmp_path / "three", template, fault, attempt=attempt, resume=attempt > 1
        )
        assert code == -signal.SIGKILL, output
    assert state(three, attempt=2)["epochs_done"] == 2

    code, output = run_attempt(three, tmp_path / "three", template, attempt=3, resume=True)

    assert code == 0, output
    assert rows(three) == rows(one)


def test_stop_within_an_epoch_starts_it_over_with_other_batches(tmp_path: Path) -> None:
    volumes = make(tmp_path, "stopped")
    code, output = run_attempt(volumes, tmp_path, None, Fault(signal.SIGTERM, at_batch=6))
    assert code == 143, output

    code, output = run_attempt(volumes, tmp_path, None, attempt=2, resume=True, overrides={"batch": "8"})

    assert code == 0, output
    assert "WARNING epoch 2 starts over: its batches are others than before" in output
    _, images = trained(tmp_path / "batches.jsonl")[2]
    assert set(images.values()) == {1}
    assert len(images) == IMAGES


def test_save_interval_in_minutes_saves_within_an_epoch(tmp_path: Path) -> None:
    volumes = make(tmp_path, "killed")
    template = {"saveInterval": {"minutes": 1e-6}}
    code, output = run_attempt(volumes, tmp_path, template, Fault(at_batch=6))
    assert code == -signal.SIGKILL, output

    found = state(volumes)

    assert (found["epochs_done"], found["place"]["batches"]) == (1, 2)


def test_save_interval_in_epochs_saves_at_every_second_one_and_the_last(tmp_path: Path) -> None:
    volumes = make(tmp_path, "killed")
    template = {"epochs": 5, "saveInterval": {"epochs": 2, "minutes": 0}, "extraArgs": {"val": "False"}}
    code, output = run_attempt(volumes, tmp_path, template, Fault(at_batch=13))
    assert code == -signal.SIGKILL, output
    assert state(volumes)["epochs_done"] == 2

    code, output = run_attempt(volumes, tmp_path, template, attempt=2, resume=True)

    assert code == 0, output
    assert state(volumes, attempt=2)["epochs_done"] == 5
    assert [row["epoch"] for row in rows(volumes)] == ["1", "2", "3", "4", "5"]


def test_stop_between_unsaved_epochs_saves_them(tmp_path: Path) -> None:
    volumes = make(tmp_path, "stopped")
    template = {"epochs": 5, "saveInterval": {"epochs": 5, "minutes": 0}, "extraArgs": {"val": "False"}}

    code, output = run_attempt(volumes, tmp_path, template, Fault(signal.SIGTERM, at_batch=10))

    assert code == 143, output
    assert (state(volumes)["epochs_done"], state(volumes)["place"]["batches"]) == (2, 3)


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        pytest.param({}, Fault(signal.SIGTERM, at_report=("import", 1)), id="import"),
        pytest.param({}, Fault(signal.SIGTERM, at_report=("scan", 1)), id="scan"),
        pytest.param({"cache": "ram"}, Fault(signal.SIGTERM, at_report=("cache", 1)), id="cache"),
        pytest.param({}, Fault(signal.SIGTERM, at_batch=0), id="first-batch"),
        pytest.param({"workers": 2}, Fault(signal.SIGTERM, at_batch=5), id="training"),
        pytest.param({}, Fault(signal.SIGTERM, at_report=("val", 1)), id="validation"),
        pytest.param({}, Fault(signal.SIGTERM, at_report=("save", 1)), id="save"),
        pytest.param({}, Fault(signal.SIGTERM, at_save=2), id="amid-save"),
        pytest.param({}, Fault(signal.SIGTERM, at_report=("val", 4)), id="final-evaluation"),
    ],
)
def test_stop_ends_every_stage_at_once(tmp_path: Path, template: dict[str, Any], fault: Fault) -> None:
    volumes = make(tmp_path, "stopped")
    config = volumes.config(template)
    with Stage("prepare", config, tmp_path) as prepare:
        assert prepare.finish() == 0, prepare.output
    began = time.monotonic()
    with Stage("train", config, tmp_path, fault) as train:
        assert train.finish() == 143, train.output
    assert time.monotonic() - began < 25

    code, output = run_attempt(volumes, tmp_path, template, attempt=2, resume=True)

    assert code == 0, output
    assert [row["epoch"] for row in rows(volumes)] == ["1", "2", "3"]


def test_stop_that_cannot_save_in_time_keeps_the_previous_state(tmp_path: Path) -> None:
    volumes = make(tmp_path, "slow")
    config = volumes.config(gracePeriodSeconds=10)  # of which three are for saving
    with Stage("prepare", config, tmp_path) as prepare:
        assert prepare.finish() == 0, prepare.output
    # The first state takes some 2 s, the second one is cut off.
    slow = Fault(signal.SIGTERM, at_save=2, save_bytes_per_second=150_000)
    with Stage("train", config, tmp_path, slow) as train:
        code = train.finish()
        assert code == 1, train.output
        assert "Timeout" in train.output
    first = volumes.attempt() / "state.pt"
    assert state(volumes)["epochs_done"] == 1
    assert first.with_name("state.pt.sha256").exists()

    code, output = run_attempt(volumes, tmp_path, None, attempt=2, resume=True)

    assert code == 0, output
    assert [epoch for epoch, _ in trained(tmp_path / "batches.jsonl")] == [0, 1, 1, 2]


def test_second_stop_while_saving_tears_nothing(tmp_path: Path) -> None:
    volumes = make(tmp_path, "stopped")
    config = volumes.config()
    with Stage("prepare", config, tmp_path) as prepare:
        assert prepare.finish() == 0, prepare.output
    twice = Fault(signal.SIGTERM, at_batch=5, at_save=2)
    with Stage("train", config, tmp_path, twice) as train:
        assert train.finish() == 143, train.output

    assert (state(volumes)["epochs_done"], state(volumes)["place"]["batches"]) == (1, 2)


def test_time_counts_over_attempts(tmp_path: Path) -> None:
    volumes = make(tmp_path, "timed")
    template = {"epochs": 3, "time": 0.0025, "extraArgs": {"plots": "False", "close_mosaic": "0"}}
    code, output = run_attempt(volumes, tmp_path, template, Fault(at_batch=22))
    assert code == -signal.SIGKILL, output

    code, output = run_attempt(volumes, tmp_path, template, attempt=2, resume=True)

    assert code == 0, output
    found = rows(volumes)
    assert [row["epoch"] for row in found] == [str(n + 1) for n in range(len(found))]
    assert len(found) > 6
    with (volumes.folder.train / "results.csv").open() as file:
        seconds = [float(row["time"]) for row in csv.DictReader(file)]
    assert seconds == sorted(seconds)
    assert 0.0025 * 3600 * 0.6 < seconds[-1] < 0.0025 * 3600 * 1.4
    # The learning rate follows the estimate, not the three epochs that `epochs` names.
    assert float(found[-1]["lr/pg0"]) < float(found[6]["lr/pg0"])


def test_resume_with_nothing_left_says_so(tmp_path: Path) -> None:
    volumes = make(tmp_path, "finished")
    code, output = run_attempt(volumes, tmp_path)
    assert code == 0, output

    code, output = run_attempt(volumes, tmp_path, {"epochs": 2}, run=2, resume=True)

    assert code == 0, output
    want = "WARNING nothing was left to train: 3 epochs are done, 2 were asked for; raise template.epochs"
    assert want in output


def test_resume_of_a_stopped_run_that_asks_for_no_more_makes_its_end(tmp_path: Path) -> None:
    volumes = make(tmp_path, "stopped")
    code, output = run_attempt(volumes, tmp_path, None, Fault(signal.SIGTERM, at_batch=9))
    assert code == 143, output

    code, output = run_attempt(volumes, tmp_path, {"epochs": 2}, run=2, resume=True)

    assert code == 0, output
    want = "WARNING nothing was left to train: 2 epochs are done, 2 were asked for; raise template.epochs"
    assert want in output


def test_killed_before_the_final_evaluation_has_nothing_to_warn_of(tmp_path: Path) -> None:
    volumes = make(tmp_path, "killed")
    code, output = run_attempt(volumes, tmp_path, None, Fault(at_report=("val", 4)))
    assert code == -signal.SIGKILL, output

    code, output = run_attempt(volumes, tmp_path, None, attempt=2, resume=True)

    assert code == 0, output
    assert "nothing was left" not in output


def test_results_stay_when_an_attempt_starts_again_and_is_killed_before_it_goes_on(tmp_path: Path) -> None:
    volumes = make(tmp_path, "again")
    code, output = run_attempt(volumes, tmp_path, None, Fault(signal.SIGTERM, at_batch=6))
    assert code == 143, output
    table = volumes.attempt() / "results.csv"
    assert table.read_text().count("\n") == 2

    killed = []
    for change in range(1, 8):
        code, output = run_attempt(volumes, tmp_path, None, Fault(signal.SIGKILL, at_change=change))
        assert code == -signal.SIGKILL, output
        killed.append(table.exists())

    assert False in killed  # Ultralytics deletes it
    code, output = run_attempt(volumes, tmp_path)
    assert code == 0, output
    assert [row["epoch"] for row in rows(volumes)] == ["1", "2", "3"]


def test_killed_before_its_checkpoints_are_in_their_places_an_epoch_gets_them(tmp_path: Path) -> None:
    """Those of the epoch's own name, which no later one makes, as well as the last one's."""
    template = {"savePeriod": 1, "saveInterval": {"minutes": 0}, "extraArgs": {"val": "False"}}
    listing = tmp_path / "changes"
    code, output = run_attempt(make(tmp_path, "whole"), tmp_path, template, Fault(changes_to=str(listing)))
    assert code == 0, output
    changes = listing.read_text().splitlines()
    state_moved = re.compile(r"os.rename \.tmp-state\.pt\.[0-9a-f]{8}")
    moved = [number for number, line in enumerate(changes) if state_moved.fullmatch(line)]
    killed = make(tmp_path, "killed")
    code, output = run_attempt(killed, tmp_path, template, Fault(at_change=moved[1] + 2))
    assert code == -signal.SIGKILL, output
    assert not (killed.attempt() / "weights" / "epoch1.pt").exists()

    code, output = run_attempt(killed, tmp_path, template, attempt=2)

    assert code == 0, output
    assert {f"epoch{n}.pt" for n in range(3)} <= {path.name for path in killed.folder.weights.iterdir()}


@pytest.mark.parametrize("step", [3, 5])  # an epoch's last one, and one within
def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path, step: int) -> None:
    """The loss of the batch that made them so was finite; the next attempt goes on from before it."""
    volumes = make(tmp_path, "diverged")
    template = {"saveInterval": {"minutes": 1e-6}, "hyperparameters": {"nbs": 4}}
    code, output = run_attempt(volumes, tmp_path, template, Fault(nan_at_step=step))
    assert code == ExitCode.FAILED, output
    assert "FAILED Diverged" in output

    for path in volumes.attempt().glob("state*.pt"):
        saved = torch.load(path, weights_only=True)
        assert all(bool(tensor.isfinite().all()) for tensor in saved["model"].values()), path
    code, output = run_attempt(volumes, tmp_path, template, attempt=2)
    assert code == 0, output


def test_resume_with_classes_in_another_order_says_so(tmp_path: Path) -> None:
    volumes = make(tmp_path, "classes")
    code, output = run_attempt(volumes, tmp_path)
    assert code == 0, output

    data = {"train": "datasets/toy", "labels": ["green", "red"]}
    code, output = run_attempt(volumes, tmp_path, {"epochs": 4, "data": data}, run=2, resume=True)

    assert code == 0, output
    assert "WARNING the classes are others" in output
    assert "0 was 'red' and is 'green' now" in output


def test_resume_without_the_file_of_its_model_goes_on_with_that_of_the_run_folder(tmp_path: Path) -> None:
    volumes = make(tmp_path, "no-model")
    code, output = run_attempt(volumes, tmp_path)
    assert code == 0, output
    (volumes.data / "weights" / "tiny.yaml").unlink()

    code, output = run_attempt(volumes, tmp_path, {"epochs": 4}, run=2, resume=True)

    assert code == 0, output
    assert [row["epoch"] for row in rows(volumes)] == ["1", "2", "3", "4"]
