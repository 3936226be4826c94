"""Prepares a data set and tells the label lines that came of it, for the tests of single formats."""

from typing import Any

from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset


def prepare(
    world: Any, task: Task = "detect", *, train: str = "datasets/demo", **data: object
) -> PreparedSet:
    given = {"train": train, "labels": ["a", "b"], "missingClasses": "allow", **data}
    return prepare_dataset(world.volume, Data.model_validate(given), task, world.report)


def lines_of(prepared: PreparedSet) -> dict[str, list[str]]:
    """The label lines by the stem of their image, of training and validation alike."""
    files = prepared.folder.glob("labels/*/*.txt")
    return {file.stem: file.read_text().splitlines() for file in files}


def pixels(line: str, width: int = 64, height: int = 48) -> list[tuple[float, float]]:
    """The points of a label line of outlines, in pixels."""
    numbers = [float(word) for word in line.split()[1:]]
    return [
        (round(x * width, 3), round(y * height, 3)) for x, y in zip(numbers[::2], numbers[1::2], strict=True)
    ]


def box(line: str, width: int = 64, height: int = 48) -> tuple[float, float, float, float]:
    """The corners of a line of a box, in pixels."""
    x, y, w, h = (float(word) for word in line.split()[1:])
    return (
        round((x - w / 2) * width, 3),
        round((y - h / 2) * height, 3),
        round((x + w / 2) * width, 3),
        round((y + h / 2) * height, 3),
    )
