"""`python -m yolo_trainer data gc`: what is removed, and above all what is not."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from prepared_sets import age, end, make, run, told, train, zipped
from yolo_crds.meta import Stage
from yolo_trainer.data.usage import stamp_of
from yolo_trainer.keeping import collect as collecting


def test_gc_removes_what_was_not_used_for_long(
    world: Any, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.many(count=3)
    zipped(world)
    old, archived = make(world), make(world, "demo.zip")
    fetched = world.text("prepared/.fetched/ucd/far.json", "{}")
    age(world)
    new = make(world, seed=3, labels=["a", "b"], missingClasses="allow")
    before = world.snapshot(world.data)
    assert run(world, "gc", "--older-than", "30d", "--dry-run") == 0
    assert told(capsys).count("would remove") == 4
    assert world.snapshot(world.data) == before
    assert run(world, "gc", "--older-than", "30d") == 0
    out = told(capsys)
    assert f"removed set {old.name} (" in out
    assert "used 60 d ago)" in out
    assert "removed archive" in out
    assert out.splitlines()[-1].endswith(" freed")
    assert [path for path in (old, archived, fetched) if path.exists()] == []
    assert new.is_dir()
    assert list(world.volume.unpacked.glob("[!.]*")) == []
    left = {p.name for p in world.volume.prepared.iterdir()}
    assert left == {new.name, stamp_of(new).name, ".index", ".unpacked", ".fetched"}
    assert len(list(world.volume.index.iterdir())) == 2  # of the set that stays
    assert make(world).is_dir()


def test_gc_writes_nowhere_but_below_prepared(world: Any, runs: Path) -> None:
    world.many(count=3)
    make(world)
    age(world)
    outside = [world.data / name for name in ("img_cache", "ucd", "datasets", "weights")]
    before = [world.snapshot(folder) for folder in outside]
    assert run(world, "gc", "--older-than", "30d") == 0
    assert [world.snapshot(folder) for folder in outside] == before


@pytest.mark.parametrize(
    ("exit_code", "stage", "collected"),
    [
        (None, None, False),
        (143, Stage.TRAIN, False),  # its queue may let it in again
        (0, Stage.PREPARE, False),  # and now it waits for a GPU
        (0, Stage.TRAIN, True),
        (4, Stage.TRAIN, True),
        (6, Stage.PREPARE, True),
    ],
)
def test_gc_keeps_what_an_attempt_may_train_on(
    world: Any, exit_code: int | None, stage: Stage | None, collected: bool
) -> None:
    world.many(count=3)
    folder = train(world)
    if exit_code is not None and stage is not None:
        end(world, exit_code=exit_code, stage=stage)
    age(world)
    assert run(world, "gc", "--older-than", "30d") == 0
    assert folder.exists() is not collected


def test_gc_keeps_what_an_attempt_ended_with_lately(world: Any) -> None:
    world.many(count=3)
    folder = train(world)
    age(world)
    end(world)
    assert run(world, "gc", "--older-than", "30d") == 0
    assert folder.is_dir()


def test_attempt_whose_run_folder_another_has_holds_nothing(world: Any) -> None:
    world.many(count=3)
    first = train(world, data={"seed": 1})
    second = train(world, attempt=2, data={"seed": 2, "labels": ["a", "b"], "missingClasses": "allow"})
    age(world)
    assert run(world, "gc", "--older-than", "30d") == 0
    assert not first.exists()
    assert second.is_dir()


def test_gc_keeps_archives_and_sets_that_links_lead_into(world: Any, runs: Path) -> None:
    zipped(world, "demo")
    zipped(world, "other")
    archived, other = make(world, "demo.zip"), make(world, "other.zip")
    world.many(count=3)
    copied = make(world, copyImages=True)
    built_on = make(world, f"prepared/{copied.name}/data.yaml", labels=[])
    assert {p.resolve().parents[2] for p in built_on.rglob("*.jpg")} == {copied.resolve()}
    age(world)
    now = time.time()
    for folder in (archived, built_on):
        os.utime(stamp_of(folder), (now, now))
    assert run(world, "gc", "--older-than", "30d") == 0
    assert copied.is_dir()
    assert not other.exists()
    assert len(list(world.volume.unpacked.glob("[!.]*"))) == 1
    assert all(p.is_file() for folder in (archived, built_on) for p in folder.rglob("images/*/*"))


def test_gc_keeps_archives_while_it_is_not_known_who_needs_them(world: Any, runs: Path) -> None:
    zipped(world)
    folder = make(world, "demo.zip")
    age(world)
    (folder / "manifest.jsonl").write_text("{")
    now = time.time()
    os.utime(stamp_of(folder), (now, now))
    assert run(world, "gc", "--older-than", "30d") == 0
    assert len(list(world.volume.unpacked.glob("[!.]*"))) == 1


def test_gc_keeps_what_was_fetched_while_its_server_confirms_it(world: Any, runs: Path) -> None:
    for name in ("confirmed", "forgotten"):
        world.text(f"prepared/.fetched/archives/{name}/archive.zip", "packed")
        world.text(f"prepared/.fetched/archives/{name}/archive.note", "{}")
    age(world)
    world.text("prepared/.fetched/archives/confirmed/archive.note", "{}")
    assert run(world, "gc", "--older-than", "30d") == 0
    assert [path.name for path in (world.volume.fetched / "archives").iterdir()] == ["confirmed"]


def test_gc_removes_leftovers_of_a_day(world: Any, runs: Path) -> None:
    world.many(count=3)
    make(world)
    places = [world.volume.prepared, world.volume.index, world.volume.fetched / "archives"]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        (place / ".tmp-old").write_text("x")
        os.utime(place / ".tmp-old", (1, 1))
        (place / ".tmp-new").mkdir()
    assert run(world, "gc", "--older-than", "30d") == 0
    assert [sorted(p.name for p in place.glob(".tmp-*")) for place in places] == [[".tmp-new"]] * 3


def test_gc_follows_no_link_and_leaves_what_is_not_ours(world: Any, runs: Path, tmp_path: Path) -> None:
    world.many(count=3)
    folder = make(world)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere / "set", symlinks=True)
    shutil.copytree(folder, elsewhere / ("c" * 64), symlinks=True)
    (elsewhere / ".tmp-x").mkdir()
    prepared = world.volume.prepared
    (prepared / ("a" * 32)).symlink_to(elsewhere / "set")
    (prepared / ".unpacked").symlink_to(elsewhere)
    (prepared / ".fetched").mkdir()
    (prepared / ".fetched/ucd").symlink_to(elsewhere)
    (prepared / "notes of mine").mkdir()
    (folder / "images/train/out").symlink_to(elsewhere)
    age(world)
    os.utime(elsewhere / ".tmp-x", (1, 1))
    before = world.snapshot(elsewhere)
    assert run(world, "gc", "--older-than", "30d") == 0
    assert not folder.exists()
    assert world.snapshot(elsewhere) == before
    assert (prepared / ("a" * 32)).is_symlink()
    assert (prepared / "notes of mine").is_dir()


def test_prepared_that_is_a_link_is_refused(
    world: Any, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    world.volume.prepared.symlink_to(tmp_path / "elsewhere")
    assert run(world, "gc", "--older-than", "30d") == 3
    assert "is a link, which is not followed" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["missing", "no run volume", "torn"])
def test_gc_removes_nothing_while_it_is_not_known_what_is_used(
    world: Any, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    world.many(count=3)
    make(world, seed=9)
    folder = train(world)
    age(world)
    if how == "torn":
        (prepared,) = world.runs.glob("train/*/.attempts/*/prepare.json")
        prepared.write_text("{")
    else:
        shutil.rmtree(world.runs if how == "missing" else world.runs / "train")
    before = world.snapshot(world.volume.prepared)
    assert run(world, "gc", "--older-than", "30d") == (4 if how == "torn" else 2)
    assert "is not known which set" in capsys.readouterr().err
    assert world.snapshot(world.volume.prepared) == before
    assert run(world, "gc", "--older-than", "30d", "--no-runs") == 0
    assert not folder.exists()


def test_gc_tells_what_it_cannot_remove_and_goes_on(
    world: Any, runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.many(count=3)
    first, second = sorted([make(world), make(world, labels=["a", "b"], missingClasses="allow")])
    age(world)
    removed = collecting.Removal.run

    def refuse(removal: collecting.Removal) -> bool:
        if removal._path == first:
            raise PermissionError(13, "Permission denied")
        return removed(removal)

    monkeypatch.setattr(collecting.Removal, "run", refuse)
    assert run(world, "gc", "--older-than", "30d") == 4
    assert f"cannot remove set {first}: Permission denied" in capsys.readouterr().err
    assert first.is_dir()
    assert not second.exists()
