"""Darknet's obj.data as CVAT and Datumaro write it: lists that are followed, and what is told of others."""

from typing import Any

import pytest

from yolo_crds.training import Data
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError


def prepare(world: Any, **data: object) -> PreparedSet:
    given = Data.model_validate({"train": "datasets/dm", **data})
    return prepare_dataset(world.volume, given, "detect", world.report)


def export(world: Any, subsets: dict[str, str], entries: str = "") -> None:
    """Subsets by their key with the names of their images; every image has a box of class 0."""
    shade = 0
    lines = ["classes = 2"]
    for key, stems in subsets.items():
        for stem in stems:
            shade += 9
            world.image(f"datasets/dm/obj_{key}_data/{stem}.png", shade=shade)
            world.text(f"datasets/dm/obj_{key}_data/{stem}.txt", "0 0.5 0.5 0.2 0.2\n")
        world.text(f"datasets/dm/{key}.txt", "".join(f"data/obj_{key}_data/{s}.png\n" for s in stems))
        lines.append(f"{key} = data/{key}.txt")
    world.text("datasets/dm/obj.names", "zeb\napp\n")
    world.text("datasets/dm/obj.data", "\n".join([*lines, "names = data/obj.names", entries]))


def stems(found: PreparedSet, split: str) -> set[str]:
    return {p.stem for p in found.folder.glob(f"images/{split}/*")}


def told(found: PreparedSet) -> list[str]:
    return [warning for warning in found.details.warnings if "obj.data" in warning]


@pytest.mark.parametrize("key", ["valid", "val", "validation", "Validation"])
def test_validation_list_is_taken_by_each_of_its_names(world: Any, key: str) -> None:
    export(world, {"train": "abcd", key: "e"}, "backup = backup/")
    found = prepare(world)
    assert (stems(found, "train"), stems(found, "val")) == (set("abcd"), {"e"})
    assert told(found) == []


def test_entries_that_are_not_followed_are_named(world: Any) -> None:
    export(
        world, {"train": "abcd", "val": "e", "test": "f", "extra": "g"}, "backup = backup/\n[names]\n# note\n"
    )
    found = prepare(world)
    assert (stems(found, "train"), stems(found, "val")) == (set("abcd"), {"e"})
    line, others = told(found)
    assert line == "obj.data, line 8: '[names]' is no `key = value` and not read"
    assert others == "obj.data: not followed: `test = data/test.txt`, `extra = data/extra.txt`"


def test_test_list_validates_where_there_is_no_other(world: Any) -> None:
    export(world, {"train": "abcd", "test": "f"})
    found = prepare(world)
    assert stems(found, "val") == {"f"}
    assert told(found) == ["obj.data has no `valid =`; its `test = data/test.txt` validates"]


def test_number_of_classes_that_is_another_is_told(world: Any) -> None:
    export(world, {"train": "ab"}, "")
    world.text("datasets/dm/obj.names", "a\nb\nc\n")
    assert told(prepare(world)) == ["obj.data has `classes = 2`, obj.names has 3 names: taken"]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("default = data/train.txt\nnames = obj.names", "has no `train =`, found `default`, `names`"),
        ("valid = x.txt\nnames = data/obj.names", "want `train = …` .* found `valid`, `names`"),
        (
            "train = data/train.txt\nval = data/none.txt\nnames = obj.names",
            "`val =` 'data/none.txt' is not there",
        ),
        (
            "train = a.txt\ntrain = data/train.txt\nnames = obj.names",
            "line 2: `train` is given twice, 'a.txt' and",
        ),
    ],
)
def test_obj_data_that_cannot_be_followed_is_refused(world: Any, text: str, want: str) -> None:
    export(world, {"train": "ab"})
    world.text("datasets/dm/obj.data", text)
    with pytest.raises(InvalidDataError, match=want):
        prepare(world)


def test_description_of_another_name_is_found(world: Any) -> None:
    export(world, {"train": "ab", "valid": "c"})
    want = prepare(world).folder
    (world.data / "datasets/dm/obj.data").rename(world.data / "datasets/dm/voc.data")
    assert prepare(world).folder == prepare(world, train="datasets/dm/voc.data").folder == want


def test_images_with_an_empty_label_file_are_named(world: Any) -> None:
    """Datumaro writes one for an image whose objects are polygons or masks: findings/datumaro-darknet-…"""
    export(world, {"train": "abcd", "valid": "e"})
    world.text("datasets/dm/obj_train_data/b.txt", "")
    found = prepare(world)
    assert found.details.dataset.skipped == {"emptyLabelFile": 1}
    assert found.details.skipped_names["emptyLabelFile"] == ["datasets/dm/obj_train_data/b.png"]
    assert found.details.dataset.backgrounds == 1


def test_validation_list_that_no_entry_names_is_told(world: Any) -> None:
    export(world, {"train": "abc", "valid": "d"})
    file = world.data / "datasets/dm/obj.data"
    file.write_text(file.read_text().replace("valid = data/valid.txt\n", ""))
    found = prepare(world)
    assert stems(found, "train") | stems(found, "val") == set("abc")
    assert told(found) == [
        "obj.data has no `valid =`, and valid.txt beside it is not read: "
        "write `valid = data/valid.txt` if it is to validate"
    ]


def test_many_lines_that_are_no_entry_are_told_in_one_sentence(world: Any) -> None:
    export(world, {"train": "abc", "valid": "d"}, "\n".join("some words" for _ in range(50)))
    assert told(prepare(world)) == [
        "obj.data, line 5: 'some words' is no `key = value` and not read, and nor are 49 further lines"
    ]
