import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from yolo_api.errors import ConflictError, MissingFileError
from yolo_api.runs import RunVolume, is_component


@pytest.fixture
def runs(runs_dir: Path) -> RunVolume:
    return RunVolume(runs_dir)


def make_run(root: Path, model: str = "helmet") -> Path:
    """A run folder as the trainer publishes it: weights are links into the attempt's folder."""
    train = root / "train" / model
    attempt = train / ".attempts" / "abc-r1a1" / "weights"
    attempt.mkdir(parents=True)
    (attempt / "best.pt").write_bytes(b"best weights")
    (train / "weights").mkdir()
    (train / "weights" / "best.pt").symlink_to("../.attempts/abc-r1a1/weights/best.pt")
    logs = root / "train_info" / model / "logs"
    logs.mkdir(parents=True)
    (logs / "train_std.log").write_text("log\n")
    return train


def test_names_lists_folders_only(runs: RunVolume, runs_dir: Path) -> None:
    assert runs.names("train") == []
    for name in ("b", "a", ".hidden"):
        (runs_dir / "train" / name).mkdir(parents=True)
    (runs_dir / "train" / "file").touch()
    assert runs.names("train") == ["a", "b"]


def test_open_checkpoint_follows_a_link_within_the_volume(runs: RunVolume, runs_dir: Path) -> None:
    make_run(runs_dir)
    with runs.open_checkpoint("helmet", "best.pt") as file:
        assert file.read() == b"best weights"


def test_open_checkpoint_keeps_what_was_opened_when_a_newer_one_is_published(
    runs: RunVolume, runs_dir: Path
) -> None:
    train = make_run(runs_dir)
    with runs.open_checkpoint("helmet", "best.pt") as file:
        (train / "new.pt").write_bytes(b"newer")
        (train / "new.pt").rename(train / ".attempts" / "abc-r1a1" / "weights" / "best.pt")
        assert file.read() == b"best weights"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../outside.pt"])
def test_open_checkpoint_refuses_a_link_out_of_the_volume(
    runs: RunVolume, runs_dir: Path, target: str
) -> None:
    train = make_run(runs_dir)
    (runs_dir.parent / "outside.pt").touch()
    (train / "weights" / "last.pt").symlink_to(target)
    with pytest.raises(MissingFileError, match=r"'helmet' has no weights/last.pt yet"):
        runs.open_checkpoint("helmet", "last.pt")


@pytest.mark.parametrize("name", ["x.pt", "../best.pt", "..", "", "results.csv"])
def test_open_checkpoint_serves_two_names_only(runs: RunVolume, runs_dir: Path, name: str) -> None:
    make_run(runs_dir)
    with pytest.raises(MissingFileError, match=r"there are last.pt and best.pt"):
        runs.open_checkpoint("helmet", name)


def test_discard_frees_the_name_at_once_and_collect_deletes(runs: RunVolume, runs_dir: Path) -> None:
    make_run(runs_dir)
    make_run(runs_dir, "other")
    assert runs.discard("helmet", "uid-1")
    assert not runs.is_known("helmet")
    assert (runs_dir / ".trash" / "uid-1-train" / "weights").is_dir()
    runs.collect()
    assert list((runs_dir / ".trash").iterdir()) == []
    assert runs.is_known("other")
    assert not runs.discard("helmet", "uid-1")


def test_discard_of_one_uid_twice_before_it_is_collected(runs: RunVolume, runs_dir: Path) -> None:
    for _ in range(2):
        make_run(runs_dir)
        assert runs.discard("helmet", "uid-1")
    runs.collect()
    assert list((runs_dir / ".trash").iterdir()) == []


def test_discard_while_another_one_is_collected(
    runs: RunVolume, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clearing many models in a row collects one while the next one is on its way into the trash."""
    make_run(runs_dir)
    between(monkeypatch, runs.collect)
    assert runs.discard("helmet", "uid-1")
    assert not runs.is_known("helmet")


def test_discard_of_what_somebody_else_clears_at_the_same_time(
    runs: RunVolume, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = make_run(runs_dir)
    between(monkeypatch, lambda: shutil.rmtree(train, ignore_errors=True))
    assert runs.discard("helmet", "uid-1")  # the folder of the logs was still there
    assert not runs.is_known("helmet")


def between(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Lets something happen after the trash was looked at and before a folder is moved into it."""

    def unused(path: Path) -> Path:
        happens()
        return path

    monkeypatch.setattr("yolo_api.runs._unused", unused)


def test_collect_does_not_follow_links(runs: RunVolume, runs_dir: Path) -> None:
    train = make_run(runs_dir)
    (runs_dir.parent / "precious").mkdir()
    (runs_dir.parent / "precious" / "file").touch()
    (train / "link").symlink_to(runs_dir.parent / "precious")
    runs.discard("helmet", "uid-1")
    runs.collect()
    assert (runs_dir.parent / "precious" / "file").exists()


def test_discard_says_what_cannot_be_removed(
    runs: RunVolume, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(runs_dir)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(ConflictError, match="train/helmet cannot be removed: Permission denied"):
        runs.discard("helmet", "uid-1")


def test_read_arguments_prefers_the_old_file(runs: RunVolume, runs_dir: Path) -> None:
    train = make_run(runs_dir)
    assert runs.read_arguments("helmet") is None
    (train / "args.yaml").write_text("model: yolo11n.yaml\n")
    assert runs.read_arguments("helmet") == ["model: yolo11n.yaml"]
    (train / "opt.yaml").write_text("weights: yolov5s.pt\n")
    assert runs.read_arguments("helmet") == ["weights: yolov5s.pt"]


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("model(1)", True),
        ("a b", True),
        ("é" * 127, True),
        ("é" * 128, False),
        ("..", False),
        (".x", False),
        ("", False),
        ("a/b", False),
        ("a\\b", False),
        ("a\n", False),
    ],
)
def test_is_component(name: str, want: bool) -> None:
    assert is_component(name) == want


def test_read_arguments_are_those_of_the_training_in_an_adopted_folder(
    runs: RunVolume, runs_dir: Path
) -> None:
    train = make_run(runs_dir)
    for path in (train / "opt.yaml", train / ".attempts" / "adopted" / "opt.yaml"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("weights: yolov5s.pt\n")
    assert runs.read_arguments("helmet") == ["weights: yolov5s.pt"]
    (train / "args.yaml").write_text("model: yolo11n.yaml\n")
    assert runs.read_arguments("helmet") == ["model: yolo11n.yaml"]


@pytest.mark.parametrize("planted", ["link", "linked folder", "fifo", "loop", "folder", "socket"])
def test_what_a_training_pod_planted_is_neither_read_nor_waited_for(
    runs: RunVolume, runs_dir: Path, planted: str
) -> None:
    """A link to the façade's own token would have come back as a log."""
    train = make_run(runs_dir)
    secret = runs_dir.parent / "secret" / "token"
    secret.parent.mkdir()
    logs = runs.folder("helmet").logs
    places = [logs / "train_std.log", logs / "train_err.log", train / "args.yaml", train / "weights/last.pt"]
    if planted == "linked folder":
        for path in places:
            path.unlink(missing_ok=True)
            (secret.parent / path.name).write_text("secret")
        shutil.rmtree(logs)
        logs.symlink_to(secret.parent)
    secret.write_text("secret")
    for path in [] if planted == "linked folder" else places:
        path.unlink(missing_ok=True)
        match planted:
            case "link":
                path.symlink_to(secret)
            case "fifo":
                os.mkfifo(path)
            case "loop":
                path.symlink_to(path.name)
            case "folder":
                path.mkdir()
            case "socket":
                os.mknod(path, stat.S_IFSOCK | 0o600)

    assert runs.read_log("helmet") is None
    assert runs.read_errors("helmet") is None
    assert runs.read_arguments("helmet") is None
    with pytest.raises(MissingFileError, match=r"'helmet' has no weights/last.pt yet"):
        runs.open_checkpoint("helmet", "last.pt")


def test_collect_removes_a_link_and_a_file_in_place_of_a_folder(runs: RunVolume, runs_dir: Path) -> None:
    (runs_dir / "train").mkdir()
    (runs_dir / "train" / "file").touch()
    (runs_dir / "train" / "link").symlink_to(runs_dir / "train_info")
    for model in ("file", "link"):
        assert runs.discard(model, model)
    runs.collect()
    assert list((runs_dir / ".trash").iterdir()) == []
