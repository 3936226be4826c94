"""`data.image`: every format from an image volume, copies that outlive it, and what tells images apart."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataset_writers import NAMES, WRITERS, Truth, make_truth, pack_tar, pack_zip, write_images
from prepared_sets import prepare_stage
from yolo_crds.training import Data
from yolo_trainer.data import inspection
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.data.images import ImageFacts, verify_image
from yolo_trainer.data.manifest import first_changed, read_manifest
from yolo_trainer.data.tree import UNTOLD, Tree
from yolo_trainer.errors import InvalidDataError

TAG = "registry.example.org/sets/helmets:v1"
DIGEST = f"registry.example.org/sets/helmets@sha256:{'a' * 64}"
LAYER_TIME = 315_532_800  # 1980-01-01: what builders of images set every file to


@pytest.fixture
def image(world: Any) -> Path:
    """Where the image is mounted."""
    folder: Path = world.data.with_name("dataset")
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make_truth(8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, truth: Truth) -> Path:
    return write_images(tmp_path_factory.mktemp("pictures"), truth)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that were read, as they are read."""
    names: list[str] = []

    def spy(facts: ImageFacts, *, decode: bool) -> ImageFacts:
        names.append(Path(facts.path).name)
        return verify_image(facts, decode=decode)

    monkeypatch.setattr(inspection, "verify_image", spy)
    return names


def prepare(world: Any, image: Path, train: str = ".", reference: str = TAG, **data: object) -> PreparedSet:
    given = {"train": train, "image": reference, "labels": NAMES, **data}
    return prepare_dataset(world.volume, Data.model_validate(given), "detect", world.report, image)


def set_times(folder: Path) -> None:
    """As the layers of an image leave them."""
    for path in folder.rglob("*"):
        os.utime(path, (LAYER_TIME, LAYER_TIME))


def yolo(image: Path, pictures: Path, truth: Truth) -> None:
    WRITERS["yolo"][1](image, pictures, truth)
    set_times(image)


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_read_from_an_image_and_outlives_it(
    world: Any, image: Path, pictures: Path, truth: Truth, name: str
) -> None:
    on_volume = world.data / "datasets/demo"
    on_volume.mkdir()
    WRITERS[name][1](on_volume, pictures, truth)
    given = Data.model_validate({"train": "demo", "labels": NAMES})
    want = prepare_dataset(world.volume, given, "detect", world.report)
    shutil.rmtree(world.volume.prepared)
    shutil.move(on_volume, image / "demo")
    before = world.snapshot(image)

    found = prepare(world, image, "demo")
    assert found.folder == want.folder
    assert world.snapshot(image) == before
    shutil.rmtree(image)
    files = list((found.folder / "images").rglob("*.png"))
    assert len(files) == len(truth)
    assert not any(file.is_symlink() for file in files)
    manifest = read_manifest(found.folder)
    assert manifest is not None
    assert first_changed(manifest, world.data, world.report) is None
    assert {entry.image for entry in manifest.entries()} == {TAG}


@pytest.mark.parametrize(
    ("file", "pack"), [("export.zip", pack_zip), ("export.tar", pack_tar), ("export.tar.gz", pack_tar)]
)
def test_archive_in_an_image_is_unpacked_onto_the_data_volume(
    world: Any,
    image: Path,
    pictures: Path,
    truth: Truth,
    tmp_path: Path,
    file: str,
    pack: Callable[[Path, Path], Path],
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    yolo(made, pictures, truth)
    pack(made, image / file)
    before = world.snapshot(image)
    found = prepare(world, image, file)
    assert world.snapshot(image) == before
    links = list((found.folder / "images").rglob("*.png"))
    assert len(links) == len(truth)
    assert all(link.resolve().is_relative_to(world.volume.unpacked.resolve()) for link in links)


def test_ucd_data_set_is_found_by_name_with_its_pictures(
    world: Any, image: Path, pictures: Path, truth: Truth
) -> None:
    WRITERS["ucd"][1](image / "ucd", pictures, truth)
    (image / "ucd/img_cache").rename(image / "img_cache")
    (file,) = (image / "ucd").glob("*.json")
    assert prepare(world, image, file.stem).details.dataset.images == len(truth)


def test_same_picture_on_the_volume_is_no_substitute(world: Any, image: Path) -> None:
    world.many(count=2)  # the volume's pictures lie where the image has none
    (image / "ucd").mkdir()
    shutil.copy(world.data / "ucd/many.json", image / "ucd/many.json")
    with pytest.raises(InvalidDataError, match="file missing: 2"):
        prepare(world, image, "many", labels=["a"])


@pytest.mark.parametrize("reference", [TAG, DIGEST])
def test_second_prepare_opens_no_image(
    world: Any, image: Path, pictures: Path, truth: Truth, opened: list[str], reference: str
) -> None:
    yolo(image, pictures, truth)
    first = prepare(world, image, reference=reference)
    assert len(opened) == len(truth)
    opened.clear()
    assert prepare(world, image, reference=reference) == first
    assert prepare(world, image, reference=reference, seed=7).details.dataset.images == len(truth)
    assert opened == []


def test_moved_tag_of_equal_sizes_and_times_is_another_state(
    world: Any, image: Path, pictures: Path, truth: Truth, opened: list[str]
) -> None:
    yolo(image, pictures, truth)
    first = prepare(world, image)
    opened.clear()
    a, b = sorted((image / "images").rglob("*.png"))[:2]
    assert a.stat().st_size == b.stat().st_size
    a.write_bytes(b.read_bytes())
    set_times(image)  # touches all, as unpacking the layer anew would
    second = prepare(world, image)
    assert second.folder != first.folder
    assert len(opened) == len(truth)


def test_another_digest_is_another_state(
    world: Any, image: Path, pictures: Path, truth: Truth, opened: list[str]
) -> None:
    yolo(image, pictures, truth)
    first = prepare(world, image, reference=DIGEST)
    opened.clear()
    again = prepare(world, image, reference=DIGEST.replace("a" * 64, "b" * 64))
    assert again.folder == first.folder  # the same content after all
    assert len(opened) == len(truth)


@pytest.mark.parametrize(
    ("image", "inode_ns", "want"),
    [
        (None, 1_700_000_000_123_456_789, 0),
        (DIGEST, 1_700_000_000_123_456_789, 0),
        (TAG, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (TAG, LAYER_TIME * 10**9, UNTOLD),
    ],
)
def test_tree_state(tmp_path: Path, image: str | None, inode_ns: int, want: int) -> None:
    class Found:
        st_size = 5
        st_mtime_ns = LAYER_TIME * 10**9
        st_ctime_ns = inode_ns

    assert Tree(image=image).state(Found()) == (5, LAYER_TIME * 10**9, want)  # type: ignore[arg-type]


def test_images_that_repeat_the_layers_time_are_read_each_time(
    world: Any,
    image: Path,
    pictures: Path,
    truth: Truth,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    yolo(image, pictures, truth)
    monkeypatch.setattr(Tree, "state", lambda tree, found: (found.st_size, found.st_mtime_ns, UNTOLD))
    first = prepare(world, image)
    opened.clear()
    assert prepare(world, image).folder == first.folder
    assert len(opened) == len(truth)


def test_archive_of_equal_name_size_and_time_in_another_image_is_not_taken_for_the_first(
    world: Any, image: Path, pictures: Path, truth: Truth, tmp_path: Path
) -> None:
    hashes = []
    for part, reference in ((0, TAG), (1, TAG.replace("v1", "v2"))):
        names = [name for i, name in enumerate(truth) if i % 2 == part][:3]
        made = tmp_path / str(part)
        made.mkdir()
        WRITERS["yolo"][1](made, pictures, dict.fromkeys(names, truth["img_001.png"]))
        archive = pack_tar(made, image / "export.tar")
        os.utime(archive, (LAYER_TIME, LAYER_TIME))
        hashes.append(prepare(world, image, "export.tar", reference).details.dataset.hash)
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    ("train", "want"),
    [
        ("/etc", "template.data.train: '/etc' is absolute"),
        ("\\etc", "is absolute"),
        ("../data", "template.data.train: .*'..'"),
        ("demo/../../data", "'..'"),
        ("out", "leads out of"),
        ("nowhere", "was not found in the image registry.example.org/sets/helmets:v1"),
    ],
)
def test_paths_stay_within_the_image(world: Any, image: Path, train: str, want: str) -> None:
    world.many()
    (image / "readme").write_text("hello")
    (image / "out").symlink_to(world.data)
    with pytest.raises(InvalidDataError, match=want):
        prepare(world, image, train)


def test_links_out_of_the_image_are_no_pictures_of_it(
    world: Any, image: Path, pictures: Path, truth: Truth
) -> None:
    yolo(image, pictures, truth)
    (image / "data.yaml").unlink()  # which lists images by path; the folders do as well
    secret = world.image("img_cache/secret.png")
    first = min((image / "images/train").glob("*.png"))
    first.unlink()
    first.symlink_to(secret)
    found = prepare(world, image)
    assert found.details.dataset.skipped["outsideVolume"] == 1
    label = min((image / "labels/train").glob("*.txt"))
    label.unlink()
    label.symlink_to(world.text("secret.txt", "0 0.5 0.5 0.1 0.1\n"))
    (image / "images/train" / f"{label.stem}.png").unlink()
    shutil.copy(pictures / f"{label.stem}.png", image / "images/train")
    with pytest.raises(InvalidDataError, match="leads out of the image"):
        prepare(world, image)


@pytest.mark.parametrize("mounted", [True, False])
def test_missing_mount_is_told(world: Any, image: Path, mounted: bool) -> None:
    if not mounted:
        image.rmdir()
    with pytest.raises(InvalidDataError, match=r"template\.data\.image: no file of .*:v1 is at") as error:
        prepare(world, image)
    assert "artifactDir" in str(error.value.hint)


def test_set_of_links_is_used_as_it_is_and_mended_by_copies(
    world: Any, image: Path, pictures: Path, truth: Truth
) -> None:
    on_volume = world.data / "datasets/demo"
    yolo(on_volume, pictures, truth)
    given = Data.model_validate({"train": "demo", "labels": NAMES})
    linked = prepare_dataset(world.volume, given, "detect", world.report).folder
    yolo(image, pictures, truth)
    assert prepare(world, image).folder == linked
    assert all(file.is_symlink() for file in linked.rglob("*.png"))

    gone = min((on_volume / "images/train").glob("*.png"))
    gone.unlink()
    assert prepare(world, image).folder == linked
    (copy,) = [file for file in linked.rglob("*.png") if not file.is_symlink()]
    assert copy.name == gone.name
    assert copy.read_bytes() == (pictures / gone.name).read_bytes()
    manifest = read_manifest(linked)
    assert manifest is not None
    assert first_changed(manifest, world.data, world.report) is None


def test_prepare_stage_finds_the_image_where_the_configuration_says(
    world: Any, image: Path, pictures: Path, truth: Truth
) -> None:
    yolo(image, pictures, truth)
    config = world.config(data={"train": ".", "image": TAG, "labels": NAMES})
    prepared = prepare_stage(config.model_copy(update={"artifact_dir": str(image)}), world.report)
    assert prepared.dataset is not None
    assert prepared.dataset.images == len(truth)
    assert (world.folder.info / "prepare.jpg").is_file()
