"""Which folder holds the data set: wrapped ones, and descriptions that lie elsewhere or have another name."""

from pathlib import Path
from typing import Any

import pytest

from dataset_writers import pack_zip
from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

YAML = "path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n"


def prepare(world: Any, train: str = "datasets/s", task: Task = "detect", **data: object) -> PreparedSet:
    given = Data.model_validate({"train": train, **data})
    return prepare_dataset(world.volume, given, task, world.report)


def write_set(world: Any, folder: str = "datasets/s", yaml: str = "data.yaml") -> None:
    """Four images to train on and two to validate with, of two classes."""
    for i in range(6):
        split = "train" if i < 4 else "val"
        world.image(f"{folder}/images/{split}/a{i}.jpg", shade=i * 40)
        world.text(f"{folder}/labels/{split}/a{i}.txt", f"{i % 2} 0.5 0.5 0.25 0.5\n")
    world.text(f"{folder}/{yaml}", YAML)


@pytest.fixture
def want_hash(world: Any) -> str:
    """Of the set as it lies in a folder of its own."""
    write_set(world, "datasets/plain")
    return prepare(world, "datasets/plain").details.dataset.hash


@pytest.mark.parametrize("inner", ["in", "in/helmets_v2"])
def test_folder_around_a_data_set_is_looked_through(world: Any, want_hash: str, inner: str) -> None:
    write_set(world, f"datasets/s/{inner}")
    found = prepare(world)
    assert (found.details.dataset.train_images, found.details.dataset.val_images) == (4, 2)
    assert found.details.dataset.hash == want_hash


def test_folder_and_archive_are_looked_through_alike(world: Any, want_hash: str, tmp_path: Path) -> None:
    pack_zip(world.data / "datasets/plain", world.data / "datasets/z.zip", "in/")
    assert prepare(world, "datasets/z.zip").details.dataset.hash == want_hash


def test_image_volume_is_looked_through(world: Any, want_hash: str, tmp_path: Path) -> None:
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    (world.data / "datasets/plain").rename(artifact / "helmets")
    data = Data.model_validate({"train": ".", "image": "registry.example.org/sets/helmets:v1"})
    found = prepare_dataset(world.volume, data, "detect", world.report, artifact)
    assert found.details.dataset.hash == want_hash


def test_link_to_the_folder_itself_is_not_followed_without_end(world: Any) -> None:
    (world.data / "datasets/s").mkdir()
    (world.data / "datasets/s/in").symlink_to(".")
    with pytest.raises(InvalidDataError, match="no images"):
        prepare(world)


@pytest.mark.parametrize("name", ["data.yaml", "dataset.yml"])
def test_description_in_one_of_several_folders_is_to_be_named(world: Any, name: str) -> None:
    write_set(world, "datasets/s/in", name)
    world.image("datasets/s/more/b.jpg", shade=7)
    with pytest.raises(
        InvalidDataError, match=rf"template\.data\.train: .* there is in/{name} in it"
    ) as error:
        prepare(world, labels=["cat", "dog"])
    assert error.value.hint == f"name the data set: end template.data.train in in/{name}"


def test_description_of_another_name_is_told(world: Any) -> None:
    write_set(world, yaml="coco128.yaml")
    world.text("datasets/s/notes.yaml", "author: me\n")
    want = "coco128.yaml describes a data set and is not read: name the file itself, or call it data.yaml"
    found = prepare(world, labels=["cat", "dog"])
    assert [w for w in found.details.warnings if ".yaml" in w] == [want]
    with pytest.raises(InvalidDataError, match=want):
        prepare(world)


def test_endings_in_capitals_are_taken(world: Any, want_hash: str) -> None:
    write_set(world, yaml="my.YAML")
    assert prepare(world, "datasets/s/my.YAML").details.dataset.hash == want_hash


@pytest.mark.parametrize(("train", "val"), [("Train", "Val"), ("TRAIN", "TEST"), ("Training", "Validation")])
def test_parts_with_capitals_are_no_classes(world: Any, train: str, val: str) -> None:
    for i, folder in enumerate(f"{part}/{name}" for part in (train, val) for name in ("cat", "dog")):
        world.image(f"datasets/s/{folder}/a.jpg", shade=i * 40)
    found = prepare(world, task="classify").details.dataset
    assert (list(found.classes), found.train_images, found.val_images) == (["cat", "dog"], 2, 2)


def test_class_that_is_called_as_a_part_stays_a_class(world: Any) -> None:
    for i, folder in enumerate(("Train", "Bus", "Car") * 2):
        world.image(f"datasets/s/{folder}/a{i}.jpg", shade=i * 40)
    assert list(prepare(world, task="classify").details.dataset.classes) == ["Bus", "Car", "Train"]


def test_parts_of_label_files_with_capitals_are_the_split(world: Any) -> None:
    for i, part in enumerate(("Train", "Train", "Validation")):  # CVAT's names of subsets
        world.image(f"datasets/s/images/{part}/a{i}.jpg", shade=i * 40)
        world.text(f"datasets/s/labels/{part}/a{i}.txt", "0 0.5 0.5 0.25 0.5\n")
    found = prepare(world, labels=["cat"]).details.dataset
    assert (found.train_images, found.val_images) == (2, 1)
    assert found.images == 3
