"""`python -m yolo_trainer data ls|verify|gc`: what is told, what is removed, and above all what is not."""

import json
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dataset_writers import pack_zip
from yolo_crds.meta import Stage
from yolo_crds.training import Data
from yolo_trainer import __main__ as program
from yolo_trainer.data.dataset import prepare_dataset
from yolo_trainer.data.usage import stamp_of
from yolo_trainer.inventory import collect as collecting
from yolo_trainer.inventory import command
from yolo_trainer.prepare import prepare as prepare_stage
from yolo_trainer.sizes import bytes_text, parse_span, span_text

DAY = 86_400.0


def run(world: Any, *arguments: str) -> int:
    return command.main([*arguments, "--data-dir", str(world.data), "--runs-dir", str(world.runs)])


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def make(world: Any, train: str = "many", **data: object) -> Path:
    """A prepared set that no run uses."""
    given = Data.model_validate({"train": train, "labels": ["a"], **data})
    return prepare_dataset(world.volume, given, "detect", world.report).folder


def train(world: Any, model: str = "demo", **config: Any) -> Path:
    """A prepared set that the model's newest attempt holds."""
    data = {"train": "many", "labels": ["a"], **config.pop("data", {})}
    given = world.config(data=data, **config).model_copy(update={"model_name": model, "uid": f"{model}-uid"})
    prepared = prepare_stage(given, world.report)
    assert prepared.dataset is not None
    folder: Path = world.volume.prepared / prepared.dataset.hash
    return folder


def end(world: Any, model: str = "demo", exit_code: int = 0, stage: Stage = Stage.TRAIN) -> None:
    """Writes the result of the model's only attempt."""
    (attempt,) = (world.runs / "train" / model / ".attempts").iterdir()
    given = json.loads((attempt / "prepare.json").read_text())
    same = {key: given[key] for key in ("uid", "run", "attempt")}
    (attempt / "result.json").write_text(json.dumps({**same, "stage": stage, "exitCode": exit_code}))


def age(world: Any, days: float = 60) -> None:
    """Lets all that lies below `prepared/` and all attempts be so old."""
    then = time.time() - days * DAY
    for root in (world.volume.prepared, world.runs):
        for path in [root, *root.rglob("*")]:
            os.utime(path, (then, then), follow_symlinks=False)


@pytest.fixture
def runs(world: Any) -> Path:
    """A run volume that some training was on."""
    folder: Path = world.runs / "train"
    folder.mkdir()
    return folder


def zipped(world: Any, name: str = "demo") -> None:
    """An archive of one labelled image and a background."""
    made = world.data.with_name(f"made-{name}")
    for file, shade in (("images/a.png", 3), ("images/b.png", len(name))):
        made_file = world.image(f"../{made.name}/{file}", shade=shade)
    (made / "labels").mkdir()
    (made / "labels/a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    assert made_file.is_file()
    pack_zip(made, world.data / f"datasets/{name}.zip")


# ls


def test_ls_tells_all_that_is_there(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world.many(count=4)
    zipped(world)
    linked = train(world)
    copied = make(world, seed=1, copyImages=True)
    unpacked = make(world, "demo.zip")
    (world.data / "img_cache/Fwe0000.jpg").unlink()
    assert run(world, "ls", "--json") == 0
    found = json.loads(told(capsys))
    sets = {row["name"]: row for row in found["sets"]}
    assert set(sets) == {linked.name, copied.name, unpacked.name}
    assert sets[linked.name]["state"] == "1 images changed"
    assert sets[linked.name]["usedBy"] == ["demo r1a1 (not ended)"]
    assert sets[copied.name]["state"] == "whole"
    assert sets[copied.name]["usedBy"] == []
    assert (sets[copied.name]["kind"], sets[copied.name]["source"]) == ("ucd", "many")
    assert (sets[copied.name]["images"], sets[copied.name]["boxes"]) == (4, 4)
    pictures = sum(path.lstat().st_blocks * 512 for path in copied.rglob("*.jpg"))
    assert pictures > 0
    assert sets[copied.name]["ownBytes"] >= sets[linked.name]["ownBytes"] + pictures
    assert time.time() - sets[linked.name]["lastUsed"] < 3600
    assert [len(row["name"]) for row in found["unpacked"]] == [64]
    assert found["leftovers"] == []
    assert found["forgotten"] == 0
    assert found["ownBytes"] == sum(row["ownBytes"] for row in [*found["sets"], *found["unpacked"]])


def test_ls_as_a_table(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world.many(count=4)
    for model in ("anna", "berta", "carl", "dora"):
        folder = train(world, model)
    end(world, "anna")
    age(world, days=3)
    (folder / "manifest.json").unlink()
    (world.volume.prepared / ".tmp-left").mkdir()
    os.utime(world.volume.prepared / ".tmp-left", (1, 1))
    assert run(world, "ls") == 0
    header, row, *rest = told(capsys).splitlines()
    assert header.split() == ["SET", "FROM", "IMAGES", "BOXES", "OWN", "STATE", "USED", "BY"]
    assert row.startswith(f"{folder.name}  ucd: many       4      4  ")
    assert "no manifest" in row
    assert row.endswith("and 1 more")
    assert rest[1].startswith("LEFT BEHIND")
    assert rest[2].startswith(".tmp-left ")
    assert rest[-1].startswith("1 sets, 0 unpacked archives, 0 fetched: ")


def test_ls_of_an_empty_volume(world: Any, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(world, "ls") == 0
    assert told(capsys) == "0 sets, 0 unpacked archives, 0 fetched: 0 B; 0 outcomes remembered\n"


# verify


def test_verify_of_whole_sets(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world.many(count=4)
    jpeg = world.data / "img_cache/Fwe0001.jpg"
    jpeg.write_bytes(jpeg.read_bytes() + b"\0\0")  # a copy with an end marker is made of it
    folder = make(world)
    make(world, seed=1, copyImages=True)
    assert run(world, "verify", "--content") == 0
    assert told(capsys).count("whole, 4 images") == 2
    assert run(world, "verify", folder.name[:8]) == 0
    assert told(capsys) == f"{folder.name} whole, 4 images\n"


def harm(folder: Path, how: str) -> None:
    picture = min((folder / "images").rglob("*.jpg"))
    source = picture.resolve()
    match how:
        case "source gone":
            source.unlink()
        case "source written":
            os.utime(source, (1, 1))
        case "source longer":
            source.write_bytes(source.read_bytes() + b"x")
        case "link gone":
            picture.unlink()
        case "link elsewhere":
            picture.unlink()
            picture.symlink_to("nowhere.jpg")
        case "label gone":
            min((folder / "labels").rglob("*.txt")).unlink()
        case "manifest torn":
            (folder / "manifest.json").write_text("{")
        case "manifest of another":
            text = (folder / "manifest.json").read_text()
            (folder / "manifest.json").write_text(text.replace(folder.name, "0" * 32))
        case "data.yaml gone":
            (folder / "data.yaml").unlink()
        case "content":
            before = source.stat()
            source.write_bytes(bytes([*source.read_bytes()[:-3], 0, 255, 217]))
            os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("how", "want"),
    [
        ("source gone", "images/train/Fwe000.*jpg: its link leads nowhere"),
        ("source written", "img_cache/Fwe.* was written since"),
        ("source longer", r"images/.*: \d+ bytes, were \d+"),
        ("link gone", r"images/.*\.jpg: missing"),
        ("link elsewhere", r"leads nowhere \(nowhere.jpg\)"),
        ("label gone", r"labels/.*\.txt: missing"),
        ("manifest torn", "manifest.json: missing or torn"),
        ("manifest of another", "manifest.json: is of the set 00000"),
        ("data.yaml gone", "data.yaml: missing"),
    ],
)
def test_verify_names_what_is_wrong(
    world: Any, capsys: pytest.CaptureFixture[str], how: str, want: str
) -> None:
    world.many(count=4)
    harm(make(world), how)
    assert run(world, "verify") == 3
    out = told(capsys)
    assert "damaged, 1 faults" in out
    assert re.search(want, out)


def test_verify_by_content_finds_what_size_and_time_hide(
    world: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    world.many(count=4)
    harm(make(world), "content")
    assert run(world, "verify") == 0
    assert run(world, "verify", "--content") == 3
    captured = capsys.readouterr()
    assert "sha256" in captured.out
    assert "4 of 4 images" in captured.err


def test_verify_tells_the_first_faults_and_how_many(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world.many(count=9)
    make(world)
    shutil.rmtree(world.data / "img_cache")
    assert run(world, "verify") == 3
    lines = told(capsys).splitlines()
    assert lines[0].endswith("damaged, 9 faults")
    assert len([line for line in lines if line.startswith("  images/")]) == 5
    assert lines[6] == "  and 4 more"


@pytest.mark.parametrize(("name", "want"), [("ffff", "there is no such set"), ("", "2 sets begin so")])
def test_verify_of_an_unknown_set(
    world: Any, capsys: pytest.CaptureFixture[str], name: str, want: str
) -> None:
    world.many(count=2)
    make(world)
    make(world, labels=["a", "b"])
    assert run(world, "verify", name) == 2
    assert want in capsys.readouterr().err


# gc


def test_gc_removes_what_was_not_used_for_long(
    world: Any, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.many(count=3)
    zipped(world)
    old, archived = make(world), make(world, "demo.zip")
    fetched = world.text("prepared/.fetched/ucd/far.json", "{}")
    age(world)
    new = make(world, seed=3, labels=["a", "b"])
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
    second = train(world, attempt=2, data={"seed": 2, "labels": ["a", "b"]})
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
    (folder / "manifest.json").write_text("{")
    now = time.time()
    os.utime(stamp_of(folder), (now, now))
    assert run(world, "gc", "--older-than", "30d") == 0
    assert len(list(world.volume.unpacked.glob("[!.]*"))) == 1


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
    first, second = sorted([make(world), make(world, labels=["a", "b"])])
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


# The command line


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        ([], "the following arguments are required"),
        (["prune"], "invalid choice: 'prune'"),
        (["gc"], "--older-than"),
        (["gc", "--older-than", "soon"], "'soon' is no span of time; want a number with h, d or w, as 30d"),
        (["gc", "--older-than", "2h"], "2h is less than 1 d"),
    ],
)
def test_wrong_arguments(capsys: pytest.CaptureFixture[str], arguments: Sequence[str], want: str) -> None:
    with pytest.raises(SystemExit) as error:
        command.main(arguments)
    assert error.value.code == 2
    assert want in capsys.readouterr().err


@pytest.mark.parametrize("what", [["ls"], ["verify"], ["gc", "--older-than", "30d"]])
def test_missing_data_volume(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: Sequence[str]) -> None:
    assert command.main([*what, "--data-dir", str(tmp_path / "data"), "--no-runs"]) == 3
    assert f"--data-dir: there is no data volume at {tmp_path}/data" in capsys.readouterr().err


def test_program_knows_the_command(
    world: Any, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["data", "ls", "--data-dir", str(world.data), "--runs-dir", str(world.runs)]
    monkeypatch.setattr(sys, "argv", ["yolo_trainer", *given])
    assert program.main() == 0
    assert told(capsys).startswith("0 sets")


def test_stamps_are_for_the_group(world: Any) -> None:
    world.many(count=2)
    stamp = stamp_of(train(world))
    assert stat.S_IMODE(stamp.stat().st_mode) == 0o664  # prepare's umask lets others of the group stamp too


@pytest.mark.parametrize(
    ("count", "want"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_048_570, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 52, "4096.0 TiB"),
    ],
)
def test_bytes_text(count: int, want: str) -> None:
    assert bytes_text(count) == want


@pytest.mark.parametrize(
    ("seconds", "want"), [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (7200, "2 h"), (90_000, "1 d")]
)
def test_span_text(seconds: float, want: str) -> None:
    assert span_text(seconds) == want


@pytest.mark.parametrize(("text", "want"), [("36h", 129_600), ("30d", 2_592_000), ("2w", 1_209_600)])
def test_parse_span(text: str, want: int) -> None:
    assert parse_span(text) == want
