"""results.csv is one table, whoever was killed while writing it."""

import pytest

from yolo_trainer.training.results import cut_results, fit_results

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


def test_fit_results_puts_values_below_the_names_that_the_next_row_has() -> None:
    table = "epoch,time,loss,lr/pg0,lr/pg1\n1,2.5,0.5,0.01,0.02\n"
    assert fit_results(table, ["epoch", "time", "loss", "lr/pg0", "lr/pg1"]) == table
    assert (
        fit_results(table, ["epoch", "time", "loss", "lr/pg0"]) == "epoch,time,loss,lr/pg0\n1,2.5,0.5,0.01\n"
    )
    assert fit_results(table, ["epoch", "time", "loss", "new", "lr/pg0", "lr/pg1", "lr/pg2"]) == (
        "epoch,time,loss,new,lr/pg0,lr/pg1,lr/pg2\n1,2.5,0.5,,0.01,0.02,\n"
    )
