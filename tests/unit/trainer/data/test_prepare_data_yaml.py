"""What a data.yaml says: class names as they stand, keys that go on to Ultralytics, where its paths lead."""

from typing import Any

import pytest
import yaml

from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

ROW = "0 0.500000 0.500000 0.250000 0.250000\n"
POSE_ROW = ROW.strip() + " 0.5 0.5 2 0.6 0.6 2\n"


def prepare(world: Any, task: Task = "detect", **data: object) -> PreparedSet:
    given = {"train": "datasets/demo", **data}
    return prepare_dataset(world.volume, Data.model_validate(given), task, world.report)


def lay(world: Any, yaml: str, row: str = ROW, demo: str = "datasets/demo", file: str = "data.yaml") -> None:
    """Two training images, one for validation, and a data.yaml; `yaml` may give its own `train:`."""
    for shade, name in enumerate(("train/a", "train/b", "val/c")):
        world.image(f"{demo}/images/{name}.png", shade=shade * 40)
        world.text(f"{demo}/labels/{name}.txt", row)
    paths = "" if "train:" in yaml else "train: images/train\nval: images/val\n"
    world.text(f"{demo}/{file}", f"{paths}{yaml}\n")


def content(found: PreparedSet) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(found.data_path.read_text())
    return read


# --- names --------------------------------------------------------------------------------------------------

ODD = [
    "07",
    "08",
    "1_2",
    "12:30",
    "1.10",
    "1e3",
    "0x1F",
    "0o7",
    "yes",
    "Off",
    "null",
    "~",
    "2024-01-31",
    ".inf",
]


@pytest.mark.parametrize(
    "names",
    [
        f"names: [{', '.join(ODD)}]",
        "names:" + "".join(f"\n  - {name}" for name in ODD),
        "names:" + "".join(f"\n  {i}: {name}" for i, name in enumerate(ODD)),
        "names:" + "".join(f"\n  '{i}': {name}" for i, name in enumerate(ODD)),
        "names:" + "".join(f"\n  {i:03}: '{name}'" for i, name in enumerate(ODD)),
        "defaults: &d {names: [" + ", ".join(ODD) + "]}\n<<: *d",
    ],
)
def test_names_are_those_that_stand_in_the_file(world: Any, names: str) -> None:
    lay(world, names)
    found = prepare(world)
    assert list(found.details.dataset.classes) == ODD
    assert content(found)["names"] == dict(enumerate(ODD))


def test_names_that_yaml_makes_equal_are_two_classes(world: Any) -> None:
    lay(world, "names: [1_1, 11, 1.0, 1.00]", ROW + "1 0.5 0.5 0.5 0.5\n")
    assert prepare(world).details.dataset.classes == {"1_1": 3, "11": 3, "1.0": 0, "1.00": 0}
    found = prepare(world, labels=["11"]).details
    assert (found.dataset.classes, found.unknown_labels) == ({"11": 3}, {"1_1": 3})


def test_name_of_an_anchor_leaves_its_number_a_number(world: Any) -> None:
    lay(world, "nc: &n 1\nnames: [*n]")
    assert list(prepare(world).details.dataset.classes) == ["1"]


@pytest.mark.parametrize("given", ["1", "'1'", "1.0"])
def test_number_of_classes_may_be_text(world: Any, given: str) -> None:
    lay(world, f"names: [a]\nnc: {given}")
    assert list(prepare(world).details.dataset.classes) == ["a"]


@pytest.mark.parametrize("file", ["classes.txt", "obj.names", "names.txt"])
def test_names_beside_a_data_yaml_without_any_are_taken_and_told(world: Any, file: str) -> None:
    lay(world, "nc: 2")
    world.text(f"datasets/demo/{file}", "helmet\nperson\n")
    found = prepare(world).details
    assert list(found.dataset.classes) == ["helmet", "person"]
    assert f"data.yaml has no `names:`; they are taken from {file}" in found.warnings


def test_file_that_names_gives_is_read(world: Any) -> None:
    lay(world, "names: lists/our.names")
    world.text("datasets/demo/lists/our.names", "helmet\nperson\n")
    assert list(prepare(world).details.dataset.classes) == ["helmet", "person"]


@pytest.mark.parametrize(
    ("yaml", "files", "want"),
    [
        ("nc: 2", {"classes.txt": "a\n"}, r"`nc: 2` but 1 names in datasets/demo/classes\.txt"),
        (
            "nc: 1",
            {"classes.txt": "a\n", "obj.names": "b\n"},
            "classes.txt names the classes a, but .*obj.names names b",
        ),
        ("names: gone.txt", {}, "`names:` 'gone.txt' is not there; looked for datasets/demo/gone.txt"),
        ("names: helmet", {}, "`names:` 'helmet' is not there"),
        ("names: images", {}, "`names: images` is no file of names but a folder"),
    ],
)
def test_names_that_do_not_agree_are_refused(world: Any, yaml: str, files: dict[str, str], want: str) -> None:
    lay(world, yaml)
    for name, text in files.items():
        world.text(f"datasets/demo/{name}", text)
    with pytest.raises(InvalidDataError, match=want):
        prepare(world)


@pytest.mark.parametrize("names", ["", "names:", "names: ''", "names: []", "names: {}"])
def test_classes_of_a_number_alone_are_called_so_and_told(world: Any, names: str) -> None:
    lay(world, f"{names}\nnc: 2")
    found = prepare(world).details
    assert list(found.dataset.classes) == ["class_0", "class_1"]
    want = "data.yaml has `nc: 2` and no `names:`; its classes are called class_0, class_1"
    assert want in found.warnings
    with pytest.raises(InvalidDataError, match=f"template.data.labels: helmet: {want}") as error:
        prepare(world, labels=["helmet"])
    assert error.value.hint == "write `names:` into the data.yaml, or leave template.data.labels empty"


def test_data_yaml_without_names_and_number_says_so(world: Any) -> None:
    lay(world, "")
    with pytest.raises(
        InvalidDataError, match=r"labels is empty .*; data\.yaml has neither `names:` nor `nc:`"
    ):
        prepare(world)
    found = prepare(world, labels=["a"]).details
    assert "data.yaml has neither `names:` nor `nc:`" in found.warnings[0]


def test_name_that_ultralytics_takes_for_a_code_of_imagenet_is_told(world: Any) -> None:
    lay(world, "names: [n0ise, a]")
    with pytest.raises(InvalidDataError, match=r"'n0ise'.* a code of ImageNet .* where 'n0ise' is not"):
        prepare(world)
    assert prepare(world, labels=["a", "n0ise"]).details.dataset.classes == {"a": 0, "n0ise": 3}
    lay(world, "names: [n01440764, n01443537]")
    assert "n01440764 … are codes of ImageNet to Ultralytics" in prepare(world).details.warnings[0]


# --- keys that go on ----------------------------------------------------------------------------------------


def test_channels_go_on(world: Any) -> None:
    lay(world, "names: [a]")
    plain = prepare(world)
    assert "channels" not in content(plain)
    lay(world, "names: [a]\nchannels: 3")
    assert prepare(world).folder == plain.folder
    lay(world, "names: [a]\nchannels: 1")
    grey = prepare(world)
    assert content(grey)["channels"] == 1
    assert grey.folder != plain.folder


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ("10", r"`channels: 10` is not supported: images of 1 channel \(grey\) or 3 \(colour\)"),
        ("4", "`channels: 4` is not supported"),
        ("0", "`channels: 0` is neither 1 nor 3"),
        ("true", "`channels: True` is neither"),
        ("1.0", r"`channels: 1\.0` is neither"),
        ("'1'", "`channels: '1'` is neither"),
        ("[1]", "is neither 1 nor 3"),
    ],
)
def test_channels_that_cannot_be_followed_are_refused(world: Any, given: str, want: str) -> None:
    lay(world, f"names: [a]\nchannels: {given}")
    with pytest.raises(InvalidDataError, match=rf"template\.data\.train: datasets/demo/data\.yaml: .*{want}"):
        prepare(world)


def test_one_model_reads_one_number_of_channels(world: Any) -> None:
    lay(world, "names: [a]\nchannels: 1")
    lay(world, "names: [a]", demo="datasets/other")
    with pytest.raises(InvalidDataError, match=r"template\.data\.val: .*3 channels, the training data of 1"):
        prepare(world, val="datasets/other")


def test_names_and_sigmas_of_keypoints_go_on(world: Any) -> None:
    pose = "names: [a, b]\nkpt_shape: [2, 3]\nkpt_oks_sigmas: [0.026, 1]\n"
    lay(world, pose + "kpt_names: {0: [no, 07], 1: [x, y]}", POSE_ROW)
    found = content(prepare(world, "pose"))
    assert found["kpt_names"] == {0: ["no", "07"], 1: ["x", "y"]}
    assert found["kpt_oks_sigmas"] == [0.026, 1.0]
    chosen = content(prepare(world, "pose", labels=["b", "a"]))
    assert chosen["kpt_names"] == {0: ["x", "y"], 1: ["no", "07"]}
    lay(world, pose + "kpt_names: [u, v]", POSE_ROW)
    assert content(prepare(world, "pose"))["kpt_names"] == {0: ["u", "v"], 1: ["u", "v"]}
    lay(world, pose + "kpt_names: [u, v]")
    assert "kpt_names" not in content(prepare(world))


@pytest.mark.parametrize(
    ("yaml", "want"),
    [
        ("kpt_names: {0: [x]}", "`kpt_names:` does not give 2 names"),
        ("kpt_names: nose", "`kpt_names:` does not give 2 names"),
        ("kpt_names: {a: [x, y]}", "`kpt_names:` does not give 2 names"),
        ("kpt_oks_sigmas: [0.1]", "`kpt_oks_sigmas:` is not 2 numbers above 0"),
        ("kpt_oks_sigmas: [0.1, 0]", "`kpt_oks_sigmas:` is not 2 numbers above 0"),
        ("kpt_oks_sigmas: [0.1, .nan]", "`kpt_oks_sigmas:` is not 2 numbers above 0"),
    ],
)
def test_keypoint_keys_that_cannot_be_followed_are_refused(world: Any, yaml: str, want: str) -> None:
    lay(world, f"names: [a]\nkpt_shape: [2, 3]\n{yaml}", POSE_ROW)
    with pytest.raises(InvalidDataError, match=want):
        prepare(world, "pose")


def test_keys_that_nobody_reads_are_named(world: Any) -> None:
    known = "path: .\ntest: images/test\nroboflow: {project: x}\nmasks_dir: masks\nflip_idx: []\n"
    lay(world, f"train: images/train\nval: images/val\nnames: [a]\n{known}")
    assert prepare(world).details.warnings == []
    lay(world, "names: [a]\nchannel: 1\nlicense: MIT\ndepth_scale: 2")
    assert prepare(world).details.warnings == [
        "data.yaml: keys that are not read: channel, license, depth_scale"
    ]


# --- paths --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "yaml"),
    [
        ("cfg/demo.yaml", "train: ../images/train\nval: ../images/val"),
        ("cfg/demo.yaml", "path: ..\ntrain: images/train\nval: images/val"),
        ("cfg/demo.yaml", "path: ../\ntrain: ./images/train\nval: ./images/val"),
        ("cfg/a/demo.yaml", "path: ../..\ntrain: images/train\nval: images/val"),
        ("cfg/a/demo.yaml", "train: ..\\..\\images\\train\nval: ..\\..\\images\\val"),
        ("../../demo.yaml", "path: ../datasets/demo\ntrain: images/train\nval: images/val"),
        ("../../demo.yaml", "path: datasets/demo\ntrain: images/train\nval: images/val"),
        ("../../cfg/demo.yaml", "path: ../datasets/demo\ntrain: images/train\nval: images/val"),
        ("../../cfg/demo.yaml", "path: ../demo\ntrain: images/train\nval: images/val"),
        ("../../cfg/demo.yaml", "train: ../datasets/demo/images/train\nval: ../datasets/demo/images/val"),
        ("../../cfg/demo.yaml", "train: ../demo/images/train\nval: demo/images/val"),
        ("data.yaml", "train: ../images/train\nval: ../../images/val"),
        ("data.yaml", "train: ../demo/images/train\nval: ../demo/images/val"),
        ("data.yaml", "train: /home/me/demo/images/train\nval: C:\\me\\demo\\images\\val"),
        ("../../demo.yaml", "path: /content/data/datasets/demo\ntrain: images/train\nval: images/val"),
        ("data.yaml", "path: /home/me/elsewhere\ntrain: images/train\nval: images/val"),
    ],
)
def test_paths_are_taken_as_they_stand_or_without_their_dots(world: Any, file: str, yaml: str) -> None:
    (world.data / "datasets/demo/cfg/a").mkdir(parents=True)
    (world.data / "cfg").mkdir()
    lay(world, f"{yaml}\nnames: [a]", file=file)
    place = (world.data / "datasets/demo" / file).resolve().relative_to(world.data)
    found = prepare(world, train=str(place)).details.dataset
    assert (found.train_images, found.val_images) == (2, 1)


def test_description_in_cfg_that_is_not_read_is_named(world: Any) -> None:
    (world.data / "datasets/demo/cfg").mkdir(parents=True)
    lay(world, "path: ..\ntrain: images/train\nnames: [a]", file="cfg/demo.yaml")
    want = "cfg/demo.yaml describes a data set and is not read: name the file itself"
    assert want in prepare(world, labels=["x"]).details.warnings
    with pytest.raises(InvalidDataError, match=f"gives classes no order; {want}"):
        prepare(world)


def test_dots_are_only_taken_off_where_they_lead_to_nothing(world: Any) -> None:
    lay(world, "train: ../other/train\nval: images/val\nnames: [a]")
    world.image("datasets/other/train/x.png", shade=99)
    world.text("datasets/other/train/x.txt", ROW)
    world.image("datasets/demo/other/train/y.png", shade=98)
    found = prepare(world).details
    assert found.skipped_names["elsewhere"] == ["datasets/other/train/x.png"]


def test_own_folder_goes_before_a_namesake_on_the_volume(world: Any) -> None:
    """Roboflow's `../train/images`, with another set unpacked at the top of the volume."""
    lay(world, "train: ../train/images\nval: ../valid/images\nnames: [a]")
    for shade, folder in enumerate(("train", "datasets/demo/train", "datasets/demo/valid", "valid")):
        world.image(f"{folder}/images/{shade}.png", shade=shade)
        world.text(f"{folder}/labels/{shade}.txt", ROW)
    found = prepare(world)
    assert sorted(p.name for p in found.folder.glob("images/*/*")) == ["1.png", "2.png"]


@pytest.mark.parametrize(
    ("yaml", "want"),
    [
        ("train: gone", "`train:` 'gone' is not there; looked for datasets/demo/gone, gone, datasets/gone"),
        ("train: ../gone", "looked for datasets/gone, datasets/demo/gone, gone"),
        ("train: images/train\nval: gone", "`val:` 'gone' is not there; looked for datasets/demo/gone"),
        ("train: images/gone.txt", "looked for datasets/demo/images/gone.txt"),
        (
            "train: /home/me/gone",
            "`train:` '/home/me/gone' is not below the data volume, and nothing there ends",
        ),
        ("train: https://example.org/gone", "'https://example.org/gone' is not below the data volume"),
        ("path: ../../../..\ntrain: images/train", "`path:` '../../../..' leads out of the data volume"),
        ("path: 3\ntrain: images/train", "`path:` is no text"),
        (
            "train: /m/1/train\nval: /m/2/train",
            "are paths of another machine that both end as datasets/demo/train",
        ),
    ],
)
def test_place_that_is_not_there_is_told_with_all_that_were_tried(world: Any, yaml: str, want: str) -> None:
    lay(world, f"{yaml}\nnames: [a]")
    world.image("datasets/demo/train/x.png")
    with pytest.raises(
        InvalidDataError, match=r"^template\.data\.train: datasets/demo/data\.yaml: "
    ) as error:
        prepare(world)
    assert want in error.value.message


def test_path_of_another_machine_is_not_followed_to_a_namesake(world: Any) -> None:
    lay(world, "path: /home/me/coco\ntrain: images/train\nval: images/val\nnames: [a]")
    world.image("datasets/coco/images/train/x.png", shade=99)
    found = prepare(world).details
    assert (found.dataset.train_images, found.dataset.skipped) == (2, {})
    assert "the file's own folder is taken" in found.warnings[0]


def test_entry_of_another_machine_that_ends_as_two_folders_is_refused(world: Any) -> None:
    lay(world, "path: sub\ntrain: /home/me/pictures\nnames: [a]")
    for folder in ("sub/pictures", "pictures"):
        world.image(f"datasets/demo/{folder}/x.png")
    want = "ends as datasets/demo/sub/pictures and datasets/demo/pictures do"
    with pytest.raises(InvalidDataError, match=want):
        prepare(world)


def test_link_out_of_the_volume_is_no_place(world: Any, tmp_path: Any) -> None:
    (tmp_path / "outside").mkdir()
    lay(world, "train: more/images\nnames: [a]", file="cfg/demo.yaml")
    (world.data / "datasets/demo/cfg/more").symlink_to(tmp_path / "outside")
    with pytest.raises(InvalidDataError, match="`train:` 'more/images' leads out of the data volume"):
        prepare(world, train="datasets/demo/cfg/demo.yaml")


def test_names_that_are_no_list_are_told_how_to_be_written(world: Any) -> None:
    lay(world, "names: cat, dog")
    with pytest.raises(InvalidDataError, match="`names:` 'cat, dog' is not there") as error:
        prepare(world)
    assert "names: [helmet, person]" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        ("[cat, dog]\nnc: 3", "write `nc: 2` or leave it out, if the names are right: cat, dog"),
        ("{1: cat, 2: dog}", "number the names as the rows of the label files do, from 0 and without gaps"),
        ("[cat]", "the data set's classes are 0 cat: correct the row, or name class 1 there, too"),
    ],
)
def test_hint_says_what_to_correct_in_this_set(world: Any, names: str, hint: str) -> None:
    lay(world, f"names: {names}")
    for file in (world.data / "datasets/demo").rglob("labels/**/*.txt"):
        file.write_text("1 0.5 0.5 0.2 0.2\n")
    with pytest.raises(InvalidDataError) as error:
        prepare(world)
    assert error.value.hint == hint
