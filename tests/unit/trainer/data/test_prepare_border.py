"""Where the files of a data set may lie: one border for all formats, and what beyond the set is told."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from dataset_writers import coco_content, labelme_content, voc_text
from yolo_crds.training import Data
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

ROW = "0 0.500000 0.500000 0.250000 0.250000\n"
BOX = [("helmet", 1, 1, 20, 20)]
Write = Callable[[Any, str], None]
"""Lays a data set `datasets/demo` of one image of its own, `a.png`, and one more that is named so."""


def prepare(world: Any, **data: object) -> PreparedSet:
    given = {"train": "demo", "labels": ["helmet"], **data}
    return prepare_dataset(world.volume, Data.model_validate(given), "detect", world.report)


def image(world: Any, path: str) -> None:
    """An image, its content told by its path, and rows of YOLO beside it."""
    world.image(path, shade=sum(map(ord, path)))
    world.text(path.rpartition(".")[0] + ".txt", ROW)


def listed(world: Any, name: str) -> None:
    world.text("datasets/demo/data.yaml", "train: train.txt\nnames: [helmet]\n")
    world.text("datasets/demo/train.txt", f"a.png\n{name}\n")


def darknet(world: Any, name: str) -> None:
    world.text("datasets/demo/obj.data", "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\n")
    world.text("datasets/demo/obj.names", "helmet\n")
    world.text("datasets/demo/train.txt", f"data/a.png\n{name}\n")


def coco(world: Any, name: str) -> None:
    world.text("datasets/demo/all.json", json.dumps(coco_content({"a.png": BOX, name: BOX})))


def labelme(world: Any, name: str) -> None:
    for stem, path in (("a", "a.png"), ("stray", name)):
        world.text(f"datasets/demo/{stem}.json", json.dumps(labelme_content(path, BOX)))


def voc(world: Any, name: str) -> None:
    for stem, path in (("a", "a.png"), ("stray", name)):
        world.text(f"datasets/demo/{stem}.xml", voc_text(path, BOX))


FORMATS = [listed, darknet, coco, labelme, voc]


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("name", ["../other/b.png", "..\\other\\b.png", "{volume}/datasets/other/b.png"])
def test_image_of_the_volume_beyond_the_set_is_taken_and_told(world: Any, write: Write, name: str) -> None:
    image(world, "datasets/demo/a.png")
    image(world, "datasets/other/b.png")
    write(world, name.format(volume=world.data))
    found = prepare(world).details
    assert (found.dataset.images, found.dataset.skipped) == (2, {"elsewhere": 1})
    assert "own folder, taken: 1 (datasets/other/b.png)" in found.warnings[-1]


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize(
    "name", ["/home/me/old/sub/b.png", "C:\\me\\old\\sub\\b.png", "https://example.org/old/sub/b.png"]
)
def test_path_of_another_machine_is_matched_by_its_end(world: Any, write: Write, name: str) -> None:
    image(world, "datasets/demo/a.png")
    image(world, "datasets/demo/new/sub/b.png")
    image(world, "datasets/demo/new/b.png")
    write(world, name)
    found = prepare(world).details
    assert found.dataset.skipped["matchedPath"] == 1
    assert found.skipped_names["matchedPath"][0].endswith("sub/b.png is datasets/demo/new/sub/b.png")
    assert "elsewhere" not in found.dataset.skipped


@pytest.mark.parametrize("write", FORMATS)
def test_path_of_another_machine_that_ends_as_two_files_is_refused(world: Any, write: Write) -> None:
    for path in ("a.png", "one/b.png", "two/b.png"):
        image(world, f"datasets/demo/{path}")
    write(world, "/home/me/old/b.png")
    want = r"template.data.train: '/home/me/old/b.png' .* ends as datasets/demo/\w+/b.png and datasets/demo/"
    with pytest.raises(InvalidDataError, match=want):
        prepare(world)


@pytest.mark.parametrize("write", [listed, darknet, coco])
def test_two_paths_of_another_machine_are_not_one_file(world: Any, write: Write) -> None:
    image(world, "datasets/demo/a.png")
    image(world, "datasets/demo/b.png")
    name = "/home/me/two/b.png"
    write(world, name)
    text = "train.txt" if write is not coco else "all.json"
    file = world.data / "datasets/demo" / text
    if write is coco:
        file.write_text(json.dumps(coco_content({"/home/me/one/b.png": BOX, name: BOX})))
    else:
        file.write_text(f"/home/me/one/b.png\n{name}\n")
    with pytest.raises(InvalidDataError, match=r"'/home/me/one/b.png' and '/home/me/two/b.png' .* end as"):
        prepare(world)


@pytest.mark.parametrize("write", [listed, darknet, coco])
def test_path_of_another_machine_without_a_match_is_named(world: Any, write: Write) -> None:
    image(world, "datasets/demo/a.png")
    write(world, "/home/me/old/b.png")
    found = prepare(world).details
    assert found.dataset.skipped == {"foreignPath": 1}
    assert found.skipped_names["foreignPath"] == ["'/home/me/old/b.png'"]


def test_absolute_path_below_a_link_to_the_volume_is_on_it(world: Any, tmp_path: Any) -> None:
    image(world, "datasets/demo/a.png")
    image(world, "datasets/demo/b.png")
    (tmp_path / "mount").symlink_to(world.data)
    listed(world, str(tmp_path / "mount/datasets/demo/b.png"))
    assert (prepare(world).details.dataset.images, prepare(world).details.dataset.skipped) == (2, {})


def test_link_counts_by_what_it_leads_to(world: Any) -> None:
    image(world, "datasets/demo/a.png")
    image(world, "store/b.png")
    (world.data / "datasets/demo/b.png").symlink_to("../../store/b.png")
    world.text("datasets/demo/b.txt", ROW)
    found = prepare(world).details
    assert (found.dataset.images, found.dataset.skipped) == (2, {"elsewhere": 1})
    assert found.skipped_names["elsewhere"] == ["store/b.png"]


def test_parts_of_a_set_are_not_elsewhere(world: Any) -> None:
    """An annotation file in a folder of its own names images beside that folder."""
    image(world, "datasets/demo/images/a.png")
    world.text("datasets/demo/annotations/train.json", json.dumps(coco_content({"a.png": BOX})))
    found = prepare(world, train="datasets/demo/annotations/train.json").details
    assert found.dataset.skipped == {}


def linked(world: Any) -> None:
    """A data set whose folders of training images and labels each hold a link to one elsewhere."""
    for kind, ending in (("images", "png"), ("labels", "txt")):
        for split, name in (("train", "a"), ("val", "c")):
            place = f"datasets/demo/{kind}/{split}/{name}.{ending}"
            _ = world.image(place, shade=ord(name)) if ending == "png" else world.text(place, ROW)
        (world.data / f"datasets/demo/{kind}/train/more").symlink_to(f"../../../../store/{kind}")
    world.image("store/images/deep/b.png", shade=7)
    world.text("store/labels/deep/b.txt", ROW)


@pytest.mark.parametrize("yaml", [None, "data.yaml", "cfg/demo.yaml"])
def test_folder_behind_a_link_on_the_volume_is_read(world: Any, yaml: str | None) -> None:
    linked(world)
    if yaml:
        up = "../" if "/" in yaml else ""
        text = f"train: {up}images/train\nval: {up}images/val\nnames: [helmet]\n"
        world.text(f"datasets/demo/{yaml}", text)
    found = prepare(world, train=f"datasets/demo/{yaml}" if yaml else "demo").details
    assert (found.dataset.train_images, found.dataset.val_images) == (2, 1)
    assert (found.dataset.boxes, found.dataset.skipped) == (3, {"elsewhere": 1})
    assert found.skipped_names["elsewhere"] == ["store/images/deep/b.png"]


def test_links_in_a_ring_end(world: Any) -> None:
    linked(world)
    (world.data / "store/images/deep/up").symlink_to("..")
    (world.data / "datasets/demo/images/train/all").symlink_to("../..")
    (world.data / "store/images/deep/back").symlink_to("../../../datasets/demo/images/train")
    assert prepare(world).details.dataset.train_images == 2


def test_folder_behind_a_link_out_is_refused_before_it_is_listed(world: Any, tmp_path: Any) -> None:
    linked(world)
    world.text("datasets/demo/data.yaml", "train: images/train\nnames: [helmet]\n")
    (tmp_path / "outside").mkdir()
    (world.data / "datasets/demo/images/train/out").symlink_to(tmp_path / "outside")
    for train in ("demo", "datasets/demo/data.yaml"):
        with pytest.raises(
            InvalidDataError, match=r"datasets/demo/images/train/out leads out of the data volume"
        ):
            prepare(world, train=train)


@pytest.mark.parametrize("name", ["b.json", "b.xml", "b.txt"])
def test_file_behind_two_links_out_is_refused(world: Any, tmp_path: Any, name: str) -> None:
    linked(world)
    (tmp_path / "secret").write_text("hush")
    (world.data / "store/labels" / name).symlink_to(tmp_path / "secret")
    with pytest.raises(
        InvalidDataError, match=rf"demo/labels/train/more/{name} leads out of the data volume"
    ):
        prepare(world)


def test_folder_behind_a_link_that_is_called_as_an_image_is_not_listed(world: Any, tmp_path: Any) -> None:
    linked(world)
    (tmp_path / "outside").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "outside/x.png")
    (world.data / "datasets/demo/images/train/out.png").symlink_to(tmp_path / "outside")
    assert prepare(world).details.dataset.skipped == {"elsewhere": 1}


@pytest.mark.parametrize("split", ["train", "val"])
def test_label_file_that_is_a_link_out_is_refused_by_its_field(world: Any, split: str) -> None:
    """A data.yaml named by itself: its folder is not looked through for links."""
    outside = world.data.parent / "label.txt"
    outside.write_text("0 0.5 0.5 0.2 0.2\n")
    for part in ("train", "val"):
        image(world, f"datasets/{part}/images/a.png")
        world.text(f"datasets/{part}/labels/a.txt", "0 0.5 0.5 0.2 0.2\n")
        world.text(f"datasets/{part}/data.yaml", "train: images\nnames: [cat]\n")
    link = world.data / f"datasets/{split}/labels/a.txt"
    link.unlink()
    link.symlink_to(outside)
    data = {"train": "datasets/train/data.yaml", "val": "datasets/val/data.yaml"}
    want = f"^template.data.{split}: datasets/{split}/labels/a.txt leads out of the data volume$"
    with pytest.raises(InvalidDataError, match=want) as error:
        prepare_dataset(world.volume, Data.model_validate(data), "detect", world.report)
    assert error.value.hint == "put the file itself there, not a link to it"


@pytest.mark.parametrize("name", ["classes.txt", "obj.names", "any.names", "notes.json"])
@pytest.mark.parametrize("named", ["data.yaml", "list.txt", "images"])
def test_class_names_behind_a_link_out_are_not_read(world: Any, name: str, named: str) -> None:
    """What is named is a part of the set, whose folder is not looked through for links."""
    outside = world.data.parent / "secret"
    outside.write_text('{"categories": [{"id": 0, "name": "secret"}]}')
    for i in range(2):
        image(world, f"datasets/demo/images/a{i}.png")
        world.text(f"datasets/demo/labels/a{i}.txt", "0 0.5 0.5 0.2 0.2\n")
    world.text("datasets/demo/data.yaml", "train: images\n")
    world.text("datasets/demo/list.txt", "images/a0.png\nimages/a1.png\n")
    (world.data / "datasets/demo" / name).symlink_to(outside)
    data = Data.model_validate({"train": f"datasets/demo/{named}"})
    want = f"^template.data.train: datasets/demo/{name} leads out of the data volume$"
    with pytest.raises(InvalidDataError, match=want):
        prepare_dataset(world.volume, data, "detect", world.report)


def test_many_paths_of_another_machine_in_a_data_yaml_are_told_in_few_words(world: Any) -> None:
    entries = []
    for i in range(9):
        image(world, f"datasets/demo/p{i}/images/a{i}.png")
        world.text(f"datasets/demo/p{i}/labels/a{i}.txt", "0 0.5 0.5 0.2 0.2\n")
        entries.append(f"/home/me/p{i}/images")
    world.text("datasets/demo/data.yaml", f"train: [{', '.join(entries)}]\nnames: [helmet]\n")
    told = [w for w in prepare(world).details.warnings if "of another machine" in w]
    assert (len(told), told[-1]) == (4, "data.yaml: further paths of another machine are taken likewise")
