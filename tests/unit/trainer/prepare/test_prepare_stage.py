"""The prepare stage as a whole: folders, fence, finished runs, arguments, weights, resume."""

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from prepared_sets import prepare_stage as prepare
from yolo_crds.conditions import Reason
from yolo_crds.trainer import ExitCode, Prepared
from yolo_trainer.errors import (
    InvalidArgumentsError,
    InvalidDataError,
    LegacyCheckpointError,
    TrainerError,
    WeightsMissingError,
)
from yolo_trainer.prepare.models import resolve_model
from yolo_trainer.runfolder import claims
from yolo_trainer.runfolder.attempt import claim

DETECTOR = b"\x80\x02}X\x05\x00\x00\x00modelcultralytics.nn.tasks\nDetectionModel\ns."


def checkpoint(path: Path, pickled: bytes = DETECTOR) -> Path:
    """What torch.save writes, as far as anybody looks without loading it; with its sha256 beside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{path.stem}/data.pkl", pickled)
    path.write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    path.with_name(f"{path.name}.sha256").write_text(f"{digest}\n")
    return path


def run(world: Any, **config: Any) -> Prepared:
    found = prepare(world.config(**config), world.report)
    assert isinstance(found, Prepared)
    return found


def test_prepare_leaves_what_train_needs(world: Any) -> None:
    world.example()
    found = run(world)
    assert found.weights is None  # an architecture of the package
    assert found.resume_from is None
    assert Path(found.data_yaml) == world.volume.prepared / found.dataset.hash / "data.yaml"
    stored = world.folder.prepared("12345678-r1a1")
    assert Prepared.model_validate_json(stored.read_text()) == found
    owner = claims.newest(world.folder)
    assert owner is not None
    assert owner.uid == "1234567890"
    assert world.folder.logs.is_dir()
    assert any("vest" in warning for warning in found.warnings)


def test_prepare_keeps_the_files_of_the_older_server(world: Any) -> None:
    world.example()
    world.many()
    run(
        world,
        data={"train": "helmet_demo", "val": "many", "labels": ["helmet", "a"]},
        hyperparameters={"lr0": 0.02},
    )
    info = world.folder.info
    assert (info / "train_ucd.json").read_bytes() == (world.data / "ucd/helmet_demo.json").read_bytes()
    assert (info / "val_ucd.json").read_bytes() == (world.data / "ucd/many.json").read_bytes()
    assert yaml.safe_load((info / "hyp.yaml").read_text()) == {"lr0": 0.02}
    assert yaml.safe_load((info / "train.yaml").read_text())["names"] == {0: "helmet", 1: "a"}
    assert json.loads((info / "prepare.json").read_text())["unknownLabels"] == {"vest": 1, "person": 1}


def test_prepare_again_gives_the_same(world: Any) -> None:
    world.example()
    assert run(world) == run(world)


def test_wrong_arguments_are_named_all_at_once(world: Any) -> None:
    with pytest.raises(InvalidArgumentsError) as error:
        run(world, hyperparameters={"lr": 0.1}, extraArgs={"device": "0"})
    assert error.value.exit_code is ExitCode.CONFIGURATION
    assert "template.hyperparameters.lr: " in error.value.message
    assert "template.extraArgs.device: " in error.value.message


def test_missing_data_set_tells_where_it_was_looked_for(world: Any) -> None:
    with pytest.raises(
        InvalidDataError, match=r"template\.data\.train: 'helmet_demo' was not found"
    ) as error:
        run(world)
    assert "looked for helmet_demo, ucd/helmet_demo.json, ucd/" in error.value.message
    assert error.value.reason is Reason.INVALID_DATA
    assert error.value.exit_code is ExitCode.DATA


def test_fault_3_names_reach_no_shell_and_no_other_folder(world: Any) -> None:
    for reference in ("$(touch x)", "; rm -rf /", "../../etc", "`id`"):
        with pytest.raises(TrainerError):
            run(world, data={"train": reference, "labels": ["a; rm -rf /"]})


def test_batch_that_several_gpus_cannot_share_is_refused(world: Any) -> None:
    with pytest.raises(InvalidArgumentsError, match=r"template\.batch: 16 images cannot be shared by 3 GPUs"):
        run(world, batch=16, resources={"gpus": 3})


def test_rect_with_several_gpus_is_warned_of(world: Any) -> None:
    world.example()
    found = run(world, resources={"gpus": 2}, extraArgs={"rect": "True"})
    assert any(warning.startswith("rect does not go with several GPUs") for warning in found.warnings)


def test_auto_optimizer_that_ignores_lr0_is_said(world: Any) -> None:
    world.example()
    assert any("ignores lr0" in w for w in run(world, hyperparameters={"lr0": 0.01}).warnings)


@pytest.mark.parametrize(
    ("model", "file"),
    [
        ("yolo11n", "yolo11n.pt"),
        ("yolo11n.pt", "yolo11n.pt"),
        ("yolov5s", "yolov5su.pt"),
        ("yolov5s.pt", "yolov5su.pt"),
        ("team/mine", "team/mine.pt"),
    ],
)
def test_resolve_model_finds_checkpoints(world: Any, model: str, file: str) -> None:
    want = checkpoint(world.data / "weights" / file)
    assert resolve_model(model, world.volume.weights) == want.resolve()


def test_missing_weights_name_file_folder_and_nearest(world: Any) -> None:
    with pytest.raises(WeightsMissingError) as error:
        resolve_model("yolov5s", world.volume.weights)
    assert error.value.message == f"template.model: yolov5s.pt or yolov5su.pt is not in {world.data}/weights"
    put = f"put the file into {world.data}/weights"
    assert error.value.hint == f"{put}, or create another training with yolov5s.yaml, from scratch"
    with pytest.raises(WeightsMissingError) as error:
        resolve_model("mine.pt", world.volume.weights)
    assert error.value.hint == put
    with pytest.raises(WeightsMissingError, match=r"did you mean yolo11n\.pt"):
        resolve_model("yolo11nn", world.volume.weights)


def test_checkpoint_of_the_yolov5_repository_is_refused(world: Any) -> None:
    checkpoint(world.data / "weights/yolov5s.pt", b"\x80\x02}q\x00cmodels.yolo\nDetectionModel\nq\x01.")
    with pytest.raises(LegacyCheckpointError, match="YOLOv5 repository"):
        resolve_model("yolov5s", world.volume.weights)
    checkpoint(
        world.data / "weights/yolov5su.pt", b"\x80\x02}q\x00cultralytics.nn.tasks\nDetectionModel\nq\x01."
    )
    assert resolve_model("yolov5s", world.volume.weights) is not None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04torn", b"<html>"])
def test_torn_checkpoint_is_refused(world: Any, content: bytes) -> None:
    (world.data / "weights/mine.pt").write_bytes(content)
    with pytest.raises(InvalidArgumentsError, match="no PyTorch checkpoint"):
        resolve_model("mine", world.volume.weights)


def test_weights_stay_below_their_folder(world: Any, tmp_path: Path) -> None:
    (world.data / "weights/link.pt").symlink_to(checkpoint(tmp_path / "x.pt"))
    with pytest.raises(InvalidArgumentsError, match="leads out of"):
        resolve_model("link", world.volume.weights)


@pytest.mark.parametrize("model", ["yolo11n.yaml", "yolov5s.yaml", "yolov8n6.yaml", "yolo11s-seg.yaml"])
def test_architectures_of_the_package_need_no_file(world: Any, model: str) -> None:
    assert resolve_model(model, world.volume.weights) is None


MODEL = "nc: 2\nbackbone: [[-1, 1, Conv, [16, 3, 2]]]\nhead: [[[0], 1, Detect, [nc]]]\n"


@pytest.mark.parametrize(
    "extra", ["", "activation: nn.ReLU()\n", "activation: torch.nn.LeakyReLU(negative_slope=0.1)\n"]
)
def test_architecture_below_the_weights_folder(world: Any, extra: str) -> None:
    path = world.text("weights/team/mine.yaml", MODEL + extra)
    assert resolve_model("team/mine.yaml", world.volume.weights) == path.resolve()


@pytest.mark.parametrize(
    "content",
    [
        MODEL + 'activation: __import__("os").system("id")\n',
        MODEL + "activation: nn.ReLU(inplace=print(1))\n",
        MODEL.replace("Conv,", '"__builtins__.exec",'),
        MODEL.replace("Conv,", "_SafeLoad,"),
        "backbone: []\nhead: []\n",
        "!!python/object/apply:os.system [id]\n",
        "[1]\n",
    ],
)
def test_architecture_that_could_run_code_is_refused(world: Any, content: str) -> None:
    world.text("weights/mine.yaml", content)
    with pytest.raises(InvalidArgumentsError, match=r"template\.model"):
        resolve_model("mine.yaml", world.volume.weights)


def test_unknown_architecture_names_the_nearest(world: Any) -> None:
    with pytest.raises(WeightsMissingError, match="did you mean yolo11"):
        resolve_model("yolo11q.yaml", world.volume.weights)


def trained(world: Any, **config: Any) -> Path:
    """The state that an attempt left."""
    attempt = claim(world.config(**config))
    attempt.save_state(lambda file: file.write(b"state"))
    return world.folder.attempt(attempt.token) / "state.pt"  # type: ignore[no-any-return]


def test_fault_2_resume_never_looks_into_other_models(world: Any) -> None:
    other = world.config().model_copy(update={"model_name": "other"})
    claim(other).save_state(lambda file: file.write(b"state"))
    world.example()
    found = run(world, resume=True)
    assert found.resume_from is None
    assert "no checkpoint to resume from; started afresh" in found.warnings


def test_resume_names_the_attempt(world: Any) -> None:
    world.example()
    state = trained(world)
    assert run(world, attempt=2, resume=True).resume_from == str(state)


def test_resume_goes_on_without_the_file_of_its_model(world: Any) -> None:
    """The façade promises it: what goes on needs no pretrained weights."""
    world.example()
    state = trained(world, model="gone")
    with pytest.raises(WeightsMissingError):
        run(world, model="gone", attempt=2)
    last = checkpoint(state.parent / "weights" / "last.pt")

    found = run(world, model="gone", attempt=2)

    assert (found.weights, found.resume_from) == (str(last), str(state))
    assert any("went on with the model of the run folder" in warning for warning in found.warnings)


def test_adopted_folder_is_gone_on_from_without_the_file_of_its_model(world: Any) -> None:
    world.example()
    checkpoint(world.folder.weights / "last.pt")
    found = run(world, model="gone", resume=True)
    assert found.weights == str(world.folder.adopted / "weights" / "last.pt")


def test_restart_goes_on_within_its_own_run_only(world: Any) -> None:
    world.example()
    trained(world)
    assert run(world, run=2, attempt=2).resume_from is None
    own = trained(world, run=2, attempt=3)
    assert run(world, run=2, attempt=4).resume_from == str(own)


def test_run_folder_of_the_older_server_is_not_resumable(world: Any) -> None:
    world.example()
    checkpoint(world.folder.weights / "last.pt")
    (world.folder.train / "opt.yaml").write_text("epochs: 3\n")
    with pytest.raises(LegacyCheckpointError, match="cannot be resumed"):
        run(world, resume=True)


def test_adopted_folder_without_attempts_is_a_warm_start(world: Any) -> None:
    world.example()
    checkpoint(world.folder.weights / "last.pt")
    found = run(world, resume=True)
    assert found.weights == str(world.folder.attempts / "adopted/weights/last.pt")
    assert any("last.pt" in warning for warning in found.warnings)


def test_prepare_hands_over_what_it_said_of_a_name_that_is_no_text(world: Any) -> None:
    folder = world.data / "datasets/old"
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        Image.new("RGB", (64, 48), (len(split), 0, 0)).save(folder / "images" / split / "a.png")
        (folder / "labels" / split / "a.txt").write_text("0 .5 .5 .2 .2\n")
    (folder / "images/train" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"of an archive in Latin-1")
    (folder / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: [a]\n")

    found = run(world, data={"train": "old"})

    assert any(r"caf\xe9" in warning for warning in found.warnings)
    stored = world.folder.prepared("12345678-r1a1")
    assert Prepared.model_validate_json(stored.read_text()) == found
    assert run(world, data={"train": "old"}).warnings == found.warnings  # of the prepared set
