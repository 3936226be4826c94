"""Pascal VOC's lists of images: whole names, whatever is listed and missing, and lists that tell no split."""

from typing import Any

import pytest

from dataset_writers import pack_zip, voc_text
from prepared_labels import lines_of, prepare
from yolo_trainer.data.dataset import PreparedSet
from yolo_trainer.errors import InvalidDataError

NAMES = ("one", "my photo", "photo 1", "IMG 20 (2)", "sub/deep", "six.v1")
MAIN = "datasets/demo/ImageSets/Main"


def write(world: Any, *names: str, folder: str = "datasets/demo") -> None:
    for i, name in enumerate(names or NAMES):
        world.image(f"{folder}/JPEGImages/{name}.png", shade=i * 20)
        world.text(f"{folder}/Annotations/{name}.xml", voc_text(f"{name}.png", [("a", 4, 4, 20, 20)]))


def lists(world: Any, **lines: str) -> None:
    for name, text in lines.items():
        world.text(f"{MAIN}/{name}.txt", text)


def split(found: PreparedSet) -> tuple[set[str], set[str]]:
    train, val = (
        {file.stem for file in found.folder.glob(f"labels/{part}/*.txt")} for part in ("train", "val")
    )
    return train, val


def counted(found: PreparedSet) -> dict[str, int]:
    return {k: n for k, n in found.details.dataset.skipped.items() if k in ("unlistedImage", "listedMissing")}


@pytest.mark.parametrize(
    "form",
    ["{}", "{}  1", "{} -1", '"{}"', "{}.png", "./{}", "{}\t0", "/home/me/VOC/{}.png", "JPEGImages/{}.png"],
)
def test_whole_names_are_taken_in_each_form(world: Any, form: str) -> None:
    write(world)
    lists(world, train="".join(form.format(name) + "\n" for name in NAMES[:4]), val="sub/deep\nsix.v1\n")
    found = prepare(world)
    assert split(found) == (set(NAMES[:4]), {"deep", "six.v1"})
    assert counted(found) == {}


def test_names_without_an_image_and_images_in_no_list_are_counted(world: Any) -> None:
    write(world)
    lists(world, train="one\nmy photo\ngone far\n", val="photo 1\nlost\n")
    found = prepare(world)
    assert split(found) == ({"one", "my photo"}, {"photo 1"})
    assert counted(found) == {"listedMissing": 2, "unlistedImage": 3}
    told = " ".join(found.details.warnings)
    assert "gone far in train.txt" in told
    assert "IMG 20 (2)" in told


@pytest.mark.parametrize(
    ("given", "train", "val"),
    [
        ({"train": "a\nb\n", "test": "c\n"}, {"a", "b"}, {"c"}),
        ({"train": "a\nb\n", "val": "c\n", "test": "d\n"}, {"a", "b"}, {"c"}),
        ({"trainval": "a\nb\nc\n", "val": "c\n"}, {"a", "b"}, {"c"}),
        ({"trainval": "a\nb\n", "test": "c\nd\n"}, {"a", "b"}, {"c", "d"}),
        (
            {"train": "a\nb\n", "val": "c\n", "cat_train": "a 1\nb -1\n", "cat_val": "c  1\n"},
            {"a", "b"},
            {"c"},
        ),
    ],
)
def test_lists_tell_training_and_validation(
    world: Any, given: dict[str, str], train: set[str], val: set[str]
) -> None:
    write(world, *"abcd")
    lists(world, **given)
    assert split(prepare(world)) == (train, val)


@pytest.mark.parametrize(
    "given", [{"train": "a\nb\n"}, {"default": "a\nb\n", "cat_default": "a 1\nb -1\nc 1\n"}]
)
def test_only_list_is_the_whole_data_set(world: Any, given: dict[str, str]) -> None:
    """CVAT's `default.txt`; validation images are then split off."""
    write(world, *"abcd")
    lists(world, **given)
    found = prepare(world)
    assert set(lines_of(found)) == {"a", "b"}
    assert counted(found) == {"unlistedImage": 2}


def test_lists_without_one_for_training_are_told(world: Any) -> None:
    write(world, *"abcd")
    lists(world, val="a\n")
    found = prepare(world)
    assert len(lines_of(found)) == 4
    assert "ImageSets/Main has val.txt and no train.txt: all images are taken" in found.details.warnings


@pytest.mark.parametrize(
    "folder", ["ImageSets", "ImageSets/Segmentation", "ImageSets/main", "imagesets/Main"]
)
def test_lists_that_lie_elsewhere_are_told_for_they_are_not_followed(world: Any, folder: str) -> None:
    write(world, *"abcd")
    world.text(f"datasets/demo/{folder}/train.txt", "a\nb\n")
    world.text(f"datasets/demo/{folder}/val.txt", "c\nd\n")
    found = prepare(world)
    assert len(lines_of(found)) == 4
    for name in ("train", "val"):
        told = f"{folder}/{name}.txt lies outside of ImageSets/Main and is not followed: all images are taken"
        assert told in found.details.warnings


def test_lists_go_before_folders_of_images(world: Any) -> None:
    write(world, "train/a", "train/b", "val/c")
    lists(world, train="train/a\nval/c\n", val="train/b\n")
    assert split(prepare(world)) == ({"a", "c"}, {"b"})


def test_list_that_names_no_image_is_an_error_that_says_so(world: Any) -> None:
    write(world, *"ab")
    lists(world, train="x\ny\n", val="a\n")
    with pytest.raises(InvalidDataError, match=r"no images in 'datasets/demo'.*x in train\.txt"):
        prepare(world)


def test_list_may_be_named_itself(world: Any) -> None:
    write(world)
    lists(world, train="one\nmy photo\nlost\n", val="photo 1\n")
    found = prepare(world, train=f"{MAIN}/train.txt", val=f"{MAIN}/val.txt")
    assert split(found) == ({"one", "my photo"}, {"photo 1"})
    assert counted(found) == {"listedMissing": 1}
    assert found.details.taken_for["train"] == "voc: train.txt is a list of Pascal VOC"


def test_changed_list_is_another_data_set(world: Any) -> None:
    write(world)
    lists(world, train="one\nmy photo\n", val="photo 1\n")
    first = prepare(world, train=f"{MAIN}/train.txt")
    lists(world, train="my photo\nphoto 1\n")
    assert set(lines_of(first)) == {"one", "my photo"}
    assert set(lines_of(prepare(world, train=f"{MAIN}/train.txt"))) == {"my photo", "photo 1"}
    lists(world, train="my photo\nphoto 1\nlost\n")
    assert counted(prepare(world, train=f"{MAIN}/train.txt")) == {"listedMissing": 1}


def test_list_of_a_class_is_none_of_a_split(world: Any) -> None:
    write(world, *"abcd")
    lists(world, cat_train="a  1\nb -1\n")
    with pytest.raises(InvalidDataError, match=r"cat_train\.txt is the list of a class") as error:
        prepare(world, train=f"{MAIN}/cat_train.txt")
    assert "such as train.txt" in (error.value.hint or "")


def test_lists_of_yolo_in_such_a_folder_stay_lists_of_paths(world: Any) -> None:
    for i, name in enumerate("ab"):
        world.image(f"{MAIN}/images/{name}.png", shade=i * 40)
        world.text(f"{MAIN}/labels/{name}.txt", "0 0.5 0.5 0.2 0.2\n")
    lists(world, train="./images/a.png\n./images/b.png\n")
    found = prepare(world, train=f"{MAIN}/train.txt")
    assert (found.details.dataset.kind, found.details.dataset.boxes) == ("yolo", 2)


def test_lists_of_an_archive(world: Any) -> None:
    write(world, folder="../made/VOCdevkit/VOC2012")
    world.text("../made/VOCdevkit/VOC2012/ImageSets/Main/train.txt", "my photo\n")
    world.text("../made/VOCdevkit/VOC2012/ImageSets/Main/val.txt", "photo 1\n")
    pack_zip(world.data / "../made", world.data / "datasets/demo.zip")
    found = prepare(world, train="demo.zip")
    assert split(found) == ({"my photo"}, {"photo 1"})
    assert counted(found) == {"unlistedImage": 4}
