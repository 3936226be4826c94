"""`model: run:<model name>/best`: a training goes on from what an earlier one has learnt."""

import io
import os
import pickle
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest

from prepared_sets import prepare_stage
from yolo_crds.layout import RunFolder
from yolo_crds.models import EarlierRun, parse_earlier_run
from yolo_crds.trainer import Prepared
from yolo_trainer.errors import InvalidArgumentsError, TrainerError, WeightsMissingError
from yolo_trainer.prepare.checkpoint_facts import Facts, read_facts
from yolo_trainer.prepare.earlier_run import tell_differences
from yolo_trainer.runfolder.attempt import claim
from yolo_trainer.runfolder.checkpoint import promote

NAMES = {0: "helmet", 1: "person"}


def saved(kind: str = "DetectionModel", key: str = "model", **state: object) -> bytes:
    """What torch.save writes of a model of Ultralytics, without its tensors."""
    module = ModuleType("ultralytics.nn.tasks")
    model_class = type(kind, (), {"__module__": module.__name__})
    setattr(module, kind, model_class)
    model = model_class()
    model.__dict__.update({"names": NAMES, "yaml": {"channels": 3}} | state)
    parents = {name: ModuleType(name) for name in ("ultralytics", "ultralytics.nn")}
    with patch.dict(sys.modules, {**parents, module.__name__: module}):
        pickled = pickle.dumps({key: model, "train_args": {"imgsz": 640}}, protocol=2)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("best/data.pkl", pickled)
    return buffer.getvalue()


def earlier(world: Any, name: str = "helmet", file: str = "best.pt", content: bytes | None = None) -> Path:
    """A run folder with a published checkpoint."""
    path: Path = RunFolder(name, world.runs).weights / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(saved() if content is None else content)
    return path


def run(world: Any, model: str = "run:helmet/best", **config: Any) -> Prepared:
    if not (world.data / "ucd/helmet_demo.json").exists():
        world.example()
    return prepare_stage(world.config(model=model, **config), world.report)


def told(found: Prepared) -> list[str]:
    return [warning for warning in found.warnings if warning.startswith("run:")]


@pytest.mark.parametrize("name", ["helmet", "安全帽 v1.2", "v1.2"])
@pytest.mark.parametrize(("end", "file"), [("best", "best.pt"), ("last", "last.pt"), ("best.pt", "best.pt")])
def test_earlier_run_is_copied_aside(world: Any, name: str, end: str, file: str) -> None:
    source = earlier(world, name, file)
    found = run(world, f"run:{name}/{end}")
    assert found.weights is not None
    copy = Path(found.weights)
    assert copy == world.folder.attempt("12345678-r1a1") / "initial.pt"
    assert copy.read_bytes() == source.read_bytes()
    assert copy.stat().st_ino != source.stat().st_ino  # the other training may write into its file
    assert (found.task, found.resume_from, told(found)) == ("detect", None, [])


def test_next_attempt_starts_from_the_same_whatever_became_of_the_run(world: Any) -> None:
    source = earlier(world)
    was = source.read_bytes()
    run(world)
    source.write_bytes(saved(names={0: "other"}))
    second = run(world, attempt=2)
    assert Path(str(second.weights)).read_bytes() == was
    source.unlink()
    assert Path(str(run(world, attempt=3).weights)).read_bytes() == was
    assert Path(str(run(world, run=2, resume=True).weights)).read_bytes() == was


def test_run_that_starts_afresh_takes_what_the_earlier_one_has_now(world: Any) -> None:
    source = earlier(world)
    run(world)
    source.write_bytes(saved(names={0: "helmet", 1: "person", 2: "vest"}))
    assert Path(str(run(world, run=2).weights)).read_bytes() == source.read_bytes()


def test_object_that_names_another_run_does_not_take_the_copy_of_the_one_before(world: Any) -> None:
    earlier(world)
    run(world)
    other = earlier(world, "other", content=saved(names={0: "vest"}))
    config = world.config(model="run:other/best", resume=True).model_copy(update={"uid": "abcdefgh"})
    assert Path(str(prepare_stage(config, world.report).weights)).read_bytes() == other.read_bytes()


def test_copy_that_is_torn_is_made_again(world: Any) -> None:
    source = earlier(world)
    copy = Path(str(run(world).weights))
    copy.write_bytes(b"torn")
    assert Path(str(run(world).weights)).read_bytes() == source.read_bytes()


def test_copy_goes_once_a_newer_attempt_has_a_state(world: Any) -> None:
    earlier(world)
    copy = Path(str(run(world).weights))
    run(world, attempt=2)
    attempt = claim(world.config(attempt=2))
    attempt.save_state(lambda file: file.write(b"state"))
    assert not copy.exists()
    assert (attempt.path / "initial.pt").exists()


def test_resume_without_copy_goes_on_with_the_model_of_its_own_folder(world: Any, tmp_path: Path) -> None:
    world.example()
    attempt = claim(world.config())
    attempt.save_state(lambda file: file.write(b"state"))
    staged = tmp_path / "last.pt"
    staged.write_bytes(saved())
    last = attempt.path / "weights/last.pt"
    last.parent.mkdir()
    staged.rename(last.with_name("staged"))
    promote(last.with_name("staged"), last)
    found = run(world, attempt=2)
    assert found.weights == str(last)
    assert any("went on with the model of the run folder" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("model", "want"),
    [
        ("run:helmat/best", r"there is no run 'helmat' on the run volume; did you mean run:helmet/best\?"),
        ("run:gone/best", r"there is no run 'gone' on the run volume$"),
        ("run:helmet/last", r"run 'helmet' has no last\.pt; it has best\.pt$"),
    ],
)
def test_run_that_is_not_there_is_told(world: Any, model: str, want: str) -> None:
    earlier(world)
    with pytest.raises(WeightsMissingError, match=want):
        run(world, model)


def test_run_without_checkpoint_yet_is_told(world: Any) -> None:
    RunFolder("helmet", world.runs).weights.mkdir(parents=True)
    with pytest.raises(WeightsMissingError, match=r"has no best\.pt$") as error:
        run(world)
    assert "from the end of its first epoch on" in str(error.value.hint)


@pytest.mark.parametrize("model", ["run:.hidden/best", "run:a..b/best"])
def test_model_that_names_no_run_is_told(world: Any, model: str) -> None:
    with pytest.raises(TrainerError, match=r"template\.model"):
        run(world, model)


@pytest.mark.parametrize("kind", ["file", "folder", "weights", "fifo", "directory"])
def test_nothing_outside_of_the_run_folder_is_read(world: Any, tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "elsewhere/weights/best.pt"
    secret.parent.mkdir(parents=True)
    secret.write_bytes(saved())
    folder = RunFolder("helmet", world.runs)
    folder.train.parent.mkdir(parents=True)
    if kind == "folder":
        folder.train.symlink_to(secret.parents[1])
    elif kind == "weights":
        folder.train.mkdir()
        folder.weights.symlink_to(secret.parent)
    else:
        folder.weights.mkdir(parents=True)
        place = folder.weights / "best.pt"
        {"file": lambda: place.symlink_to(secret), "fifo": lambda: os.mkfifo(place)}.get(kind, place.mkdir)()
    with pytest.raises(WeightsMissingError, match=r"has no best\.pt"):
        run(world)


def test_link_within_the_run_folder_is_followed(world: Any) -> None:
    path = earlier(world, file="epoch3.pt")
    path.with_name("best.pt").symlink_to("epoch3.pt")
    assert run(world).weights is not None


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04torn"])
def test_file_that_is_no_checkpoint_is_refused_and_not_kept(world: Any, content: bytes) -> None:
    earlier(world, content=content)
    with pytest.raises(InvalidArgumentsError, match=r"^template\.model: run:helmet/best is no PyTorch"):
        run(world)
    assert not [*world.folder.attempt("12345678-r1a1").glob("*initial*")]


def test_checkpoint_that_could_run_code_is_refused(world: Any) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.system, ("touch /tmp/was-here",)

    earlier(world, content=saved(evil=Evil()))
    with pytest.raises(InvalidArgumentsError, match="classes that Ultralytics does not load"):
        run(world)


def test_facts_are_read_without_calling_anything(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "was-here"),)

    path = tmp_path / "best.pt"
    path.write_bytes(saved(evil=Evil()))
    assert read_facts(path) == Facts("detect", ("helmet", "person"), 640, 3)
    assert not (tmp_path / "was-here").exists()


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("DetectionModel", "detect"),
        ("YOLOv10DetectionModel", "detect"),
        ("SegmentationModel", "segment"),
        ("SemanticSegmentationModel", "semantic"),
        ("PoseModel", "pose"),
        ("OBBModel", "obb"),
        ("ClassificationModel", "classify"),
    ],
)
def test_task_is_the_checkpoints_own(tmp_path: Path, kind: str, task: str) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(saved(kind, "ema", names=["a"]))
    assert (read_facts(path).task, read_facts(path).names) == (task, ("a",))


@pytest.mark.parametrize("names", [{1: "a"}, {"a": 1}, 7, None, {0: "a", 2: "b"}])
def test_names_that_are_none_tell_nothing(tmp_path: Path, names: object) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(saved(names=names))
    assert read_facts(path).names is None


def test_task_that_the_run_is_not_for_is_refused_before_the_data_is_read(world: Any) -> None:
    earlier(world)
    with pytest.raises(
        InvalidArgumentsError, match=r"run:helmet/best is a model for 'detect', not for 'obb'"
    ):
        run(world, task="obb", data={"train": "gone", "labels": ["a"]})


def test_task_of_the_run_counts_without_a_word_of_the_spec(world: Any) -> None:
    earlier(world, content=saved("OBBModel"))
    assert run(world).task == "obb"


RUN = EarlierRun("helmet", "best.pt")


def differences(before: list[str], now: list[str], *, by_name: bool = True) -> list[str]:
    return tell_differences(RUN, Facts(names=tuple(before)), now, 640, 3, by_name=by_name)


@pytest.mark.parametrize(
    ("before", "now", "by_name", "want"),
    [
        (["b", "a"], ["a", "b"], True, "same classes in another order or spelling; each goes on by its name"),
        (["A ", "b"], ["a", "b"], True, "same classes in another order or spelling"),
        (["b", "a"], ["a", "b"], False, "0 was 'b' and is 'a' now, 1 was 'a' and is 'b' now"),
        (["a", "b"], ["a"], True, "has 2 classes, the data 1: 'a' goes on by name, 'b' is given up"),
        (
            ["a"],
            ["a", "b", "c"],
            True,
            "has 1 class, the data 3: 'a' goes on by name, 'b', 'c' are learnt anew",
        ),
        (["a"], ["x", "y"], True, "has 1 class ('a'), the data 2 ('x', 'y'): all of them are learnt anew"),
        (
            ["a", "b"],
            ["x", "y"],
            True,
            "as many classes of other names or in another order: 0 was 'a' and is",
        ),
        (["a", "b"], ["a", "y"], True, "'a' goes on by name, 'y' is learnt anew, 'b' is given up"),
    ],
)
def test_classes_that_differ_are_told(before: list[str], now: list[str], by_name: bool, want: str) -> None:
    (sentence,) = differences(before, now, by_name=by_name)
    assert sentence.startswith("run:helmet/best ")
    assert want in sentence


def test_the_same_classes_need_no_word() -> None:
    assert differences(["a", "b"], ["a", "b"]) == []


def test_image_size_and_channels_that_differ_are_told() -> None:
    size, channels = tell_differences(RUN, Facts(imgsz=320, channels=1), ["a"], 640, 3, by_name=True)
    assert size == "run:helmet/best was trained with imgsz 320, this training has 640"
    assert channels.startswith("run:helmet/best reads images of 1 channel, the data has 3 channels")


def test_differences_reach_the_warnings_once(world: Any) -> None:
    earlier(world, content=saved(names={0: "vest", 1: "helmet"}))
    assert "'helmet' goes on by name" in told(run(world, imgsz=320))[0]
    assert (
        told(run(world, imgsz=320))[1] == "run:helmet/best was trained with imgsz 640, this training has 320"
    )


def test_parse_earlier_run_is_in_nfc() -> None:
    assert parse_earlier_run("run:cafe\u0301/last.pt") == EarlierRun("caf\u00e9", "last.pt")
    assert parse_earlier_run("yolo11n.pt") is None
