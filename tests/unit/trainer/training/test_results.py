"""results.csv is one table, whoever was killed while writing it."""

import pytest

from yolo_trainer.training.results import cut_results

HEADER = "epoch,time,loss\n"


@pytest.mark.parametrize(
    ("rows", "done", "want"),
    [
        ("1,1.0,2\n2,2.0,1\n", 2, "1,1.0,2\n2,2.0,1\n"),
        ("1,1.0,2\n2,2.0,1\n", 1, "1,1.0,2\n"),  # written before the epoch was saved
        ("1,1.0,2\n1", 1, "1,1.0,2\n"),  # the first byte of row 10, or of row 1 again
        ("1,1.0,2\n2,2.", 2, "1,1.0,2\n"),
        ("1,1.0,2\n2,2.0,1", 2, "1,1.0,2\n"),
        ("", 3, ""),
    ],
)
def test_cut_results_keeps_whole_rows_of_saved_epochs(rows: str, done: int, want: str) -> None:
    assert cut_results(HEADER + rows, done) == HEADER + want


def test_cut_results_of_nothing_is_nothing() -> None:
    assert cut_results("", 3) == ""
