"""What a hostile reader tried on the run folder, and what must not come of it."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from run_attempts import config, result, save, started_from
from yolo_trainer.errors import FencedError, TrainerError
from yolo_trainer.runfolder import checkpoint, files
from yolo_trainer.runfolder.attempt import claim, join, rejoin


class KilledError(BaseException):
    """The process is gone."""


def die_at(monkeypatch: pytest.MonkeyPatch, wanted: str, name: str) -> None:
    def point(step: str, path: Path) -> None:
        if (step, path.name) == (wanted, name):
            raise KilledError

    monkeypatch.setattr(files, "point", point)


def alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "point", lambda step, path: None)


def test_best_survives_a_kill_amid_its_replacement_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = claim(config(tmp_path))
    save(first, 3)
    staging = first.path / "weights/.staging"
    staging.mkdir(exist_ok=True)
    (staging / "best.pt").write_text("stripped")
    die_at(monkeypatch, "rename", "best.pt")
    with pytest.raises(KilledError):
        first.save(None, staging)
    alive(monkeypatch)

    second = claim(config(tmp_path, attempt=2))
    with second.start() as start:
        second.carry_best(start)
    second.save_state(lambda file: file.write(b"4"))

    assert (second.path / "weights/best.pt").read_text() == "best.pt object-1-r1a1 3"
    assert checkpoint.is_whole(second.path / "weights/best.pt")


def test_folder_that_was_cleared_does_not_come_back(tmp_path: Path) -> None:
    attempt = claim(config(tmp_path))
    save(attempt, 1)
    source = tmp_path / "of.yaml"
    source.write_text("x")
    for name in ("train", "train_info"):
        shutil.move(tmp_path / name / "toy", tmp_path / f".trash-{name}")
    verbs: list[Callable[[], object]] = [
        lambda: attempt.publish_info("hyp.yaml", b"x"),
        lambda: attempt.publish_info("hyp.yaml", source),
        attempt.open_logs,
        lambda: attempt.finish(result(attempt)),
        lambda: attempt.save_state(lambda file: file.write(b"x")),
        lambda: attempt.note_down(resume=False),
        lambda: join(config(tmp_path)),
    ]
    attempt.publish()  # there is nothing
    for verb in verbs:
        with pytest.raises(FencedError):
            verb()
        assert not list((tmp_path / "train").iterdir())
        assert not list((tmp_path / "train_info").iterdir())


def test_licence_with_a_file_that_nfs_keeps_for_a_reader_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS renames a file that is open on the same node to .nfs…, and does not let that one be deleted."""
    older = claim(config(tmp_path))
    save(older, 1)
    licence = next((older.folder.train / ".publish").iterdir())
    (licence / ".nfs000000000001").write_text("half a copy")
    staging = older.path / "weights/.staging"
    staging.mkdir(exist_ok=True)
    (staging / ".nfs000000000002").write_text("half a checkpoint")
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith(".nfs"):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    newer = claim(config(tmp_path, attempt=2))
    save(newer, 2)
    newer.leave()


def test_claim_is_written_whole_however_little_a_write_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:7]))
    assert claim(config(tmp_path)).claim.number == 1


@pytest.mark.parametrize("step", ["open", "remove"])
def test_one_failed_operation_that_can_be_repeated_ends_no_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    attempt = claim(config(tmp_path))
    save(attempt, 1)
    newer = claim(config(tmp_path, attempt=2))
    failures = iter([True])
    monkeypatch.setattr(files, "sleep", lambda seconds: None)

    def fail(found: str, path: Path) -> None:
        name = "results.csv" if step == "open" else "state.pt"
        if (found, path.name) == (step, name) and next(failures, False):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(files, "point", fail)
    save(newer, 2)
    assert next(failures, None) is None


def test_full_disk_leaves_a_claim_that_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(claim(config(tmp_path)), 1)

    def full(step: str, path: Path) -> None:
        if step == "fill":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(files, "point", full)
    for _ in range(5):
        with pytest.raises(TrainerError, match="no space"):
            claim(config(tmp_path, attempt=2))
    alive(monkeypatch)
    assert join(config(tmp_path)).claim.number == 1
    assert claim(config(tmp_path, attempt=3)).claim.attempt == 3


def test_attempt_that_is_started_once_more_stops_the_one_before(tmp_path: Path) -> None:
    """A pod that was deleted by force runs on when its node is not; or somebody starts a program twice."""
    claim(config(tmp_path))
    twin = rejoin(config(tmp_path))
    worker = join(config(tmp_path), twin.claim.number)
    save(worker, 1)

    later = rejoin(config(tmp_path))
    with pytest.raises(FencedError, match="started once more"):
        join(config(tmp_path), twin.claim.number)
    for verb in (twin.guard, worker.publish, lambda: save(worker, 9)):
        with pytest.raises(FencedError):
            verb()
    assert started_from(later) == "object-1-r1a1 1"
    save(join(config(tmp_path), later.claim.number), 2)


def test_two_programs_at_one_attempt_do_not_write_into_one_state(tmp_path: Path) -> None:
    claim(config(tmp_path))
    twin, later = rejoin(config(tmp_path)), None

    def write(file: files.Sink) -> None:
        file.write(b"of the ")
        rejoin(config(tmp_path)).save_state(lambda other: other.write(b"later one"))
        file.write(b"twin")

    with pytest.raises(FencedError):
        twin.save_state(write)
    later = rejoin(config(tmp_path))
    assert started_from(later) == "later one"


def test_folders_of_a_file_server_end_no_attempt_and_what_a_person_left_stays(tmp_path: Path) -> None:
    """`@eaDir` and `.DS_Store` come by themselves into any folder, an export where the best.pt was found."""
    first = claim(config(tmp_path))
    save(first, 1)
    publishing, weights = first.folder.train / ".publish", first.path / "weights"
    (publishing / "@eaDir").mkdir()
    (publishing / ".DS_Store").write_text("x")
    (next(publishing.glob("0*")) / "@eaDir" / "last.pt").mkdir(parents=True)
    (weights / "@eaDir").mkdir()
    (weights / "best.onnx").write_text("exported")

    second = claim(config(tmp_path, attempt=2))
    save(second, 2)

    assert sorted(path.name for path in weights.iterdir()) == ["@eaDir", "best.onnx"]
    assert not list(publishing.glob("00000001-*"))
    assert (first.folder.weights / "last.pt").read_text() == "last.pt object-1-r1a2 2"


def test_copy_that_a_person_made_of_an_attempt_is_no_attempt(tmp_path: Path) -> None:
    first = claim(config(tmp_path))
    save(first, 1)
    copied = first.path.with_name(f"{first.path.name}.bak")
    shutil.copytree(first.path, copied)

    save(claim(config(tmp_path, attempt=2)), 2)

    assert (copied / "state.pt").read_text() == "object-1-r1a1 1"
    assert (copied / "weights" / "best.pt").exists()


def test_link_of_an_older_server_is_adopted_with_what_it_leads_to(tmp_path: Path) -> None:
    weights = tmp_path / "train/toy/weights"
    weights.mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/epoch90.pt").write_text("of an older server")
    (weights / "last.pt").symlink_to("../../../kept/epoch90.pt")
    (weights / "best.pt").symlink_to("/proc/self/environ")  # leads out of the volume: nobody's to show

    attempt = claim(config(tmp_path, resume=True))

    with attempt.start() as start:
        assert start.stream is not None
        assert start.stream.read() == b"of an older server"
    assert [path.name for path in (attempt.folder.attempts / "adopted/weights").iterdir()] == ["last.pt"]


def test_adoption_waits_for_a_volume_that_fails_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A last.pt that could not be looked at is not one that is not there: it would be published over."""
    weights = tmp_path / "train/toy/weights"
    weights.mkdir(parents=True)
    (weights / "last.pt").write_text("of an older server")
    failing = iter([True, False])

    def point(step: str, path: Path) -> None:
        if (step, path) == ("stat", weights / "last.pt") and next(failing, False):
            raise OSError(errno.ESTALE, "made up")

    monkeypatch.setattr(files, "point", point)
    monkeypatch.setattr(files, "sleep", lambda seconds: None)
    attempt = claim(config(tmp_path))
    save(attempt, 1)

    assert (attempt.folder.attempts / "adopted/weights/last.pt").read_text() == "of an older server"


def test_volume_that_cannot_sync_folders_ends_no_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    attempt = claim(config(tmp_path))
    save(attempt, 1)
    assert started_from(claim(config(tmp_path, attempt=2))) == "object-1-r1a1 1"


@pytest.mark.parametrize(("step", "name"), [("rename", "best.pt"), ("link", "last.pt")])
def test_weights_that_an_end_tells_of_are_those_at_the_old_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, name: str
) -> None:
    """Killed while best.pt is replaced, or before what was saved is published."""
    attempt = claim(config(tmp_path))
    save(attempt, 1)

    def point(done: str, path: Path) -> None:
        if done == step and path.name.startswith(name):
            raise KilledError

    monkeypatch.setattr(files, "point", point)
    with pytest.raises(KilledError):
        save(attempt, 2)
    alive(monkeypatch)
    supervisor = join(config(tmp_path))
    told = supervisor.weights()
    supervisor.finish(result(supervisor, 137))

    assert told is not None
    for weight in (told.best, told.last):
        assert weight is not None
        content = (tmp_path / weight.path).read_bytes()
        assert (weight.size, weight.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_overtaken_attempt_publishes_nothing_at_its_end(tmp_path: Path) -> None:
    first = claim(config(tmp_path))
    save(first, 1)
    save(claim(config(tmp_path, attempt=2)), 2)
    (first.path / "weights").mkdir(exist_ok=True)
    (first.path / "weights/best.pt").write_text("of an older attempt")

    first.finish(result(first, 9))

    assert (first.folder.weights / "best.pt").read_text() == "best.pt object-1-r1a2 2"


def test_object_that_is_fenced_by_a_clock_that_was_set_back_says_by_how_much(tmp_path: Path) -> None:
    claim(config(tmp_path, created=5000.0))
    with pytest.raises(
        FencedError, match="object-1, created 3500 s after this one by the API server's clock"
    ):
        claim(config(tmp_path, "object-2", created=1500.0))


@pytest.mark.parametrize("name", ["²", "@eaDir", ".DS_Store", "00000001~"])
def test_foreign_file_among_the_claims_counts_for_nothing(tmp_path: Path, name: str) -> None:
    first = claim(config(tmp_path))
    (first.folder.claims / name).write_text("x")
    assert claim(config(tmp_path, attempt=2)).claim.number == 2
