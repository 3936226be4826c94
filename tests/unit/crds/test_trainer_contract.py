"""Progress lines and termination messages can be read and stay within their bounds; settings are checked."""

import random

import pytest
from pydantic import ValidationError

from yolo_crds.conditions import Reason
from yolo_crds.meta import Stage
from yolo_crds.status import Best, Dataset, Weight, Weights
from yolo_crds.trainer import (
    PROGRESS_MAX_BYTES,
    TERMINATION_MESSAGE_MAX_BYTES,
    Fetch,
    ProgressLine,
    Result,
    parse_progress,
    parse_result,
)


def test_parse_progress_reads_what_to_line_wrote() -> None:
    want = ProgressLine(
        seq=7, time=1.5, stage="epoch", epoch=3, epochs=9, metrics={"metrics/mAP50(B)": 0.5, "x": None}
    )
    line = want.to_line()
    assert line.isascii()
    assert len(line) <= PROGRESS_MAX_BYTES
    got = parse_progress("2026-01-01T00:00:00Z " + line)
    assert got is not None
    assert (got.seq, got.epoch, got.metrics["metrics/mAP50(B)"]) == (7, 3, 0.5)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "epoch 3/9",
        "YOLO-PROGRESS ",
        'YOLO-PROGRESS {"v":1,"seq":1,"ti',
        'YOLO-PROGRESS {"v":2,"seq":1,"time":1,"stage":"epoch"}',
        "YOLO-PROGRESS []",
    ],
)
def test_parse_progress_ignores_anything_else(line: str) -> None:
    assert parse_progress(line) is None


@pytest.mark.parametrize("time", ["1e300", "-1", "1e12", "NaN"])
def test_parse_progress_ignores_a_time_that_is_none(time: str) -> None:
    line = f'YOLO-PROGRESS {{"v":1,"seq":1,"time":{time},"stage":"epoch","eta_seconds":5}}'
    assert parse_progress(line) is None


def test_parse_progress_ignores_fields_of_a_later_trainer() -> None:
    got = parse_progress('YOLO-PROGRESS {"v":1,"seq":1,"time":1,"stage":"epoch","shiny":true}')
    assert got is not None


def _result(**changes: object) -> Result:
    plain: dict[str, object] = {"stage": Stage.TRAIN, "uid": "u" * 36, "run": 1, "attempt": 1, "exit_code": 3}
    return Result.model_validate(plain | {"reason": Reason.INVALID_DATA, "message": "no image"} | changes)


def test_to_termination_message_keeps_all_that_fits() -> None:
    want = _result(best=Best(epoch=2, fitness=0.5), warnings=["a"])
    assert parse_result(want.to_termination_message()) == want


@pytest.mark.parametrize(
    "changes",
    [
        {"warnings": ["w" * 200] * 100},
        {"message": "m" * 10_000},
        {"message": "ü" * 3_000},
        {"dataset": Dataset(hash="h", classes={f"class {i}": i for i in range(1000)})},
        {"finished": _result(message="x" * 9_000)},
    ],
)
def test_to_termination_message_is_bounded_and_still_says_why(changes: dict[str, object]) -> None:
    text = _result(**changes).to_termination_message()
    assert text.isascii()
    assert len(text) <= TERMINATION_MESSAGE_MAX_BYTES
    got = parse_result(text)
    assert got is not None
    assert (got.reason, got.exit_code) == (Reason.INVALID_DATA, 3)


def _words(dice: random.Random, most: int) -> str:
    """Any text: ASCII, quotes and line breaks, or letters that take 6 and 12 bytes as JSON."""
    alphabet = dice.choice(["abc 123", 'a"\\\n\t', "äöü", "训练", "🚀"])
    return "".join(dice.choices(alphabet, k=dice.randrange(most + 1)))


def _any_result(dice: random.Random, stage: Stage, finished: Result | None = None) -> Result:
    metrics = {f"metrics/{_words(dice, 12)}{i}": dice.random() for i in range(dice.choice([0, 8, 80]))}
    name = "".join(dice.choices(dice.choice(["m", "ü", "模"]), k=dice.choice([2, 66])))
    weight = Weight(path=f"train/{name}/weights/last.pt", size=dice.randrange(10**12), sha256="f" * 64)
    return Result(
        stage=stage,
        uid=f"{dice.randrange(16**12):036x}",
        run=dice.randrange(1, 99_999),
        attempt=dice.randrange(1, 1000),
        exit_code=dice.choice([0, 4]),
        reason=dice.choice([None, Reason.DIVERGED]),
        message=_words(dice, dice.choice([0, 40, 4000])),
        hint=_words(dice, dice.choice([0, 40, 4000])),
        epochs_done=dice.randrange(100_000),
        epochs=100_000,
        metrics=metrics,
        best=Best(epoch=dice.randrange(100), fitness=0.5, metrics=metrics),
        weights=dice.choice([None, Weights(best=weight, last=weight)]),
        dataset=Dataset(
            hash="h", classes={f"{_words(dice, 30)}{i}": i for i in range(dice.choice([0, 150]))}
        ),
        warnings=[_words(dice, 250) for _ in range(dice.choice([0, 3, 20]))],
        started_at=dice.random() * 1e10,
        finished_at=dice.random() * 1e10,
        finished=finished,
    )


_ALWAYS = ("stage", "uid", "run", "attempt", "exit_code", "reason", "epochs_done", "epochs", "weights")


@pytest.mark.parametrize("seed", range(300))
def test_to_termination_message_never_loses_a_finished_run(seed: int) -> None:
    dice = random.Random(seed)
    finished = _any_result(dice, Stage.TRAIN)
    want = _any_result(dice, dice.choice(list(Stage)), finished)
    text = want.to_termination_message()

    assert text.isascii()
    assert len(text) <= TERMINATION_MESSAGE_MAX_BYTES
    got = parse_result(text)
    assert got is not None
    assert got.finished is not None
    for name in _ALWAYS:
        assert getattr(got, name) == getattr(want, name)
        assert getattr(got.finished, name) == getattr(finished, name)


def test_to_termination_message_of_a_large_data_set_keeps_the_metrics_of_a_finished_run() -> None:
    classes = {f"a class with number {i}": i for i in range(150)}
    finished = _result(
        exit_code=0,
        reason=None,
        metrics={"metrics/mAP50-95(B)": 0.61},
        dataset=Dataset(hash="h", classes=classes),
    )
    told = _result(stage=Stage.PREPARE, warnings=["w" * 250] * 20, finished=finished)
    got = parse_result(told.to_termination_message())
    assert got is not None
    assert got.finished is not None
    assert got.finished.metrics == finished.metrics


@pytest.mark.parametrize("text", ["", "Killed", "{}", '{"v":1,"stage":"fly"}'])
def test_parse_result_of_anything_else_is_none(text: str) -> None:
    assert parse_result(text) is None


@pytest.mark.parametrize(
    "url",
    [
        "ucd:11101",
        "ftp://ucd",
        "http://",
        "http://u:p@ucd",
        "http://ucd/?a=b",
        "http://ucd:x",
        "//ucd",
        "http://a b",
    ],
)
def test_fetch_refuses_an_address_that_cannot_be_asked(url: str) -> None:
    with pytest.raises(ValidationError, match="ucdServer"):
        Fetch.model_validate({"ucdServer": url})


@pytest.mark.parametrize("url", ["http://ucd:11101", "https://ucd.example.org/base/", "http://[fd00::1]:80"])
def test_fetch_takes_a_base_url(url: str) -> None:
    assert Fetch.model_validate({"ucdServer": url}).ucd_server == url


def test_to_termination_message_of_many_classes_keeps_what_was_counted() -> None:
    dataset = Dataset(
        hash="abc", images=24, classes={f"{n:04}仓库仓库": n for n in range(1000)}, skipped={"a": 2}
    )
    warnings = ["2 boxes of unlisted labels were left out"]
    told = _result(stage=Stage.PREPARE, exit_code=0, reason=None, dataset=dataset, warnings=warnings)
    got = parse_result(told.to_termination_message())
    assert got is not None
    assert got.dataset == dataset.model_copy(update={"classes": {}})
    assert got.warnings == warnings
