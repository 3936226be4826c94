"""The verbs of a run folder, and the faults that it once had, each by its name."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from run_attempts import config, result, save, started_from
from yolo_crds.conditions import Reason
from yolo_crds.trainer import ExitCode
from yolo_trainer.errors import FencedError, LegacyCheckpointError, TrainerError
from yolo_trainer.runfolder import files
from yolo_trainer.runfolder.attempt import Attempt, claim, join


def log(attempt: Attempt, text: str) -> None:
    """What the supervisor does with a line."""
    with contextlib.ExitStack() as stack:
        logs = attempt.open_logs()
        for one in logs.values():
            stack.callback(one.close)
        logs["out"].write(text)


def test_fault_1_new_object_gets_the_folder_of_a_deleted_one(tmp_path: Path) -> None:
    save(claim(config(tmp_path, run=9, attempt=9)), 1)

    new = claim(config(tmp_path, "object-2"))

    assert join(config(tmp_path, "object-2")).claim == new.claim
    with pytest.raises(FencedError, match="another training object"):
        join(config(tmp_path, run=9, attempt=9))


def test_earlier_object_that_wakes_up_does_not_take_the_folder_back(tmp_path: Path) -> None:
    claim(config(tmp_path))
    claim(config(tmp_path, "object-2"))
    with pytest.raises(FencedError):
        claim(config(tmp_path, run=2))
    # One that never had it is told by the time of its creation.
    claim(config(tmp_path, "object-3", created=3000.0))
    with pytest.raises(FencedError):
        claim(config(tmp_path, "object-0", created=1000.0))


def test_objects_created_within_the_clocks_error_both_get_in(tmp_path: Path) -> None:
    claim(config(tmp_path, created=1000.0))
    claim(config(tmp_path, "object-2", created=999.0))  # of another API server, whose clock is behind
    with pytest.raises(FencedError):
        claim(config(tmp_path, created=1000.0))


def test_older_attempt_is_fenced(tmp_path: Path) -> None:
    claim(config(tmp_path, attempt=2))
    for older in ({"attempt": 1}, {"run": 1, "attempt": 1, "created": 9e9}):
        with pytest.raises(FencedError) as error:
            claim(config(tmp_path, **older))
        assert error.value.exit_code is ExitCode.FENCED
    claim(config(tmp_path, run=2))


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b'{"uid": "x"}', b"null"])
def test_torn_claim_counts_for_nothing(tmp_path: Path, torn: bytes) -> None:
    mine = claim(config(tmp_path))
    (mine.folder.claims / "00000002").write_bytes(torn)

    mine.guard()
    assert claim(config(tmp_path, attempt=2)).claim.number == 3


def test_join_of_a_folder_that_nobody_took_says_so(tmp_path: Path) -> None:
    with pytest.raises(FencedError, match="was not taken"):
        join(config(tmp_path))


def test_fault_2_killed_in_its_first_save_the_next_attempt_has_the_older_state(tmp_path: Path) -> None:
    save(claim(config(tmp_path)), 7)
    second = claim(config(tmp_path, attempt=2))
    weights = second.path / "weights"
    weights.mkdir()
    (weights / "last.pt").write_text("promoted before any state")
    shutil.copy(second.folder.attempt("object-1-r1a1") / "weights/last.pt.sha256", weights)

    third = claim(config(tmp_path, attempt=3))

    assert started_from(third) == "object-1-r1a1 7"
    save(third, 8)
    assert started_from(claim(config(tmp_path, attempt=4))) == "object-1-r1a3 8"


def test_fault_3_stale_twin_neither_publishes_nor_deletes(tmp_path: Path) -> None:
    twin = claim(config(tmp_path))
    save(twin, 1)
    newer = claim(config(tmp_path, attempt=2))
    save(newer, 2)
    published = {p: p.read_bytes() for p in newer.folder.train.glob("*/*.pt")}

    with pytest.raises(FencedError):
        twin.publish()  # its guard was before
    with pytest.raises(FencedError):
        twin.retire_older()
    with pytest.raises(FencedError):
        twin.publish_info("hyp.yaml", b"of the twin")

    assert {p: p.read_bytes() for p in newer.folder.train.glob("*/*.pt")} == published
    assert not (newer.folder.info / "hyp.yaml").exists()
    assert started_from(newer) == "object-1-r1a2 2"


def test_fault_4_finished_run_is_known_without_any_message(tmp_path: Path) -> None:
    first = claim(config(tmp_path))
    first.finish(result(first))

    again = claim(config(tmp_path, attempt=2))
    assert again.finished is not None
    assert join(config(tmp_path, attempt=2)).finished == result(first)
    assert claim(config(tmp_path, run=2)).finished is None
    assert claim(config(tmp_path, "object-2")).finished is None


@pytest.mark.parametrize("code", [143, 4])
def test_failed_attempt_has_finished_nothing(tmp_path: Path, code: int) -> None:
    first = claim(config(tmp_path))
    first.finish(result(first, code))
    assert claim(config(tmp_path, attempt=2)).finished is None


def test_finished_result_is_not_written_over(tmp_path: Path) -> None:
    first = claim(config(tmp_path))
    first.finish(result(first))
    first.finish(result(first, 143))
    assert first.finished == result(first)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_fault_5_a_volume_that_fails_for_a_moment_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    attempt = claim(config(tmp_path))
    waits: list[float] = []
    monkeypatch.setattr(files, "sleep", waits.append)
    failures = iter([True, True])

    def fail(step: str, path: Path) -> None:
        if path.name == "00000001" and next(failures, False):
            raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(files, "point", fail)
    attempt.guard()
    assert len(waits) == 2

    def always(step: str, path: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(files, "point", always)
    with pytest.raises(TrainerError) as error:
        attempt.guard()
    assert not isinstance(error.value, FencedError)
    assert sum(waits) < 25


def test_fault_6_older_attempts_are_thinned_out(tmp_path: Path) -> None:
    for number in range(1, 6):
        attempt = claim(config(tmp_path, attempt=number))
        log(attempt, f"attempt {number}\n")
        save(attempt, number, "epoch1.pt")

    states = [str(p.relative_to(attempt.folder.attempts)) for p in attempt.folder.attempts.rglob("*.pt")]
    assert {s.split("/")[0] for s in states} == {attempt.token}
    older = attempt.folder.attempt("object-1-r1a1")
    assert (older / "results.csv").read_text() == "1,0.5\n"
    assert (older / "logs/train_std.log").read_text() == "attempt 1\n"
    want = "".join(f"attempt {n}\n" for n in range(1, 6))
    assert attempt.folder.std_log.read_text() == want


def test_best_of_other_runs_stays(tmp_path: Path) -> None:
    for run, attempt in ((1, 1), (1, 2), (2, 1)):
        save(claim(config(tmp_path, run=run, attempt=attempt)), 1)
    newest = claim(config(tmp_path, "object-2"))
    save(newest, 1)

    left = {str(p.relative_to(newest.folder.attempts)) for p in newest.folder.attempts.glob("*/*/*.pt")}
    assert left == {
        "object-1-r1a2/weights/best.pt",
        "object-1-r2a1/weights/best.pt",
        *(f"{newest.token}/weights/{name}.pt" for name in ("best", "last")),
    }


def test_fault_8_published_files_are_real_and_kubectl_cp_takes_them(tmp_path: Path) -> None:
    attempt = claim(config(tmp_path))
    log(attempt, "* start train 1/1 , now\n")
    save(attempt, 1)
    copied = tmp_path / "copied"
    # kubectl cp is tar on both sides, and leaves links out.
    copied.mkdir()
    archive = subprocess.run(
        ["tar", "cf", "-", "-C", str(tmp_path), "train", "train_info"], capture_output=True, check=True
    )
    subprocess.run(["tar", "xf", "-", "-C", str(copied)], input=archive.stdout, check=True)

    assert not [p for p in copied.rglob("*") if p.is_symlink()]
    assert (copied / "train/toy/weights/best.pt").read_text() == "best.pt object-1-r1a1 1"
    assert (copied / "train/toy/results.csv").read_text() == "1,0.5\n"
    assert (copied / "train_info/toy/logs/train_std.log").read_text().startswith("* start train")


def test_weights_are_published_without_links_where_the_volume_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    attempt = claim(config(tmp_path))
    for epoch in (1, 2):
        save(attempt, epoch)
    assert (attempt.folder.weights / "last.pt").read_text() == "last.pt object-1-r1a1 2"
    assert not list(tmp_path.rglob(".tmp-*"))


def test_what_an_older_server_left_is_kept_and_a_warm_start(tmp_path: Path) -> None:
    weights = tmp_path / "train/toy/weights"
    weights.mkdir(parents=True)
    (weights / "last.pt").write_text("yolov5")

    attempt = claim(config(tmp_path, resume=True))
    with attempt.start() as start:
        assert (start.exact, start.attempt) == (False, None)
        assert start.stream is not None
        assert start.stream.read() == b"yolov5"
    save(attempt, 1)

    assert (weights / "last.pt").read_text() == "last.pt object-1-r1a1 1"
    assert (attempt.folder.attempts / "adopted/weights/last.pt").read_text() == "yolov5"


def test_run_of_the_yolov5_repository_is_not_resumed(tmp_path: Path) -> None:
    weights = tmp_path / "train/toy/weights"
    weights.mkdir(parents=True)
    (weights / "last.pt").write_text("yolov5")
    (weights.parent / "opt.yaml").write_text("epochs: 3\n")
    with pytest.raises(LegacyCheckpointError):
        claim(config(tmp_path, resume=True)).start()


def test_start_goes_on_within_its_own_run_unless_it_resumes(tmp_path: Path) -> None:
    save(claim(config(tmp_path)), 5)
    assert started_from(claim(config(tmp_path, run=2))) is None
    assert started_from(claim(config(tmp_path, run=2, attempt=2))) is None
    assert started_from(claim(config(tmp_path, run=3, resume=True))) == "object-1-r1a1 5"
    assert started_from(claim(config(tmp_path, "object-2", resume=True))) == "object-1-r1a1 5"


def test_same_attempt_started_again_goes_on_and_logs_behind(tmp_path: Path) -> None:
    attempt = claim(config(tmp_path))
    for name in ("first", "second"):
        log(join(config(tmp_path)), f"{name}\n")
        save(attempt, 1)
    assert attempt.folder.std_log.read_text() == "first\nsecond\n"
    assert started_from(attempt) == "object-1-r1a1 1"


def test_overtaken_attempt_logs_into_a_file_that_nobody_sees(tmp_path: Path) -> None:
    logs = claim(config(tmp_path)).open_logs()
    logs["out"].write("seen\n")
    log(claim(config(tmp_path, attempt=2)), "newer\n")
    for one in logs.values():
        one.write("late\n")
        one.close()
    assert (tmp_path / "train_info/toy/logs/train_std.log").read_text() == "seen\nnewer\n"


def test_full_volume_is_told_as_such_and_leaves_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = claim(config(tmp_path))
    save(attempt, 1)

    def full(step: str, path: Path) -> None:
        if step == "write" and "state" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(files, "point", full)
    with pytest.raises(TrainerError) as error:
        save(attempt, 2)
    assert error.value.reason is Reason.DISK_FULL
    assert started_from(attempt) == "object-1-r1a1 1"
    assert not list(attempt.path.glob(".tmp-*"))


def test_published_weights_have_size_and_digest(tmp_path: Path) -> None:
    attempt = claim(config(tmp_path))
    assert attempt.weights() is None
    save(attempt, 1)
    weights = attempt.weights()
    assert weights is not None
    assert weights.best is not None
    size = (tmp_path / weights.best.path).stat().st_size
    assert (weights.best.path, weights.best.size) == ("train/toy/weights/best.pt", size)


def test_prepared_that_is_torn_counts_as_none(tmp_path: Path) -> None:
    attempt = claim(config(tmp_path))
    attempt.folder.prepared(attempt.token).write_text(json.dumps({"uid": "x"}))
    assert attempt.prepared is None
