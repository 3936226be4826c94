"""Progress lines and termination messages can be read and stay within their bounds; settings are checked."""

import pytest
from pydantic import ValidationError

from yolo_crds.conditions import Reason
from yolo_crds.meta import Stage
from yolo_crds.status import Best, Dataset
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
