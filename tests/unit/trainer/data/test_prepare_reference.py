"""What is said of a reference, or of another field of `template.data`, that is wrong itself."""

from pathlib import Path
from typing import Any

import pytest

from yolo_crds.layout import DataVolume
from yolo_crds.training import Data
from yolo_trainer.data.dataset import prepare_dataset
from yolo_trainer.data.tree import Tree
from yolo_trainer.errors import SPEC_HINT, InvalidDataError


def refused(world: Any, **data: object) -> InvalidDataError:
    with pytest.raises(InvalidDataError) as error:
        prepare_dataset(world.volume, Data.model_validate(data), "detect", world.report)
    return error.value


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ("datsets/helmets", "did you mean 'datasets/helmets'"),
        ("datasets/helmets ", "did you mean 'datasets/helmets'"),
        ("helmet", "did you mean 'helmets'"),
        ("helmet_dmeo", "did you mean 'helmet_demo'"),
        ("something else", "put the data set there, or name one that is"),
    ],
)
def test_name_that_is_alike_is_offered(world: Any, given: str, want: str) -> None:
    world.example()
    world.image("datasets/helmets/a.jpg")
    error = refused(world, train=given)
    assert f"{given!r} was not found in the data volume; looked for" in error.message
    assert (error.hint or "").startswith(want)


@pytest.mark.parametrize(
    ("field", "given", "want"),
    [
        ("train", "team/helmet_dmeo", "did you mean 'team/helmet_demo'?"),
        ("train", "taem/helmet_demo", "did you mean 'team/helmet_demo'?"),
        ("train", "ucd/team/helmet_dmeo.json", "did you mean 'ucd/team/helmet_demo.json'?"),
        ("train", "team/helmet_dmeo.json", "did you mean 'team/helmet_demo'?"),
        ("val", "datasets/night/helmets/vla", "did you mean 'datasets/night/helmets/val'?"),
        ("val", "night/helmets/vla", "did you mean 'night/helmets/val'?"),
        ("val", "datasets/nihgt/helmets/val", "did you mean 'datasets/night/helmets/val'?"),
        ("val", "{root}/datasets/night/helmets/vla", "did you mean 'datasets/night/helmets/val'?"),
        ("val", "datasets/nihgt/zebra", "did you mean 'datasets/night'?"),
        ("val", "datasets/night/zebra", "put the data set there, or name one that is"),
        ("val", "datasets/.hiden", "put the data set there, or name one that is"),
    ],
)
def test_name_that_is_alike_within_a_folder_is_offered(world: Any, field: str, given: str, want: str) -> None:
    world.example()
    world.text("ucd/team/helmet_demo.json", "{}")
    world.image("datasets/night/helmets/val/a.jpg")
    world.image("datasets/.hidden/a.jpg")
    given = given.format(root=world.data)
    error = refused(world, **{"train": "helmet_demo", field: given})
    shown = given.removeprefix(f"{world.data}/")
    assert error.message.startswith(f"template.data.{field}: {shown!r} was not found")
    assert error.hint == want


@pytest.mark.parametrize(
    ("data", "want"),
    [
        ({"train": "../s"}, "template.data.train: '../s' has '..'"),
        ({"train": "helmet_demo", "labels": ["a", "b", "a"]}, "template.data.labels: 'a' is given twice"),
        ({"train": "helmet_demo", "labels": ["a", " "]}, "template.data.labels: label 1 is blank"),
    ],
)
def test_wrong_field_is_to_be_corrected_and_not_the_data(
    world: Any, data: dict[str, object], want: str
) -> None:
    world.example()
    error = refused(world, **data)
    assert error.message.startswith(want)
    assert error.hint == SPEC_HINT


@pytest.mark.parametrize(
    ("path", "content", "want"),
    [
        ("datasets/x.rar", "Rar!", "is none of"),
        ("datasets/x.zip", "PK", "is no whole archive"),
        ("datasets/x.json", "<html>", "is not JSON: it starts with '<'"),
        ("datasets/data.yaml", "names: [", "is not YAML"),
    ],
)
def test_fault_in_a_file_is_told_with_the_field_that_named_it(
    world: Any, path: str, content: str, want: str
) -> None:
    world.many()
    world.text(path, content)
    for field, data in {"train": {"train": path}, "val": {"train": "many", "val": path}}.items():
        message = refused(world, **data).message
        assert message.startswith(f"template.data.{field}: {path} {want}")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("cannot read {root}/a/b.png: gone", "cannot read a/b.png: gone"),
        ("'x' is not below {root}", "'x' is not below the data volume"),
        ("{root}: {root}/ and ({root})", "the data volume: the data volume and (the data volume)"),
        ("/home/me{root}/a.png and {root}base/b.png", "/home/me{root}/a.png and {root}base/b.png"),
    ],
)
def test_paths_are_told_as_seen_from_the_volume(text: str, want: str) -> None:
    tree = Tree(DataVolume(Path("/data")))
    assert tree.told(text.format(root="/data")) == want.format(root="/data")
