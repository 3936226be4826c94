"""`fraction` takes the first images by name: what a class-sorted set loses by it is told."""

from typing import Any

import pytest

from prepared_sets import prepare_stage as prepare
from yolo_trainer.errors import InvalidArgumentsError

BOX = "{} 0.5 0.5 0.2 0.2\n"


def warnings(world: Any, **config: Any) -> list[str]:
    found = prepare(world.config(data={"train": "datasets/s"}, **config), world.report)
    return [warning for warning in found.warnings if warning.startswith("fraction")]


def sorted_set(world: Any) -> None:
    """Ten training images in order of their class, as recorded one after another; one of each validates."""
    for i, name in enumerate(["cat"] * 4 + ["dog"] * 4 + ["elk"] * 2):
        world.image(f"datasets/s/images/train/{name}{i}.jpg", shade=i * 9)
        world.text(f"datasets/s/labels/train/{name}{i}.txt", BOX.format(["cat", "dog", "elk"].index(name)))
    world.image("datasets/s/images/val/v.jpg", shade=200)
    world.text("datasets/s/labels/val/v.txt", BOX.format(0))
    world.text("datasets/s/data.yaml", "train: images/train\nval: images/val\nnames: [cat, dog, elk, fox]\n")


@pytest.mark.parametrize(
    ("fraction", "want"),
    [
        ("0.4", "first 4 of 10 images in order of names: of 3 classes 2 are not in it (dog, elk); name a"),
        ("0.45", "first 4 of 10 images in order of names: of 3 classes 2 are not in it (dog, elk); name a"),
        ("0.6", "first 6 of 10 images in order of names: of 3 classes 1 are not in it (elk); name a"),
        ("0.9", "first 9 of 10 images in order of names, not on a random part; each class is in it"),
    ],
)
def test_classes_that_a_fraction_loses_are_named(world: Any, fraction: str, want: str) -> None:
    sorted_set(world)
    (warning,) = warnings(world, extraArgs={"fraction": fraction})
    assert f"trains on the {want}" in warning


@pytest.mark.parametrize("extra", [{}, {"fraction": "1.0"}, {"fraction": "1"}])
def test_whole_set_is_not_warned_of(world: Any, extra: dict[str, str]) -> None:
    sorted_set(world)
    assert warnings(world, extraArgs=extra) == []


def test_class_folders_lose_the_last(world: Any) -> None:
    for i, name in enumerate(("cat", "cat", "dog", "dog")):
        world.image(f"datasets/s/train/{name}/{i}.jpg", shade=i * 9)
    world.image("datasets/s/val/cat/v.jpg", shade=99)
    world.image("datasets/s/val/dog/w.jpg", shade=109)
    model = {"model": "yolo11n-cls.yaml", "task": "classify"}
    (warning,) = warnings(world, extraArgs={"fraction": "0.5"}, **model)
    assert "first 2 of 4 images in order of names: of 2 classes 1 are not in it (dog)" in warning


@pytest.mark.parametrize("fraction", ["0", "0.04"])
def test_fraction_that_leaves_no_image_is_refused(world: Any, fraction: str) -> None:
    sorted_set(world)
    want = f"template.extraArgs.fraction: {fraction} leaves none of 10 training images"
    with pytest.raises(InvalidArgumentsError, match=want) as error:
        warnings(world, extraArgs={"fraction": fraction})
    assert error.value.hint == "want at least 0.1, or leave fraction out"
