"""Names of models that old clients give."""

import pytest

from yolo_api.errors import InvalidFieldsError
from yolo_api.models import to_model


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ("yolov5s", "yolov5s"),
        ("run:helmet/best", "run:helmet/best"),
        (" run:安全帽 v1.2/last.pt ", "run:安全帽 v1.2/last"),
    ],
)
def test_to_model_takes_files_and_earlier_runs(given: str, want: str) -> None:
    assert to_model(given) == want


@pytest.mark.parametrize("given", ["run:helmet", "run:../x/best", "run:a..b/best", "run:x/epoch3", "a b"])
def test_to_model_refuses_what_is_neither(given: str) -> None:
    with pytest.raises(InvalidFieldsError) as error:
        to_model(given)
    assert [field for field, _ in error.value.problems] == ["model_type"]
