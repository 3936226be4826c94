"""DOTA's labelTxt, in the layouts and versions that are about."""

from typing import Any

import pytest

from dataset_writers import pack_zip
from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

HEAD = "imagesource:GoogleEarth\ngsd:0.146343590398\n"
CAR = "16.0 12.0 48.0 12.0 48.0 36.0 16.0 36.0 small-vehicle"
FIELD = "32 0 64 24 32 48 0 24 ground-track-field"
CAR_ROW = "0 0.250000 0.250000 0.750000 0.250000 0.750000 0.750000 0.250000 0.750000"
FIELD_ROW = "1 0.500000 0.000000 1.000000 0.500000 0.500000 1.000000 0.000000 0.500000"
NAMES = ["small-vehicle", "ground-track-field"]
TEXT = f"{HEAD}{CAR} 0\n{FIELD} 1\n"


def prepare(world: Any, task: Task = "obb", **data: object) -> PreparedSet:
    given = Data.model_validate(
        {"train": "datasets/yard", "labels": NAMES, "missingClasses": "allow", **data}
    )
    return prepare_dataset(world.volume, given, task, world.report)


def write(world: Any, images: str, labels: str, *stems: str, text: str = TEXT) -> None:
    for stem in stems:
        world.image(f"datasets/yard/{images}/{stem}.png", shade=sum(map(ord, images + stem)))
        world.text(f"datasets/yard/{labels}/{stem}.txt", text)


def rows(found: PreparedSet) -> list[str]:
    (first, *_) = sorted(found.folder.glob("labels/train/*"))
    return first.read_text().splitlines()


@pytest.mark.parametrize("labels", ["labelTxt", "labels", "annfiles", "labelTxt-v1.0/labelTxt", "images"])
def test_turned_boxes_are_read_wherever_they_lie(world: Any, labels: str) -> None:
    write(world, "images", labels, "P0001", "P0002")
    found = prepare(world)
    assert rows(found) == [CAR_ROW, FIELD_ROW]
    assert found.details.dataset.kind == "dota"
    assert found.details.taken_for["train"].startswith("dota: P0001.txt has DOTA's rows")
    assert found.details.dataset.skipped == {"difficultKept": 2}
    pack_zip(world.data / "datasets/yard", world.data / "datasets/z.zip")
    assert prepare(world, train="datasets/z.zip").folder == found.folder


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("{}/images", "{}/labelTxt"),
        ("images/{}", "labelTxt/{}"),
        ("images/{}", "labels/{}_original"),
        ("{}", "{}"),
    ],
)
def test_parts_have_labels_of_their_own(world: Any, images: str, labels: str) -> None:
    """Names that both parts have, with other labels."""
    write(world, images.format("train"), labels.format("train"), "P1", "P2")
    write(world, images.format("val"), labels.format("val"), "P1", text=f"{FIELD} 0\n")
    found = prepare(world)
    assert (found.details.dataset.train_images, found.details.dataset.val_images) == (2, 1)
    assert rows(found) == [CAR_ROW, FIELD_ROW]
    assert [p.read_text().splitlines() for p in found.folder.glob("labels/val/*")] == [[FIELD_ROW]]


@pytest.mark.parametrize(
    ("text", "difficult"),
    [(f"{CAR} 0\n{FIELD} 2\n", 1), (f"{CAR}\n{FIELD}\n", 0), (f"{HEAD}gsd:null\n\n{CAR} 1\n{FIELD} 1", 2)],
)
def test_versions_with_and_without_head_and_difficulty(world: Any, text: str, difficult: int) -> None:
    write(world, "images", "labelTxt", "P1", "P2", text=text)
    found = prepare(world)
    assert rows(found) == [CAR_ROW, FIELD_ROW]
    assert found.details.dataset.skipped.get("difficultKept", 0) == 2 * difficult


def test_class_names_may_have_blanks(world: Any) -> None:
    write(world, "images", "labelTxt", "P1", "P2", text=f"{CAR} 1\n{FIELD.replace('track-', 'track ')}\n")
    found = prepare(world, labels=["small-vehicle", "ground-track field"])
    assert rows(found) == [CAR_ROW, FIELD_ROW]


@pytest.mark.parametrize("train", ["datasets/yard/images", "datasets/yard/data.yaml"])
def test_labels_that_are_passed_over_are_named(world: Any, train: str) -> None:
    write(world, "images", "labelTxt", "P1", "P2")
    world.text("datasets/yard/data.yaml", "train: images\nnames: [small-vehicle, ground-track-field]\n")
    with pytest.raises(InvalidDataError, match="none of the 2 images") as error:
        prepare(world, train=train)
    assert (error.value.hint or "").startswith(
        "DOTA's labels lie in labelTxt: name the folder that holds them"
    )


def test_detect_takes_the_box_around(world: Any) -> None:
    write(world, "images", "labelTxt", "P1", "P2", text=f"{FIELD} 0")
    assert rows(prepare(world, "detect")) == ["1 0.500000 0.500000 1.000000 1.000000"]


def test_labels_without_image_and_images_without_labels_are_counted(world: Any) -> None:
    write(world, "images", "labelTxt", "P1", "P2")
    (world.data / "datasets/yard/images/P2.png").rename(world.data / "datasets/yard/images/Q2.png")
    assert prepare(world).details.dataset.skipped == {"difficultKept": 1, "noLabelFile": 1, "strayLabel": 1}


def test_labels_are_to_be_listed_and_named_in_the_error(world: Any) -> None:
    write(world, "images", "labelTxt", "P1", "P2")
    with pytest.raises(InvalidDataError, match="labels in it: ground-track-field, small-vehicle"):
        prepare(world, labels=[])


def test_rows_of_yolo_beside_go_first(world: Any) -> None:
    """As Ultralytics converts them: the originals stay."""
    write(world, "images/train", "labels/train_original", "P1", "P2")
    write(world, "images/train", "labels/train", "P1", "P2", text=CAR_ROW)
    assert prepare(world).details.dataset.kind == "yolo"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (f"{TEXT}10 8 40 8 40 20 10 ship 0\n", r"P1\.txt, line 5: '10 8 .* ship 0' is no row of DOTA"),
        (f"{TEXT}10 8 40 8 40 20 10 nan ship 0\n", "line 5: .* is no row of DOTA"),
        (
            "0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9 ship 0\n",
            r"P1\.txt: no number is above 1; DOTA's rows count in pixels",
        ),
    ],
)
def test_rows_that_are_none_are_refused(world: Any, text: str, want: str) -> None:
    write(world, "images", "labelTxt", "P1", "P2", text=text)
    with pytest.raises(InvalidDataError, match=want):
        prepare(world)


def test_two_versions_beside_each_other_are_refused(world: Any) -> None:
    write(world, "images", "labelTxt-v1.0", "P1", "P2")
    write(world, "images", "labelTxt-v1.5", "P1", "P2")
    with pytest.raises(
        InvalidDataError, match=r"P1\.png has several label files: .*v1\.0/P1.* and .*v1\.5/P1"
    ):
        prepare(world)


def test_data_yaml_over_dotas_labels_says_what_they_are(world: Any) -> None:
    write(world, "images", "labels", "P1", "P2")
    world.text("datasets/yard/data.yaml", "train: images\nnames: [small-vehicle, ground-track-field]\n")
    with pytest.raises(InvalidDataError, match=r"line 1: .*DOTA's labels: pixels, class name, diff") as error:
        prepare(world)
    assert "convert_dota_to_yolo_obb" in (error.value.hint or "")


def test_other_tasks_are_refused(world: Any) -> None:
    write(world, "images", "labelTxt", "P1", "P2")
    for task in ("pose", "classify"):
        with pytest.raises(InvalidDataError, match=f"a DOTA data set, which holds no labels for {task}"):
            prepare(world, task)
