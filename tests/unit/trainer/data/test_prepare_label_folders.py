"""Where the label files of Pascal VOC lie, and which image each is for."""

from typing import Any

import pytest

from dataset_writers import voc_text
from prepared_labels import lines_of, prepare
from yolo_trainer.errors import InvalidDataError


def pair(world: Any, image: str, label: str, named: str | None = None) -> None:
    """An image and its label file, which says that the image is called so."""
    world.image(f"datasets/demo/{image}", shade=sum(image.encode()) % 250)
    text = voc_text(named or image.rpartition("/")[2], [("a", 4, 4, 20, 20)])
    world.text(f"datasets/demo/{label}", text)


@pytest.mark.parametrize(
    "named", ["one.jpg", "one", "C:\\pictures\\one.jpg", "/home/me/one.png", "other/one.jpg"]
)
def test_label_files_of_another_folder_go_to_the_image_of_their_name(world: Any, named: str) -> None:
    pair(world, "photos/one.jpg", "xml/one.xml", named)
    pair(world, "photos/two.jpg", "xml/two.xml")
    dataset = prepare(world).details.dataset
    assert (dataset.images, dataset.boxes) == (2, 2)
    assert dataset.skipped.keys() <= {"matchedPath"}  # of another machine, by its whole name


@pytest.mark.parametrize("folder", ["Annotations", "labels"])
def test_label_files_beside_their_images_count_where_a_folder_has_some_too(world: Any, folder: str) -> None:
    for name in ("one", "two", "three"):
        pair(world, f"{name}.png", f"{name}.xml")
    pair(world, "one.png", f"{folder}/one.xml")
    pair(world, "four.png", f"{folder}/four.xml")
    world.image("datasets/demo/five.png", shade=3)
    world.text("datasets/demo/four.xml", "<PAMDataset><Metadata/></PAMDataset>")
    found = prepare(world).details
    assert (found.dataset.images, found.dataset.boxes) == (5, 4)
    assert found.dataset.skipped == {"furtherLabels": 1, "noLabelFile": 1}
    assert "one.xml" in found.skipped_names["furtherLabels"]
    world.text("datasets/demo/five.xml", "<annotation><object>")
    with pytest.raises(InvalidDataError, match=r"five\.xml is not XML"):
        prepare(world)


def test_name_that_several_images_have_is_not_guessed(world: Any) -> None:
    pair(world, "photos/a/one.jpg", "xml/one.xml")
    world.image("datasets/demo/photos/b/one.jpg", shade=7)
    pair(world, "photos/two.jpg", "xml/two.xml")
    pair(world, "photos/three.jpg", "xml/three.xml")
    found = prepare(world).details.dataset
    assert (found.images, found.boxes) == (4, 2)
    assert found.skipped == {"missingImage": 1, "noLabelFile": 2}


def test_of_two_endings_the_one_that_is_named_has_the_labels(world: Any) -> None:
    for name in ("one", "two"):
        pair(world, f"{name}.png", f"{name}.xml")
    world.image("datasets/demo/one.jpg", shade=200)
    found = prepare(world)
    by_size = {file.suffix: file.stem for file in found.folder.glob("images/*/one*")}
    lines = lines_of(found)
    assert (len(lines[by_size[".png"]]), len(lines[by_size[".jpg"]])) == (1, 0)
    assert found.details.dataset.skipped == {"noLabelFile": 1}


def test_split_folders_may_have_folders_of_images_and_labels(world: Any) -> None:
    for split in ("train", "val"):
        pair(world, f"{split}/JPEGImages/a.png", f"{split}/Annotations/a.xml")
        world.image(f"datasets/demo/{split}/JPEGImages/night/a.png", shade=200)
    dataset = prepare(world).details.dataset
    assert (dataset.train_images, dataset.val_images, dataset.boxes) == (2, 2, 2)


@pytest.mark.parametrize("images", ["images/{}", "JPEGImages/{}", "{}"])
def test_label_files_of_all_parts_in_one_folder(world: Any, images: str) -> None:
    for split in ("train", "val", "test"):
        pair(world, f"{images.format(split)}/{split}.jpg", f"Annotations/{split}.xml")
    world.text("datasets/demo/Annotations/lost.xml", voc_text("lost.jpg", [("a", 4, 4, 20, 20)]))
    dataset = prepare(world).details.dataset
    assert (dataset.train_images, dataset.val_images, dataset.boxes) == (1, 1, 2)
    assert dataset.skipped == {"missingImage": 2}  # lost.jpg, in either part


def test_folder_of_several_data_sets_is_refused(world: Any) -> None:
    for year in ("VOC2007", "VOC2012"):
        pair(world, f"{year}/JPEGImages/{year}.jpg", f"{year}/Annotations/{year}.xml")
    with pytest.raises(
        InvalidDataError, match=r"is no data set of Pascal VOC itself, .* VOC2007, VOC2012"
    ) as error:
        prepare(world)
    assert error.value.hint == "name one of them, such as demo/VOC2007"


def test_lists_elsewhere_are_told(world: Any) -> None:
    for name in ("one", "two"):
        pair(world, f"{name}.jpg", f"{name}.xml")
    world.text("datasets/demo/train.txt", "one.jpg one.xml\n")
    told = " ".join(prepare(world).details.warnings)
    assert "train.txt lies outside of ImageSets/Main and is not followed" in told
