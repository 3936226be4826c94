"""A resume that has nothing to train says so in prepare, and changes nothing of what was trained."""

import io
import pickle
import zipfile
from typing import Any

import pytest

from yolo_crds.meta import Stage
from yolo_crds.trainer import Prepared, Result
from yolo_trainer.prepare.stage import prepare
from yolo_trainer.runfolder.attempt import Attempt, claim
from yolo_trainer.runfolder.checkpoint import BEST, LAST, WEIGHTS, promote

ASKED = {"epochs": 20, "time": None, "patience": 100}


def state(
    done: int = 20, *, batches: int = 0, best_epoch: int = 18, seconds: float = 60, **schedule: Any
) -> bytes:
    """A whole state as torch.save writes it, without its tensors."""
    content = {
        "epochs_done": done,
        "seconds": seconds,
        "stopper": {"best_epoch": best_epoch},
        "place": {"batches": batches, "split": {"batches": 10}},
        "schedule": {"asked": ASKED, "epochs": 20, "stop": False, **schedule},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("state/data.pkl", pickle.dumps(content, protocol=2))
    return buffer.getvalue()


def trained(world: Any, content: bytes, exit_code: int = 0) -> Attempt:
    """The first run, with a state, published checkpoints and a result."""
    attempt = claim(world.config())
    attempt.save_state(lambda sink: sink.write(content))
    for name in (BEST, LAST):
        staged = attempt.path / WEIGHTS / f"staged-{name}"
        staged.parent.mkdir(exist_ok=True)
        staged.write_bytes(f"weights of {name}".encode())
        promote(staged, attempt.path / WEIGHTS / name)
    (attempt.path / "results.csv").write_text("epoch\n20\n")
    attempt.finish(
        Result(
            stage=Stage.TRAIN,
            uid="1234567890",
            run=1,
            attempt=1,
            exit_code=exit_code,
            message="20 of 20 epochs trained",
            epochs_done=20,
            epochs=20,
            metrics={"metrics/mAP50-95(B)": 0.5},
            weights=attempt.weights(),
        )
    )
    return attempt


def published(world: Any) -> dict[str, object]:
    """All that people and programs see of the run folder."""
    found: dict[str, object] = world.snapshot(world.folder.train)
    ours = (".claims", ".publish")
    return {path: what for path, what in found.items() if not path.startswith(ours) and path != ".attempts"}


def resumed(world: Any, run: int = 2, **template: Any) -> tuple[Prepared | None, Attempt]:
    """The next run, prepared; its data set does not even exist."""
    config = world.config(run=run, resume=True, data={"train": "gone"}, **template)
    attempt = claim(config)
    return prepare(config, world.report), attempt


@pytest.mark.parametrize(
    ("content", "template", "want"),
    [
        (state(), {"epochs": 20}, "20 epochs are done, 20 were asked for; raise template.epochs"),
        (state(), {"epochs": 10}, "20 epochs are done, 10 were asked for; raise template.epochs"),
        (state(done=12, best_epoch=4), {"epochs": 50, "patience": 8}, "no epoch of the last 8 was better"),
        (state(done=12, seconds=3600), {"epochs": 50, "time": 1.0}, "12 epochs are done, 12 were asked for"),
        (
            state(done=12, stop=True),
            {"epochs": 20},
            "the training had come to its end; raise template.epochs",
        ),
    ],
)
def test_resume_with_nothing_to_train_says_so_and_changes_nothing(
    world: Any, content: bytes, template: dict[str, Any], want: str
) -> None:
    trained(world, content)
    before = published(world)

    found, attempt = resumed(world, **template)

    assert found is None
    result = attempt.finished
    assert result is not None
    assert (result.stage, result.exit_code, result.run) == (Stage.TRAIN, 0, 2)
    assert result.message.startswith(f"nothing to train: {want}")
    assert result.warnings == [result.message]
    after = published(world)
    added = {path for path in after if path not in before}
    assert all(path.startswith(f".attempts/{attempt.token}") for path in added)
    assert {path: what for path, what in after.items() if path not in added} == before


def test_metrics_and_weights_of_the_run_are_told_again(world: Any) -> None:
    first = trained(world, state())
    _, attempt = resumed(world, epochs=20)
    result = attempt.finished
    assert result is not None
    assert (result.epochs_done, result.epochs) == (20, 20)
    assert result.metrics == {"metrics/mAP50-95(B)": 0.5}
    assert result.weights == first.weights()
    assert result.weights is not None


@pytest.mark.parametrize("exit_code", [143, 7])
def test_run_that_was_not_finished_has_its_end_yet_to_come(world: Any, exit_code: int) -> None:
    world.example()
    trained(world, state(), exit_code)
    config = world.config(run=2, resume=True, epochs=20)
    claim(config)
    assert prepare(config, world.report) is not None


@pytest.mark.parametrize(
    ("content", "template"),
    [
        (state(), {"epochs": 21}),
        (state(done=12), {"epochs": 20}),
        (state(done=19, batches=3), {"epochs": 20}),
        (state(done=12, best_epoch=4, batches=3), {"epochs": 50, "patience": 8}),
        (state(done=12, best_epoch=4), {"epochs": 50, "patience": 0}),
        (state(done=12, stop=True), {"epochs": 21}),
        (state(done=0, best_epoch=0), {"epochs": 20}),
        (b"no archive", {"epochs": 20}),
    ],
)
def test_resume_with_something_to_train_goes_on(world: Any, content: bytes, template: dict[str, Any]) -> None:
    world.example()
    trained(world, content)
    config = world.config(run=2, resume=True, **template)
    claim(config)
    found = prepare(config, world.report)
    assert found is not None
    assert found.resume_from is not None


def test_next_resume_goes_on_from_what_was_trained(world: Any) -> None:
    world.example()
    first = trained(world, state())
    resumed(world, epochs=20)
    config = world.config(run=3, resume=True, epochs=30)
    claim(config)
    found = prepare(config, world.report)
    assert found is not None
    assert found.resume_from == str(first.path / "state.pt")


def test_attempt_of_the_same_run_still_ends_it(world: Any) -> None:
    """Killed between its last save and its end, a run has its final validation yet to come."""
    world.example()
    trained(world, state())
    config = world.config(attempt=2, epochs=20)
    claim(config)
    assert prepare(config, world.report) is not None


def test_run_that_does_not_resume_trains(world: Any) -> None:
    world.example()
    trained(world, state())
    config = world.config(run=2, epochs=20)
    claim(config)
    assert prepare(config, world.report) is not None
