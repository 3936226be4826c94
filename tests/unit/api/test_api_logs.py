from pathlib import Path

import pytest

from yolo_api.logs import ERR_BYTES, HEAD_BYTES, TAIL_BYTES, last_epoch, read_error_lines, read_lines


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "train_std.log"


def test_read_lines_of_a_missing_file_is_none(log: Path) -> None:
    assert read_lines(log, log.parent) is None
    assert read_error_lines(log, log.parent) is None


def test_read_lines_strips_every_line_and_keeps_blank_ones(log: Path) -> None:
    log.write_bytes("  first \r\n\n* start train 1/3 , 2026-11-24 10:00:00\nlast 安全".encode())
    assert read_lines(log, log.parent) == [
        "first",
        "",
        "* start train 1/3 , 2026-11-24 10:00:00",
        "last 安全",
    ]


def test_read_lines_of_an_empty_file(log: Path) -> None:
    log.touch()
    assert read_lines(log, log.parent) == []
    assert read_error_lines(log, log.parent) == []


def test_read_lines_survives_what_is_no_utf8(log: Path) -> None:
    log.write_bytes(b"\xff\xfe ok\n")
    assert read_lines(log, log.parent) == ["\ufffd\ufffd ok"]


def test_read_lines_of_a_large_file_is_bounded_and_keeps_all_epochs(log: Path) -> None:
    filler = "x" * 99 + "\n"
    epochs = 60
    with log.open("w") as file:
        for epoch in range(1, epochs + 1):
            file.write(f"* start train {epoch}/{epochs} , 2026-11-24 10:00:00\n")
            file.write(filler * 1000)  # 6 MB in all
        file.write("* train finished, 2026-11-24 11:00:00\n")
    lines = read_lines(log, log.parent)
    assert lines is not None
    starts = [line for line in lines if line.startswith("* start train")]
    assert starts == [f"* start train {i}/{epochs} , 2026-11-24 10:00:00" for i in range(1, epochs + 1)]
    assert lines[-1] == "* train finished, 2026-11-24 11:00:00"
    (omitted,) = [line for line in lines if line.startswith("... ")]
    assert "bytes left out" in omitted
    assert set(lines) - set(starts) - {omitted, lines[-1]} == {"x" * 99}, "a line was cut"
    assert sum(len(line) + 1 for line in lines) < HEAD_BYTES + TAIL_BYTES + 10_000


def test_read_lines_of_one_endless_line(log: Path) -> None:
    log.write_bytes(b"y" * 5_000_000)
    lines = read_lines(log, log.parent)
    assert lines is not None
    assert sum(map(len, lines)) < HEAD_BYTES + TAIL_BYTES + 1000


def test_read_error_lines_has_the_last_3000_bytes_and_splits_progress_bars(log: Path) -> None:
    log.write_bytes(b"a" * 10_000 + b"\nepoch 1: 10%\repoch 1: 90%\r\nTraceback\n")
    lines = read_error_lines(log, log.parent)
    assert lines is not None
    assert lines[1:] == ["epoch 1: 10%", "epoch 1: 90%", "Traceback"]
    assert sum(len(line) + 1 for line in lines) <= ERR_BYTES


@pytest.mark.parametrize(
    ("lines", "want"),
    [
        ([], None),
        (["* start train 1/9 , t", "x", "* start train 2/9 , t", "* train finished, t"], "2/9"),
        (["say * start train 1/9"], None),
    ],
)
def test_last_epoch(lines: list[str], want: str | None) -> None:
    assert last_epoch(lines) == want
