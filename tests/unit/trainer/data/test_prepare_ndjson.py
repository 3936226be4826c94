"""NDJSON of Ultralytics Platform: read where its pictures lie beside it, else refused by name."""

import json
from typing import Any

import pytest

from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

HEAD = {
    "type": "dataset",
    "task": "detect",
    "name": "s",
    "class_names": {"0": "step", "1": "rail"},
    "version": 1,
}
BOX = [0, 0.5, 0.5, 0.25, 0.5]
OUTLINE = [1, 0.25, 0.25, 0.75, 0.25, 0.5, 0.75]
CORNERS = [1, 0.25, 0.25, 0.75, 0.25, 0.75, 0.75, 0.25, 0.75]
PERSON = [0, 0.5, 0.5, 0.25, 0.5, 0.5, 0.5, 2, 0.25, 0.25, 1]


def prepare(world: Any, task: Task = "detect", train: str = "datasets/s", **data: object) -> PreparedSet:
    given = Data.model_validate({"train": train, **data})
    return prepare_dataset(world.volume, given, task, world.report)


def picture(name: str, split: str = "train", **annotations: list[list[float]]) -> dict[str, object]:
    url = f"https://cdn.example.org/{name}?sig=x"
    record: dict[str, object] = {"type": "image", "file": name, "url": url, "width": 64, "height": 48}
    return {**record, "split": split, **({"annotations": annotations} if annotations else {})}


def write(world: Any, *records: object, head: object = HEAD, place: str = "") -> None:
    world.text("datasets/s/s.ndjson", "".join(f"{json.dumps(r)}\n" for r in (head, *records)))
    for i, record in enumerate(records):
        if isinstance(record, dict):
            split = record["split"]
            world.image(f"datasets/s/{place.format(split)}{record['file']}", shade=i * 9)


def text(found: PreparedSet, stem: str) -> str:
    (file,) = found.folder.glob(f"labels/*/{stem}.txt")
    return file.read_text()


@pytest.mark.parametrize("place", ["", "images/", "{}/", "images/{}/", "{}/images/"])
def test_pictures_are_found_beside(world: Any, place: str) -> None:
    write(world, picture("a.png", boxes=[BOX]), picture("b.png", "val", boxes=[[1, *BOX[1:]]]), place=place)
    found = prepare(world)
    assert text(found, "a") == "0 0.500000 0.500000 0.250000 0.500000\n"
    assert text(found, "b") == "1 0.500000 0.500000 0.250000 0.500000\n"
    assert list(found.details.dataset.classes) == ["step", "rail"]
    assert (found.details.dataset.kind, found.details.dataset.val_images) == ("ndjson", 1)
    assert prepare(world, train="datasets/s/s.ndjson").folder == found.folder


@pytest.mark.parametrize(
    ("task", "kind", "row", "want"),
    [
        ("segment", "segments", OUTLINE, OUTLINE),
        ("detect", "segments", OUTLINE, [1, 0.5, 0.5, 0.5, 0.5]),
        ("obb", "obb", CORNERS, CORNERS),
        ("pose", "pose", PERSON, PERSON),
    ],
)
def test_rows_of_each_task(world: Any, task: Task, kind: str, row: list[float], want: list[float]) -> None:
    head = {**HEAD, "task": task, **({"kpt_shape": [2, 3]} if task == "pose" else {})}
    labels: dict[str, Any] = {kind: [row]}
    write(world, picture("a.png", **labels), picture("b.png"), head=head)
    assert [float(word) for word in text(prepare(world, task), "a").split()] == want


def test_class_ids_may_have_gaps(world: Any) -> None:
    head = {**HEAD, "class_names": {"7": "late", "3": "early"}}
    write(world, picture("a.png", boxes=[[7, *BOX[1:]]]), picture("b.png"), head=head)
    found = prepare(world)
    assert found.details.dataset.classes == {"early": 0, "late": 1}


def test_what_is_not_taken_is_told(world: Any) -> None:
    write(
        world, picture("a.png", boxes=[BOX], obb=[CORNERS]), picture("b.png", "val"), picture("c.png", "test")
    )
    details = prepare(world).details
    assert details.dataset.skipped == {"otherShape": 1}
    assert "s.ndjson: 1 images of the split test are not used" in details.warnings


@pytest.mark.parametrize("train", ["datasets/s", "datasets/s/s.ndjson"])
def test_pictures_that_are_urls_alone_are_not_followed(world: Any, train: str) -> None:
    write(world, picture("a.png", boxes=[BOX]), picture("b.png"))
    for image in (world.data / "datasets/s").glob("*.png"):
        image.unlink()
    want = (
        r"s\.ndjson is NDJSON of Ultralytics .* none of its 2 pictures lies beside it \(the first: a\.png\)"
    )
    with pytest.raises(InvalidDataError, match=want) as error:
        prepare(world, train=train)
    assert "convert_ndjson_to_yolo" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("records", "head", "want"),
    [
        (
            [picture("a.png", boxes=[[0, 0.5, 0.5, 0.2]])],
            HEAD,
            r"line 2: `boxes` holds \[0, 0.5, 0.5, 0.2\]; want",
        ),
        ([picture("a.png", boxes=[[0, 320, 240, 20, 20]])], HEAD, "line 2: `boxes` holds .* parts of 0 to 1"),
        ([picture("a.png", boxes=[[0, 10**400, 0, 1, 1]])], HEAD, "line 2: `boxes` holds"),
        (
            [picture("a.png", boxes=[[5, 0.5, 0.5, 0.2, 0.2]])],
            HEAD,
            "line 2: class 5 is not among `class_names`",
        ),
        ([{**picture("a.png", boxes=[BOX]), "width": None}], HEAD, "line 2: no `width` and `height` above 0"),
        ([{**picture("a.png"), "annotations": [1]}], HEAD, "line 2: `annotations` is no object of lists"),
        ([picture("a.png"), [1]], HEAD, "line 3 is no JSON object"),
        (
            [picture("a.png")],
            {**HEAD, "class_names": {"a": "x"}},
            "line 1: `class_names` is no object of names",
        ),
        (
            [picture("a.png")],
            {**HEAD, "task": "classify"},
            "has a class for each picture, which fits classify",
        ),
    ],
)
def test_records_that_are_none_are_refused(world: Any, records: list[Any], head: object, want: str) -> None:
    write(world, *records, head=head)
    with pytest.raises(InvalidDataError, match=rf"s\.ndjson.*{want}"):
        prepare(world)


def test_boxes_alone_are_no_outlines(world: Any) -> None:
    write(world, picture("a.png", boxes=[BOX]), picture("b.png"))
    with pytest.raises(InvalidDataError, match=r"all 1 labels of datasets/s/s\.ndjson are boxes"):
        prepare(world, "segment")


def test_names_that_lead_out_are_counted(world: Any) -> None:
    write(world, picture("a.png", boxes=[BOX]), picture("b.png", "val"))
    with (world.data / "datasets/s/s.ndjson").open("a") as file:
        file.write(json.dumps(picture("/etc/passwd")) + "\n\n")
    assert prepare(world).details.dataset.skipped == {"foreignPath": 1}


def test_classification_is_told_how_to_convert(world: Any) -> None:
    write(world, picture("a.png", classification=[[0]]), head={**HEAD, "task": "classify"})
    with pytest.raises(InvalidDataError, match="NDJSON of Ultralytics Platform, which is not read") as error:
        prepare(world, "classify")
    assert "convert_ndjson_to_yolo" in (error.value.hint or "")


def test_channels_of_the_first_line_go_on(world: Any) -> None:
    records = picture("a.png", boxes=[BOX]), picture("b.png", "val", boxes=[BOX])
    write(world, *records, head={**HEAD, "channels": 1})
    assert "channels: 1\n" in next(prepare(world).folder.glob("*.yaml")).read_text()
    write(world, *records, head={**HEAD, "channels": 4})
    with pytest.raises(InvalidDataError, match=r"s\.ndjson: `channels: 4` is not supported"):
        prepare(world)
